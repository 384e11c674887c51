import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { EpochKeys } from "../../src/client/epochKeys.ts";
import { commitHash, rosterOf } from "../../src/client/groupFollower.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import {
  applyCommit,
  createGroup,
  exportChains,
  type PendingCommit,
  rejoinGroup,
  updatePath,
} from "../../src/group/conversationGroup.ts";
import type { Device } from "../../src/group/device.ts";
import { sealMessage } from "../../src/group/ratchet.ts";
import {
  type CreateBody,
  decodeBody,
  encodeCreateBody,
  encodeMembershipBody,
  type MembershipBody,
} from "../../src/log/bodies.ts";
import {
  associatedData,
  computeCommitment,
  type Entry,
  type EntryKind,
  formatEntry,
  parseEntry,
  signEntry,
  type UnsignedEntry,
} from "../../src/log/entry.ts";
import type { ServerMessage } from "../../src/wire/sessionMessages.ts";
import { Member } from "../group/testGroup.ts";
import type { RawClient } from "../server/rawClient.ts";
import { TestConversation, upload } from "../server/testConversation.ts";
import { newDevice, type Person, type TestServer } from "../server/testServer.ts";
import type { Party } from "./testParty.ts";

type Overrides = Partial<UnsignedEntry> & { ct?: Uint8Array };
type SealOverrides = Overrides & { readonly committed?: string | Uint8Array };

/**
 * A member with good keys and a real connection that keeps to the rules only as far as a test lets it. It follows the log as
 * far as it can, so that it can go on after what honest members do about it.
 */
export class HostileMember {
  readonly person: Person;
  readonly client: RawClient;
  readonly #server: TestServer;
  device: Device;
  log: TestConversation;
  #people: readonly Person[] = [];
  /** MLS state of the present epoch, `undefined` when it could not follow. */
  #state: Uint8Array | undefined;
  #groupInfo: Uint8Array | undefined;
  #keys: EpochKeys | undefined;
  #pending: PendingCommit | undefined;
  #isLast = false;

  private constructor(server: TestServer, person: Person, client: RawClient) {
    this.person = person;
    this.device = person.device;
    this.client = client;
    this.#server = server;
    this.log = new TestConversation(server, person);
  }

  static async register(server: TestServer, name: string): Promise<HostileMember> {
    const person = await server.newPerson(name);
    return new HostileMember(server, person, await server.register(person));
  }

  get conversation(): Hex {
    return this.log.id;
  }

  get fingerprint(): Hex {
    return this.person.certificate.fingerprint;
  }

  /** What a commit of its own is made from. */
  get by() {
    return { state: this.state, device: this.device, judge: () => undefined, random: systemRandom };
  }

  get state(): Uint8Array {
    if (this.#state === undefined) throw new Error("it is not in the group");
    return this.#state;
  }

  get groupInfo(): Uint8Array {
    if (this.#groupInfo === undefined) throw new Error("there is no group");
    return this.#groupInfo;
  }

  /** Itself as the tools of test/group want it. */
  get member(): Member {
    const { certificate, chain, key, username } = this.person;
    const identity = { der: certificate.der, fingerprint: certificate.fingerprint, chain, key };
    const member = new Member(username, identity);
    member.device = this.device;
    member.state = this.#state;
    return member;
  }

  /** Whether the present epoch is one that it opened itself. */
  get isLast(): boolean {
    return this.#isLast;
  }

  async packagesOf(username: string): Promise<Uint8Array[]> {
    const { packages } = await this.client.expect("key_packages", { type: "fetch_key_packages", username });
    return packages.map((one) => one.package);
  }

  /** Begins another conversation, which takes the place of the last one here. @param change of what is posted */
  async begin(
    others: readonly Party[],
    body: Partial<CreateBody> = {},
    change: (made: PendingCommit) => PendingCommit | Promise<PendingCommit> = (made) => made,
  ): Promise<ServerMessage> {
    this.#people = others.map(({ person }) => person);
    this.log = new TestConversation(this.#server, this.person, ...this.#people);
    this.device = newDevice(this.person.issued);
    const keyPackages = await Promise.all(others.map(({ person }) => this.packagesOf(person.username)));
    const { conversation, device } = this;
    const made = await change(
      await createGroup({
        ...{ conversation, device, keyPackages: keyPackages.flat() },
        ...{ judge: () => undefined, random: systemRandom, nowMs: Date.now() },
      }),
    );
    this.#pending = made;
    const blobs = await this.#upload(made);
    const whole: CreateBody = {
      kind: "group",
      title: "three of us",
      server: { name: "localhost", fingerprint: this.#server.identity.certificate.fingerprint },
      admins: [],
      roster: rosterOf(made.roster),
      crl: null,
      ...blobs,
      welcome: blobs.welcome ?? encodeHex(systemRandom(32)),
      ...body,
    };
    return this.post("create", { ct: encodeCreateBody(whole) });
  }

  /** Posts a commit. @param body what the entry says beside what follows from the commit */
  async commit(made: PendingCommit, body: Partial<MembershipBody> = {}): Promise<ServerMessage> {
    this.#pending = made;
    const whole: MembershipBody = {
      action: "update",
      admins: this.log.state.admins,
      roster: rosterOf(made.roster),
      crl: null,
      ...(await this.#upload(made)),
      ...body,
    };
    return this.post("membership", { ct: encodeMembershipBody(whole) });
  }

  /** A fresh path, good but for what is changed. */
  async update(
    change: (made: PendingCommit) => PendingCommit | Promise<PendingCommit> = (made) => made,
  ): Promise<ServerMessage> {
    return this.commit(await change(await updatePath(this.by)));
  }

  /** Comes back by an external commit with another device. */
  async rejoin(): Promise<ServerMessage> {
    this.device = newDevice(this.person.issued);
    const { groupInfo, device } = this;
    const made = await rejoinGroup({ groupInfo, device, judge: () => undefined, random: systemRandom });
    return this.commit(made, { action: "rejoin" });
  }

  /** Words under the key that is due. @param over `committed`: the words that are committed to, when they are others */
  async say(text: string | Uint8Array, over: SealOverrides = {}): Promise<ServerMessage> {
    const { line } = this.sealed(text, over);
    return this.postLine(line);
  }

  sealed(text: string | Uint8Array, { committed = text, ...over }: SealOverrides = {}) {
    const { person, conversation, fingerprint: sender } = this;
    const draft = this.log.sign(person, "message", over);
    const opening = systemRandom(32);
    const plaintext = bytesOf(committed);
    const commitment =
      over.commitment ?? computeCommitment({ opening, conversation, sender, seqno: draft.seqno, plaintext });
    const unsigned = { ...draft, commitment };
    const ct =
      over.ct ??
      sealMessage({
        ...{ key: this.#epochKeys.sendKey(0), nonce12: systemRandom(12), opening32: opening },
        ...{ associatedData: associatedData(unsigned), plaintext: bytesOf(text) },
      });
    return { line: formatEntry(signEntry(unsigned, ct, person.key)), opening };
  }

  post(kind: EntryKind, over: Overrides = {}): Promise<ServerMessage> {
    return this.postLine(this.log.line(this.person, kind, over));
  }

  /** @returns the answer, after everything that stands was taken in */
  async postLine(line: string): Promise<ServerMessage> {
    const answer = await this.client.request({ type: "post", line });
    if (answer.type === "accepted") await this.sync();
    return answer;
  }

  /** Takes in what stands in the log. */
  async sync(): Promise<void> {
    for (;;) {
      const from = this.size;
      const { conversation } = this;
      const request = { type: "fetch_entries", conversation, from, limit: 64 } as const;
      const { entries } = await this.client.expect("entries", request);
      if (entries.length === 0) return;
      for (const { line, at } of entries) {
        this.log.take(line, at);
        await this.#follow(parseEntry(line));
      }
    }
  }

  get size(): number {
    return this.log.isEmpty ? 0 : this.log.state.size;
  }

  async #follow(entry: Entry): Promise<void> {
    const body = decodeBody(entry);
    if (body.kind === "message") this.#keys?.advance(entry.sender);
    if (body.kind !== "create" && body.kind !== "membership") return;
    const pending = this.#pending;
    this.#pending = undefined;
    this.#groupInfo = await this.#download(body.body.group);
    const isOwn = pending !== undefined && commitHash(pending.commit) === body.body.commit;
    this.#state = isOwn ? pending.nextState : await this.#apply(entry, body.body.commit);
    this.#keys = undefined;
    this.#isLast = isOwn;
    if (this.#state === undefined) return;
    const { state, chains } = await exportChains(this.#state);
    this.#state = state;
    this.#keys = new EpochKeys(this.log.state.epoch, this.fingerprint, chains);
  }

  async #apply({ sender }: Entry, commit: Hex): Promise<Uint8Array | undefined> {
    const state = this.#state;
    if (state === undefined) return undefined;
    const bytes = await this.#download(commit);
    return applyCommit({ state, commit: bytes, sender, judge: () => undefined }).catch(() => undefined);
  }

  get #epochKeys(): EpochKeys {
    if (this.#keys === undefined) throw new Error("it has no keys of this epoch");
    return this.#keys;
  }

  async #upload(made: PendingCommit) {
    return {
      commit: await upload(this.client, made.commit),
      welcome: made.welcome === null ? null : await upload(this.client, made.welcome),
      group: await upload(this.client, made.groupInfo),
    };
  }

  async #download(sha256: Hex): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let offset = 0, size = 1; offset < size; ) {
      const piece = await this.client.expect("blob", { type: "fetch_blob", sha256, offset });
      pieces.push(piece.data);
      size = piece.size;
      offset += piece.data.length;
    }
    return Buffer.concat(pieces);
  }
}

function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? encodeUtf8(text) : text;
}
