import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import {
  applyCommit,
  compareGroupInfo,
  createGroup,
  exportChains,
  type GroupMember,
  inspectGroupInfo,
  inspectState,
  inspectWelcome,
  type JudgeDevice,
  joinGroup,
  type PendingCommit,
  rejoinGroup,
  removeMembers,
  updatePath,
  verifyGroupInfoOf,
} from "../group/conversationGroup.ts";
import { type Device, type DeviceIdentity, standingTime, verifyDeviceIdentity } from "../group/device.ts";
import { GroupError } from "../group/groupError.ts";
import type { RosterRow } from "../log/bodies.ts";
import { memberOf } from "../log/memberIdentity.ts";
import { compareRows } from "../log/roster.ts";
import { decodeCertificate } from "../pki/certificate.ts";
import { ClientError } from "./clientError.ts";
import type { Directory } from "./directory.ts";
import { EpochKeys } from "./epochKeys.ts";
import type { KeyPackages, OwnKeyPackage } from "./keyPackages.ts";
import type { VaultBatch } from "./vault.ts";

/** What a roster entry of the log names, fetched. */
export interface EpochBlobs {
  readonly commit: Uint8Array;
  readonly welcome: Uint8Array | null;
  readonly groupInfo: Uint8Array;
}

/** A group state as it is stored, and the message keys of its epoch. */
export interface EpochOpening {
  readonly state: Uint8Array;
  readonly keys: EpochKeys;
}

/** The way into an epoch that somebody else's commit opened. */
export interface Followed extends EpochOpening {
  /** What is wrong with the GroupInfo, by which others are to come in: the commit itself is good. */
  readonly badGroupInfo: GroupError | undefined;
}

/** What the log says about the entry that opened an epoch. */
export interface EpochEntry {
  readonly conversation: Hex;
  /** The new epoch. */
  readonly epoch: number;
  readonly sender: Hex;
  /** The certificate that the sender's one takes the place of, when it is another. */
  readonly predecessor: Hex | undefined;
  readonly roster: readonly RosterRow[];
  readonly at: number;
}

/**
 * The MLS side of conversations: makes commits, joins, follows the commits of others. Everything that comes out was compared
 * with the signed roster of the log; keys are of one epoch and the group state is stored without the secret they came
 * from. Nothing is kept here, and every state that is given is wiped: it is of an epoch that ends, or has the exporter secret.
 */
export class GroupFollower {
  readonly #own: Hex;
  readonly #directory: Directory;
  readonly #random: (length: number) => Uint8Array;

  constructor(options: { own: Hex; directory: Directory; random: (length: number) => Uint8Array }) {
    this.#own = options.own;
    this.#directory = options.directory;
    this.#random = options.random;
  }

  /** @param judge accepts exactly the devices that the caller chose */
  create(options: {
    conversation: Hex;
    device: Device;
    keyPackages: readonly Uint8Array[];
    judge: JudgeDevice;
    nowMs: number;
  }): Promise<PendingCommit> {
    return createGroup({ ...options, random: this.#random });
  }

  freshPath(state: Uint8Array, device: Device): Promise<PendingCommit> {
    return wiping(state, () => updatePath({ state, device, judge: refuseNewDevices, random: this.#random }));
  }

  remove(state: Uint8Array, device: Device, fingerprints: readonly Hex[]): Promise<PendingCommit> {
    const options = { state, device, fingerprints, judge: refuseNewDevices, random: this.#random };
    return wiping(state, () => removeMembers(options));
  }

  /**
   * Comes back by an external commit.
   *
   * @param current the roster of the log; the GroupInfo has to be of it
   * @param predecessor the certificate whose row gives way, when it is not the own one
   */
  async rejoin(options: {
    current: EpochEntry;
    groupInfo: Uint8Array;
    device: Device;
    predecessor: Hex | undefined;
  }): Promise<PendingCommit> {
    const { current, groupInfo, device, predecessor } = options;
    const summary = await inspectGroupInfo(groupInfo);
    if (summary.conversation !== current.conversation || summary.epoch !== current.epoch)
      throw new ClientError("SERVER_MISBEHAVED", "the GroupInfo is of another conversation or epoch");
    requireRoster(summary.roster, current.roster);
    return rejoinGroup({
      groupInfo,
      device,
      judge: this.#judgeStanding(current.at),
      random: this.#random,
      ...(predecessor === undefined ? {} : { predecessor }),
    });
  }

  /**
   * Joins by the key package that the welcome was made for.
   *
   * @throws {ClientError} `NOT_INVITED`; whatever else shows that the group is not the one that the log describes
   */
  async join(options: {
    entry: EpochEntry;
    blobs: EpochBlobs;
    device: Device;
    keyPackages: KeyPackages;
    batch: VaultBatch;
  }): Promise<Followed & { used: OwnKeyPackage }> {
    const { entry, blobs, device, keyPackages, batch } = options;
    const { commit, welcome, groupInfo } = blobs;
    if (welcome === null) throw new ClientError("NOT_INVITED", "the entry has no welcome to join by");
    const invited = new Set<string>(inspectWelcome(welcome));
    const used = keyPackages.list().find(({ reference }) => invited.has(reference));
    if (used === undefined)
      throw new ClientError("NOT_INVITED", "the welcome is for none of the own key packages");
    const state = await joinGroup({
      conversation: entry.conversation,
      epoch: entry.epoch,
      sender: entry.sender,
      device,
      publicPackage: used.publicPackage,
      privatePackage: used.privatePackage,
      welcome,
      groupInfo,
      commit,
      judge: this.#judgeStanding(entry.at),
    });
    const badGroupInfo = await faultOf(compareGroupInfo(state, groupInfo));
    const opened = await this.#open(state, entry);
    keyPackages.remove(used, batch);
    return { ...opened, badGroupInfo, used };
  }

  /** Applies another member's commit. @throws when it can't be, or leads to another group than the log describes */
  async follow(state: Uint8Array, entry: EpochEntry, blobs: EpochBlobs): Promise<Followed> {
    const next = await wiping(state, () =>
      applyCommit({
        state,
        commit: blobs.commit,
        sender: entry.sender,
        judge: this.#judgeAt(entry.at),
        ...(entry.predecessor === undefined ? {} : { predecessor: entry.predecessor }),
      }),
    );
    const badGroupInfo = await faultOf(verifyGroupInfoOf(next, blobs.groupInfo));
    return { ...(await this.#open(next, entry)), badGroupInfo };
  }

  /** The own commit stands in the log. */
  adopt(nextState: Uint8Array, entry: EpochEntry): Promise<EpochOpening> {
    return this.#open(nextState, entry);
  }

  #open(state: Uint8Array, entry: EpochEntry): Promise<EpochOpening> {
    return wiping(state, () => this.#openState(state, entry));
  }

  async #openState(state: Uint8Array, entry: EpochEntry): Promise<EpochOpening> {
    const summary = inspectState(state);
    if (summary.conversation !== entry.conversation || summary.epoch !== entry.epoch)
      throw new ClientError(
        "SERVER_MISBEHAVED",
        "the commit leads to another conversation or epoch than the log",
      );
    requireRoster(summary.roster, entry.roster);
    const exported = await exportChains(state);
    return { state: exported.state, keys: new EpochKeys(entry.epoch, this.#own, exported.chains) };
  }

  /** A leaf that is new: good at the time of the entry. */
  #judgeAt(atMs: number): JudgeDevice {
    return (identity) => verifyDeviceIdentity(identity, this.#directory.verifyAt(identity.chain, atMs), atMs);
  }

  /** A leaf that was there before: good at that time or, when it has expired since, at its last moment. */
  #judgeStanding(atMs: number): JudgeDevice {
    return (identity) => this.#judgeAt(standingTime(identity, atMs))(identity);
  }
}

/** The rows of a tree's members. @throws {PkiError} when a certificate is nobody's */
export function rosterOf(members: readonly GroupMember[]): RosterRow[] {
  return members
    .map(({ identity, device }) => {
      const { username, email } = memberOf(decodeCertificate(leafOf(identity)));
      return { username, email, fingerprint: identity.fingerprint, device };
    })
    .sort(compareRows);
}

/** The name of a commit in the log. */
export function commitHash(commit: Uint8Array): Hex {
  return encodeHex(sha256(commit));
}

function requireRoster(members: readonly GroupMember[], signed: readonly RosterRow[]): void {
  const actual = rosterOf(members);
  const same =
    actual.length === signed.length &&
    actual.every((row, i) => {
      const other = signed[i];
      return other !== undefined && compareRows(row, other) === 0 && row.device === other.device;
    });
  if (!same) throw new ClientError("SERVER_MISBEHAVED", "the group has other members than the signed roster");
}

function leafOf({ chain }: DeviceIdentity): Uint8Array {
  const [leaf] = chain;
  if (leaf === undefined) throw new ClientError("CERTIFICATE_REFUSED", "a device without a certificate");
  return leaf;
}

async function wiping<T>(state: Uint8Array, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    state.fill(0);
  }
}

async function faultOf(check: Promise<void>): Promise<GroupError | undefined> {
  try {
    await check;
    return undefined;
  } catch (error) {
    if (error instanceof GroupError) return error;
    throw error;
  }
}

const refuseNewDevices: JudgeDevice = () => {
  throw new ClientError("CERTIFICATE_REFUSED", "no device was to be added");
};
