import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { crypto, sha256 } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { buildStatement } from "../../src/evidence/receiptStatement.ts";
import {
  addMembers,
  createGroup,
  type PendingCommit,
  rejoinGroup,
  removeMembers,
  updatePath,
} from "../../src/group/conversationGroup.ts";
import type { Device } from "../../src/group/device.ts";
import {
  type CreateBody,
  encodeAcknowledgeBody,
  encodeCreateBody,
  encodeLeaveBody,
  encodeMembershipBody,
  type MembershipBody,
} from "../../src/log/bodies.ts";
import { type LogState, nextSeqno, verifyEntry } from "../../src/log/conversationLog.ts";
import {
  computeCommitment,
  type Entry,
  type EntryKind,
  formatEntry,
  parseEntry,
  signEntry,
  type UnsignedEntry,
} from "../../src/log/entry.ts";
import { emptyRoot } from "../../src/log/merkle.ts";
import { RootHistory } from "../../src/log/rootHistory.ts";
import { compareRows, type RosterRow } from "../../src/log/roster.ts";
import { formatTranscriptLine } from "../../src/log/transcript.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { maxBlobPieceBytes } from "../../src/wire/sessionMessages.ts";
import type { Issued, TestAuthority } from "../pki/testAuthority.ts";
import type { RawClient } from "./rawClient.ts";
import { newKeyPackage, type Person, type TestServer } from "./testServer.ts";

type Overrides = Partial<UnsignedEntry> & { ct?: Uint8Array };

/** Uploads as a client does, piece by piece. @returns SHA-256 */
export async function upload(client: RawClient, data: Uint8Array): Promise<Hex> {
  const digest = encodeHex(sha256(data));
  for (let offset = 0; offset < data.length; offset += maxBlobPieceBytes) {
    const piece = data.subarray(offset, offset + maxBlobPieceBytes);
    const put = { sha256: digest, size: data.length, offset, data: piece };
    if ((await client.expect("blob_stored", { type: "put_blob", ...put })).complete) break;
  }
  return digest;
}

export function rowOf(person: Person, device: Hex = deviceOf(person.device)): RosterRow {
  const { username, email, certificate } = person;
  return { username, email, fingerprint: certificate.fingerprint, device };
}

function deviceOf({ identity }: Device): Hex {
  return encodeHex(sha256(identity.devicePublicKey));
}

export function rosterOf(...people: Person[]): RosterRow[] {
  return people.map((person) => rowOf(person)).sort(compareRows);
}

/** Whose log it is and who vouches for everybody's names. */
interface ServerOfLog {
  readonly authority: Pick<TestAuthority, "ca">;
  readonly identity: Pick<Issued, "certificate">;
}

/**
 * A conversation as its members see it: real entries, real MLS commits, the same rules. Only what messages say is made
 * up, since a server can't read it.
 */
export class TestConversation {
  readonly id: Hex = encodeHex(systemRandom(16));
  readonly #server: ServerOfLog;
  readonly #roots = new RootHistory();
  #people: Person[];
  /** MLS state of whoever commits. */
  #group: Uint8Array | undefined;
  #groupInfo: Uint8Array | undefined;
  #state: LogState | undefined;

  constructor(server: ServerOfLog, ...people: Person[]) {
    this.#server = server;
    this.#people = people;
  }

  get isEmpty(): boolean {
    return this.#state === undefined;
  }

  get state(): LogState {
    if (this.#state === undefined) throw new Error("the log is empty");
    return this.#state;
  }

  rootAt(size: number): Hex {
    const root = this.#roots.at(size);
    if (root === undefined) throw new Error(`no root of ${size} entries`);
    return root;
  }

  knows(person: Person): void {
    this.#people.push(person);
  }

  /** Makes the group and uploads its blobs. @returns the line of `create` */
  async create(
    client: RawClient,
    creator: Person,
    others: readonly Person[],
    body: Partial<CreateBody> = {},
    overrides: Overrides = {},
  ): Promise<string> {
    const packages = await Promise.all(others.map(({ device }) => newKeyPackage(device)));
    const pending = await createGroup({
      conversation: this.id,
      device: creator.device,
      keyPackages: packages.map(({ publicPackage }) => publicPackage),
      judge: () => undefined,
      random: systemRandom,
      nowMs: Date.now(),
    });
    const blobs = await this.#adopt(client, pending);
    const whole: CreateBody = {
      kind: "direct",
      title: "",
      server: { name: "localhost", fingerprint: this.#server.identity.certificate.fingerprint },
      admins: [],
      roster: rosterOf(creator, ...others),
      crl: null,
      ...blobs,
      welcome: blobs.welcome ?? encodeHex(systemRandom(32)),
      ...body,
    };
    return this.line(creator, "create", { ct: encodeCreateBody(whole), ...overrides });
  }

  /** The next commit of the creator: a fresh path, people in, or people out. @returns the line of `membership` */
  async commit(
    client: RawClient,
    committer: Person,
    change: { add?: readonly Person[]; remove?: readonly Person[] } = {},
    body: Partial<MembershipBody> = {},
    overrides: Overrides = {},
  ): Promise<string> {
    const { add = [], remove = [] } = change;
    const state = this.#group;
    if (state === undefined) throw new Error("there is no group");
    const by = { state, device: committer.device, judge: () => undefined, random: systemRandom };
    const packages = await Promise.all(add.map(({ device }) => newKeyPackage(device)));
    const pending =
      add.length > 0
        ? await addMembers({
            ...by,
            keyPackages: packages.map(({ publicPackage }) => publicPackage),
            nowMs: Date.now(),
          })
        : remove.length > 0
          ? await removeMembers({
              ...by,
              fingerprints: remove.map(({ certificate }) => certificate.fingerprint),
            })
          : await updatePath(by);
    const gone = new Set(remove.map(({ certificate }) => certificate.fingerprint));
    const roster = [
      ...this.state.roster.filter(({ fingerprint }) => !gone.has(fingerprint)),
      ...rosterOf(...add),
    ];
    const action = add.length > 0 ? "add" : remove.length > 0 ? "remove" : "update";
    return this.membership(client, committer, pending, { action, roster, ...body }, overrides);
  }

  /** Comes back with another device on the newest GroupInfo. @returns the line of `membership` */
  async rejoin(client: RawClient, person: Person, device: Device): Promise<string> {
    const pending = await this.external(device);
    const { fingerprint } = person.certificate;
    const roster = this.state.roster.map((row) =>
      row.fingerprint === fingerprint ? rowOf(person, deviceOf(device)) : row,
    );
    return this.membership(client, person, pending, { action: "rejoin", roster });
  }

  /** A commit from outside by a device, in the place of its own leaf or of that of another certificate. */
  async external(device: Device, predecessor?: Hex): Promise<PendingCommit> {
    if (this.#groupInfo === undefined) throw new Error("there is no group");
    return rejoinGroup({
      groupInfo: this.#groupInfo,
      device,
      judge: () => undefined,
      random: systemRandom,
      ...(predecessor === undefined ? {} : { predecessor }),
    });
  }

  async membership(
    client: RawClient,
    committer: Person,
    pending: PendingCommit,
    body: Partial<MembershipBody>,
    overrides: Overrides = {},
  ): Promise<string> {
    const whole: MembershipBody = {
      action: "update",
      admins: this.state.admins,
      crl: null,
      ...(await this.#adopt(client, pending)),
      ...body,
      roster: [...(body.roster ?? this.state.roster)].sort(compareRows),
    };
    return this.line(committer, "membership", { ct: encodeMembershipBody(whole), ...overrides });
  }

  message(person: Person, overrides: Overrides = {}): string {
    return this.line(person, "message", overrides);
  }

  /** An entry that keeps all rules but for what the test replaces. */
  line(person: Person, kind: EntryKind, overrides: Overrides = {}): string {
    return formatEntry(this.sign(person, kind, overrides));
  }

  sign(person: Person, kind: EntryKind, overrides: Overrides = {}): Entry {
    const nothing =
      kind === "acknowledge"
        ? encodeAcknowledgeBody({ disputed: [], unprocessable: [] })
        : kind === "leave"
          ? encodeLeaveBody()
          : systemRandom(28 + 64);
    const { ct = nothing, ...others } = overrides;
    const sender = person.certificate.fingerprint;
    const seqno = nextSeqno(this.#state, sender);
    const commitment =
      kind === "message"
        ? computeCommitment({
            opening: systemRandom(32),
            conversation: this.id,
            sender,
            seqno,
            plaintext: encodeUtf8("words"),
          })
        : ("-" as const);
    const unsigned: UnsignedEntry = {
      v: 2,
      conversation: this.id,
      sender,
      seqno,
      ts: Date.now(),
      kind,
      view: { size: this.#state?.size ?? 0, root: this.#state?.root ?? emptyRoot },
      epoch: this.#state?.epoch ?? 0,
      commitment,
      ...others,
    };
    return signEntry(unsigned, ct, person.key);
  }

  /** Takes in what the server says stands in the log next. @returns the root with it */
  take(line: string, at: number): Hex {
    const certificates = [
      this.#server.identity.certificate,
      ...this.#people.map(({ certificate }) => certificate),
    ];
    const context = {
      certificateAt: (fingerprint: Hex, atMs: number) => {
        const leaf = certificates.find((one) => one.fingerprint === fingerprint);
        if (leaf === undefined) throw new Error(`no certificate ${fingerprint}`);
        const anchors = [this.#server.authority.ca];
        return verifyPath({ leaf, intermediates: [], anchors, crls: [], purpose: "evidence", atMs });
      },
      rootAt: (size: number) => this.#roots.at(size),
    };
    this.#state = verifyEntry(this.#state, parseEntry(line), at, context);
    this.#roots.append(this.#state.root);
    return this.#state.root;
  }

  /** Posts a line that must be accepted, and takes it in. */
  async post(client: RawClient, line: string): Promise<void> {
    const accepted = await client.expect("accepted", { type: "post", line });
    this.take(line, accepted.at);
    if (accepted.index !== this.state.size - 1) throw new Error(`accepted at ${accepted.index}`);
    if (accepted.checkpoint.size !== this.state.size || accepted.checkpoint.root !== this.state.root)
      throw new Error("the checkpoint is not that of the log");
  }

  async #adopt(client: RawClient, pending: PendingCommit) {
    this.#group = pending.nextState;
    this.#groupInfo = pending.groupInfo;
    return {
      commit: await upload(client, pending.commit),
      welcome: pending.welcome === null ? null : await upload(client, pending.welcome),
      group: await upload(client, pending.groupInfo),
    };
  }
}

/** Two people who are registered and connected, with a direct conversation of one entry. */
export async function directConversation(server: TestServer, names: readonly [string, string]) {
  const [alice, bob] = [await server.person(names[0]), await server.person(names[1])];
  const [aliceClient, bobClient] = [await server.register(alice), await server.register(bob)];
  const conversation = new TestConversation(server, alice, bob);
  await conversation.post(aliceClient, await conversation.create(aliceClient, alice, [bob]));
  await bobClient.push("pushed");
  return { alice, bob, aliceClient, bobClient, conversation };
}

/** What the client makes of the log as the server hands it out. */
export async function statementOf(client: RawClient, conversation: TestConversation): Promise<Uint8Array> {
  const { entries } = await client.expect("entries", {
    type: "fetch_entries",
    conversation: conversation.id,
    from: 0,
    limit: 256,
  });
  const hash = crypto().sha256Stream();
  for (const [index, { at, line }] of entries.entries())
    hash.update(
      new TextEncoder().encode(`${formatTranscriptLine({ entry: parseEntry(line), index, at })}\n`),
    );
  return buildStatement({ state: conversation.state, sha256: encodeHex(hash.digest()) });
}
