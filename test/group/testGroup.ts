import type { Hex } from "../../src/base/hex.ts";
import { encodeHex } from "../../src/base/hex.ts";
import type { PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import {
  addMembers,
  applyCommit,
  createGroup,
  exportChains,
  inspectState,
  type JudgeDevice,
  joinGroup,
  type PendingCommit,
  rejoinGroup,
  removeMembers,
  updatePath,
} from "../../src/group/conversationGroup.ts";
import { createDevice, type Device, verifyDeviceIdentity } from "../../src/group/device.ts";
import { GroupError, type GroupErrorCode } from "../../src/group/groupError.ts";
import { createKeyPackage, type KeyPackagePair } from "../../src/group/keyPackage.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";

/** What the tests of this folder call now; nothing in here reads a clock. */
export const nowMs = Date.UTC(2026, 5, 1);
const dayMs = 86_400_000;
export const random = systemRandom;

export interface Authority {
  readonly root: Certificate;
  issue(username: string, keyType?: "p256" | "ed25519" | "rsa2048"): Promise<Identity>;
  /** Judges as a client does: path to this root, purpose, device-key signature and expiry, at `nowMs`. */
  readonly judge: JudgeDevice;
}

export interface Identity {
  readonly der: Uint8Array;
  readonly fingerprint: Hex;
  /** The certificate, then intermediates. */
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
}

/** @param intermediate puts a CA between the root and the certificates that are issued */
export async function makeAuthority({ intermediate = false } = {}): Promise<Authority> {
  const root = await createTestAuthority({ nowMs, intermediates: intermediate });
  const issuer = intermediate ? await root.issueIntermediate("Members CA") : root;
  return {
    root: root.ca,
    async issue(username, keyType = "p256") {
      const { certificate, chain, key } = await issuer.issueUser(username, undefined, { keyType });
      return { der: certificate.der, fingerprint: certificate.fingerprint, chain, key };
    },
    judge(identity) {
      const [leaf, ...intermediates] = identity.chain.map(decodeCertificate);
      if (leaf === undefined) throw new Error("an identity has a certificate");
      const verified = verifyPath({
        ...{ leaf, intermediates, anchors: [root.ca], crls: [], purpose: "client", atMs: nowMs },
      });
      verifyDeviceIdentity(identity, verified, nowMs);
    },
  };
}

export function newDevice(
  identity: Identity,
  options: { expiresMs?: number; seed32?: Uint8Array } = {},
): Device {
  return createDevice({
    chain: identity.chain,
    key: identity.key,
    seed32: options.seed32 ?? random(32),
    expiresMs: options.expiresMs ?? nowMs + 90 * dayMs,
  });
}

export function newKeyPackage(device: Device, lastResort = false): Promise<KeyPackagePair> {
  return createKeyPackage({
    device,
    notBeforeMs: nowMs - 3_600_000,
    notAfterMs: nowMs + 30 * dayMs,
    lastResort,
    random,
  });
}

export function newConversation(): Hex {
  return encodeHex(random(16));
}

/** One client's view of one group, driven as a client drives it: make, post, see in the log, adopt. */
export class Member {
  readonly name: string;
  readonly identity: Identity;
  device: Device;
  state: Uint8Array | undefined;

  constructor(name: string, identity: Identity) {
    this.name = name;
    this.identity = identity;
    this.device = newDevice(identity);
  }

  get fingerprint(): Hex {
    return this.identity.fingerprint;
  }

  get bytes(): Uint8Array {
    if (this.state === undefined) throw new Error(`${this.name} is not in the group`);
    return this.state;
  }
}

/** What stands in the log about a commit. */
export interface Entry extends PendingCommit {
  readonly sender: Hex;
  readonly conversation: Hex;
}

/** A conversation as the server sees it: members in the roster and the accepted commits, one for each epoch. */
export class TestGroup {
  readonly conversation = newConversation();
  readonly judge: JudgeDevice;
  readonly members: Member[] = [];
  latest: Entry | undefined;

  constructor(judge: JudgeDevice) {
    this.judge = judge;
  }

  get entry(): Entry {
    if (this.latest === undefined) throw new Error("the group was not created");
    return this.latest;
  }

  async create(creator: Member, others: readonly Member[]): Promise<void> {
    const packages = await Promise.all(others.map(({ device }) => newKeyPackage(device)));
    const pending = await createGroup({
      conversation: this.conversation,
      device: creator.device,
      keyPackages: packages.map(({ publicPackage }) => publicPackage),
      judge: this.judge,
      random,
      nowMs,
    });
    creator.state = pending.nextState;
    this.members.push(creator);
    this.latest = { ...pending, sender: creator.fingerprint, conversation: this.conversation };
    await this.welcome(others, packages);
  }

  async update(member: Member): Promise<void> {
    await this.accept(member, await updatePath({ ...this.of(member) }));
  }

  async add(member: Member, others: readonly Member[]): Promise<void> {
    const packages = await Promise.all(others.map(({ device }) => newKeyPackage(device)));
    const keyPackages = packages.map(({ publicPackage }) => publicPackage);
    await this.accept(member, await addMembers({ ...this.of(member), keyPackages, nowMs }));
    await this.welcome(others, packages);
  }

  async remove(member: Member, others: readonly Member[]): Promise<void> {
    const fingerprints = others.map(({ fingerprint }) => fingerprint);
    const pending = await removeMembers({ ...this.of(member), fingerprints });
    for (const other of others) this.members.splice(this.members.indexOf(other), 1);
    await this.accept(member, pending);
  }

  /** With a new device key, on what the server has. */
  async rejoin(member: Member): Promise<void> {
    member.device = newDevice(member.identity);
    const pending = await rejoinGroup({
      groupInfo: this.entry.groupInfo,
      device: member.device,
      judge: this.judge,
      random,
    });
    await this.accept(member, pending);
  }

  /** Everybody sees the entry: its maker adopts, the others apply. */
  async accept(maker: Member, pending: PendingCommit): Promise<void> {
    for (const member of this.members)
      if (member !== maker) member.state = await this.apply(member, pending.commit, maker.fingerprint);
    maker.state = pending.nextState;
    this.latest = { ...pending, sender: maker.fingerprint, conversation: this.conversation };
  }

  apply(member: Member, commit: Uint8Array, sender: Hex): Promise<Uint8Array> {
    return applyCommit({ state: member.bytes, commit, sender, judge: this.judge });
  }

  async join(member: Member, pair: KeyPackagePair, entry: Entry = this.entry): Promise<Uint8Array> {
    if (entry.welcome === null) throw new Error("nobody was added");
    return joinGroup({
      conversation: entry.conversation,
      epoch: entry.epoch,
      sender: entry.sender,
      device: member.device,
      ...pair,
      welcome: entry.welcome,
      groupInfo: entry.groupInfo,
      commit: entry.commit,
      judge: this.judge,
    });
  }

  of(member: Member) {
    return { state: member.bytes, device: member.device, judge: this.judge, random };
  }

  /** Every member's epoch, roster and chains in one text; it is the same text for all who agree. */
  async agreement(): Promise<readonly string[]> {
    return Promise.all(this.members.map(({ bytes }) => viewOf(bytes)));
  }

  private async welcome(others: readonly Member[], packages: readonly KeyPackagePair[]): Promise<void> {
    for (const [i, other] of others.entries()) {
      const pair = packages[i];
      if (pair === undefined) throw new Error("no key package");
      other.state = await this.join(other, pair);
      this.members.push(other);
    }
  }
}

export async function viewOf(state: Uint8Array): Promise<string> {
  const { epoch, roster, confirmationTag } = inspectState(state);
  const { chains } = await exportChains(state);
  return JSON.stringify({
    epoch,
    roster: roster.map(({ identity, device }) => [identity.fingerprint, device]),
    tag: encodeHex(confirmationTag),
    chains: [...chains].map(([fingerprint, chain]) => [fingerprint, encodeHex(chain)]),
  });
}

/** @returns the code of the GroupError that `call` ends with; anything else fails the test */
export async function codeOf(call: () => unknown): Promise<GroupErrorCode | "accepted"> {
  try {
    await call();
  } catch (error) {
    if (error instanceof GroupError) return error.code;
    throw error;
  }
  return "accepted";
}
