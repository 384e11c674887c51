import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import { verifyConsistency } from "../evidence/consistencyProof.ts";
import { decodeBody } from "../log/bodies.ts";
import { verifyCheckpoint } from "../log/checkpoint.ts";
import { type LogContext, type LogState, verifyEntry } from "../log/conversationLog.ts";
import { type Entry, leafHash, parseEntry } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import { isServer } from "../log/memberIdentity.ts";
import { appendLeaf, emptyFrontier, rootOf } from "../log/merkle.ts";
import { decodeCertificate } from "../pki/certificate.ts";
import { serverNames } from "../pki/identity.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type VerifiedCertificate, verifyPath } from "../pki/verifyPath.ts";
import type { Request, ServerMessage } from "../wire/sessionMessages.ts";
import { signState } from "./checkpoints.ts";
import { type ConversationLogs, certificatesOf, type FollowedLog } from "./conversationLogs.ts";
import type { JudgedEntry } from "./entryJudge.ts";
import { namedBlobs } from "./groupCheck.ts";
import { logAppendOf, logChangeOf } from "./logAppend.ts";
import { expiredConversation, hasExpired } from "./missingConversation.ts";
import { certificateRecord, personId, personsOf } from "./person.ts";
import { Refusal, refusalOf } from "./refusal.ts";
import type { Relay } from "./relay.ts";
import type { Restoration } from "./restoration.ts";
import type { Services } from "./services.ts";
import type { Session } from "./sessionRegistry.ts";
import { TimeSlice } from "./turns.ts";

type Returned = Extract<Request, { type: "return_entries" }>;
type Taken = Extract<ServerMessage, { type: "entries_taken" }>;

export interface ReturnServices
  extends Pick<
    Services,
    "store" | "identity" | "certificates" | "anchors" | "sessions" | "now" | "log" | "retentionDays"
  > {
  readonly logs: ConversationLogs;
  readonly relay: Relay;
  readonly restoration: Restoration;
}

/**
 * Takes back entries that this server has signed for and that its store lacks, byte for byte: each keeps all rules of
 * the log behind the server's own prefix, and the log with them is a prefix of what the checkpoint's root stands for.
 *
 * @returns the size of the log now; entries that are not those that come next change nothing
 * @throws {Refusal} `BAD_VIEW` they are not under the checkpoint; `NOT_FOUND` the client's person was never a member; the codes of the log
 */
export async function returnEntries(
  request: Returned,
  session: Session,
  services: ReturnServices,
): Promise<ServerMessage> {
  const { logs, store, log } = services;
  const { id, conversation, from, checkpoint } = request;
  const entries = request.entries.map(({ at, line }) => ({ at, line, entry: parsed(line) }));
  if (entries.some(({ entry }) => entry.conversation !== conversation))
    throw new Refusal("MALFORMED", "an entry of another conversation");
  const expired = await expiredConversation(services, conversation);
  if (expired !== undefined) throw expired;
  const own = await logs.open(conversation);
  if (own !== undefined) requireMember(own.state, session.member.person);
  const size = own?.state.size ?? 0;
  const taken = (now: number): Taken => ({ type: "entries_taken", id, conversation, size: now });
  const chains = new ReturnedChains(request, services);
  chains.requireOwnCheckpoint(
    serverNameOf(own, entries),
    await chains.find(checkpoint.server, checkpoint.at),
  );
  if (checkpoint.size <= size || from !== size || entries.length === 0) return taken(size);
  requirePrefix(own, entries, request);
  const judged = await judge(own, entries, { session, chains, services });
  await services.restoration.shown(conversation, checkpoint.at, session);
  await chains.keep(entries);

  const last = judged.at(-1);
  if (last === undefined) return taken(size);
  const state = last.after;
  const covering =
    state.size === checkpoint.size ? checkpoint : signState(state, services.identity, services.now());
  const append = logAppendOf(judged, covering);
  const outcome = await store.log.append(append).catch((error: unknown) => {
    // Perhaps only the answer was lost: those who are online are told what stands there.
    void services.relay.follow(logChangeOf(append));
    throw error;
  });
  switch (outcome.kind) {
    case "conflict":
      return taken(outcome.size);
    case "pair_exists":
      throw new Refusal("CONVERSATION_EXISTS", "the two have begun another conversation since", {
        detail: outcome.conversation,
      });
    case "blob_missing":
      throw new Refusal("BAD_BLOB", `the blob ${outcome.sha256} has gone meanwhile`);
    case "expired":
      throw hasExpired(services.retentionDays);
    case "appended":
  }
  logs.advance(
    state,
    new Map([...(own?.roots ?? []), ...judged.map(({ after }) => [after.size, after.root] as const)]),
  );
  log(
    "INFO",
    `${session.member.tag} has handed back ${judged.length} entries of conversation ${conversation}`,
  );
  void services.relay.follow(logChangeOf(append));
  return taken(state.size);
}

interface ReturnedEntry {
  readonly at: number;
  readonly line: string;
  readonly entry: Entry;
}

/** The name that the conversation knows its server by, which must be this one's. @throws {Refusal} */
function serverNameOf(own: FollowedLog | undefined, [first]: readonly ReturnedEntry[]): string {
  if (own !== undefined) return own.state.server.name;
  const body = first === undefined ? undefined : decodedBody(first.entry);
  if (body?.kind !== "create") throw new Refusal("NOT_FOUND", "there is no such conversation for you here");
  return body.body.server.name;
}

/** The certificates that the client has brought, and those that the store has. */
class ReturnedChains {
  readonly #request: Returned;
  readonly #services: ReturnServices;
  /** DER, by the fingerprint of the leaf. Decoded when they are needed: anybody may send a great many. */
  readonly #brought: ReadonlyMap<Hex, readonly Uint8Array[]>;

  constructor(request: Returned, services: ReturnServices) {
    this.#request = request;
    this.#services = services;
    this.#brought = new Map(
      request.chains.map((chain) => [encodeHex(sha256(chain[0] ?? new Uint8Array(0))), chain]),
    );
  }

  /** @throws {Refusal} unless the server with this certificate is of this name, which is one of ours, and has signed it */
  requireOwnCheckpoint(name: string, server: VerifiedCertificate): void {
    const { identity } = this.#services;
    const { conversation, checkpoint } = this.#request;
    if (!serverNames(identity.verified.certificate).includes(name))
      throw new Refusal("BAD_BODY", `this server is not ${name}`);
    verifyCheckpoint({ conversation, ...checkpoint }, server, name);
  }

  /** @throws {Refusal} `CERTIFICATE_INVALID` */
  async find(fingerprint: Hex, atMs: number): Promise<VerifiedCertificate> {
    await this.#services.certificates.load([fingerprint]);
    try {
      return this.at(fingerprint, atMs);
    } catch (cause) {
      if (!(cause instanceof PkiError)) throw cause;
      throw new Refusal("CERTIFICATE_INVALID", cause.message, { cause });
    }
  }

  /** The store's, once it was loaded, goes first. @throws {PkiError} */
  at(fingerprint: Hex, atMs: number): VerifiedCertificate {
    const { certificates, anchors } = this.#services;
    const [leaf, ...intermediates] = (this.#brought.get(fingerprint) ?? []).map(decodeCertificate);
    if (certificates.has(fingerprint) || leaf === undefined) return certificates.at(fingerprint, atMs);
    return verifyPath({ leaf, intermediates, anchors, crls: [], purpose: "evidence", atMs });
  }

  /** Brings those that entries and checkpoint name into the store, once all was found good. @throws {Refusal} `CERTIFICATE_INVALID` */
  async keep(entries: readonly ReturnedEntry[]): Promise<void> {
    const { checkpoint } = this.#request;
    const named = new Map([[checkpoint.server, checkpoint.at]]);
    for (const { entry, at } of entries)
      for (const fingerprint of certificatesOf(entry))
        if (!named.has(fingerprint)) named.set(fingerprint, at);
    // The store is asked and not the book: where it was put back under this process the book remembers what it has lost.
    for (const { fingerprint } of await this.#services.store.accounts.certificates([...named.keys()]))
      named.delete(fingerprint);
    for (const [fingerprint, at] of named) await this.#keep(fingerprint, at);
  }

  async #keep(fingerprint: Hex, at: number): Promise<void> {
    const { certificates, store, now } = this.#services;
    const verified = await this.find(fingerprint, at);
    // A server's may be its operator's, who is a member.
    const role = isServer(verified.certificate) ? "server" : "user";
    const record = certificateRecord(verified, role);
    if ((await store.accounts.putCertificate(record, now())) !== "stored")
      throw new Refusal(
        "CERTIFICATE_INVALID",
        "the server knows another certificate with this issuer and serial",
      );
    await certificates.load([fingerprint]);
  }
}

/** @throws {Refusal} `BAD_VIEW` unless the log with these entries is what the server has signed the beginning of */
function requirePrefix(
  own: FollowedLog | undefined,
  entries: readonly ReturnedEntry[],
  { checkpoint, path }: Returned,
): void {
  let frontier = own?.state.frontier ?? emptyFrontier;
  for (const { entry, at } of entries) frontier = appendLeaf(frontier, leafHash(entry, at));
  const first = { size: frontier.size, root: rootOf(frontier) };
  const second = { size: checkpoint.size, root: Uint8Array.fromHex(checkpoint.root) };
  const hashes = path.map((hash) => Uint8Array.fromHex(hash));
  if (!verifyConsistency(first, second, hashes))
    throw new Refusal("BAD_VIEW", "these entries are not those that this server has signed for");
}

/** @throws {Refusal} */
async function judge(
  own: FollowedLog | undefined,
  entries: readonly ReturnedEntry[],
  { session, chains, services }: { session: Session; chains: ReturnedChains; services: ReturnServices },
): Promise<readonly JudgedEntry[]> {
  const { logs, store } = services;
  const { person } = session.member;
  const roots = new Map(own?.roots);
  const judged: JudgedEntry[] = [];
  let state = own?.state;
  const slice = new TimeSlice();
  for (const returned of entries) {
    await slice.orNextTurn();
    const { entry, at, line } = returned;
    const known = await logs.prepare(entry.conversation, roots, [entry]);
    const context: LogContext = { ...known, certificateAt: (one, atMs) => chains.at(one, atMs) };
    const after = verified(state, returned, context);
    if (state === undefined) requireMember(after, person);
    const audience: ReadonlySet<Hex> = new Set([
      ...(state === undefined ? [] : personsOf(state)),
      ...personsOf(after),
    ]);
    const body = decodedBody(entry);
    const named = body.kind === "create" || body.kind === "membership" ? namedBlobs(body.body) : [];
    const blobs = [];
    for (const blob of named)
      if ((await store.blobs.ownBlob(person, blob.sha256)) !== undefined) blobs.push(blob);
    const post = { id: 0, line, entry, session, answer: () => undefined, answered: () => true };
    judged.push({ post, index: after.size - 1, at, before: state, after, blobs, audience });
    roots.set(after.size, after.root);
    state = after;
  }
  return judged;
}

/** @throws {Refusal} */
function verified(state: LogState | undefined, { entry, at }: ReturnedEntry, context: LogContext): LogState {
  try {
    return verifyEntry(state, entry, at, context);
  } catch (error) {
    if (error instanceof LogError && error.code === "TIME_ORDER")
      throw new Refusal("BAD_VIEW", error.message, { cause: error });
    throw refusalOf(error);
  }
}

/** Whoever was in the roster once. @throws {Refusal} `NOT_FOUND` */
function requireMember(state: LogState, person: Hex): void {
  for (const sender of state.senders.values()) if (personId(sender) === person) return;
  throw new Refusal("NOT_FOUND", "there is no such conversation for you here");
}

function parsed(line: string): Entry {
  try {
    return parseEntry(line);
  } catch (error) {
    throw refusalOf(error);
  }
}

function decodedBody(entry: Entry) {
  try {
    return decodeBody(entry);
  } catch (error) {
    throw refusalOf(error);
  }
}
