import type { Hex } from "../base/hex.ts";
import { type LogContext, type LogState, nextSeqno, verifyEntry } from "../log/conversationLog.ts";
import { type Entry, isIdenticalRepost } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import { rowsToRemove } from "../log/rekey.ts";
import type { LogStore } from "../store/logStore.ts";
import type { ServerMessage } from "../wire/sessionMessages.ts";
import { type FollowedLog, parseStored } from "./conversationLogs.ts";
import { describeError } from "./describeError.ts";
import { checkGroup, type NamedBlob } from "./groupCheck.ts";
import { personsOf } from "./person.ts";
import { Refusal, refusalOf, tryLater } from "./refusal.ts";
import type { Services } from "./services.ts";
import type { Session } from "./sessionRegistry.ts";
import { TimeSlice } from "./turns.ts";

/** An entry on its way into a log. */
export interface Post {
  readonly id: number;
  readonly line: string;
  readonly entry: Entry;
  readonly session: Session;
  /** Sends the answer; the first one counts. */
  readonly answer: (message: ServerMessage) => void;
  readonly answered: () => boolean;
}

/** An entry that may stand in the log at `index`. */
export interface JudgedEntry {
  readonly post: Post;
  readonly index: number;
  readonly at: number;
  readonly before: LogState | undefined;
  readonly after: LogState;
  readonly blobs: readonly NamedBlob[];
  /** The persons who get to see it. */
  readonly audience: ReadonlySet<Hex>;
}

export type Judgement =
  | { readonly kind: "accepted"; readonly judged: JudgedEntry }
  /** It stands in the log already. */
  | { readonly kind: "repost"; readonly post: Post; readonly index: number; readonly at: number }
  | { readonly kind: "refused"; readonly post: Post; readonly refusal: Refusal };

type JudgeServices = Pick<Services, "store" | "identity" | "certificates" | "limits" | "now" | "log">;

/**
 * Judges posts to one log in their order, each after those before it that may stand. Nothing is stored here. What a
 * stranger to the conversation learns is `UNKNOWN_SENDER`, whether it exists or not.
 */
export async function judgePosts(
  services: JudgeServices,
  log: FollowedLog | undefined,
  posts: readonly Post[],
  context: LogContext,
): Promise<readonly Judgement[]> {
  const roots = new Map<number, Hex>();
  const extended: LogContext = {
    certificateAt: context.certificateAt,
    rootAt: (size) => roots.get(size) ?? context.rootAt(size),
  };
  const judgements: Judgement[] = [];
  const accepted: JudgedEntry[] = [];
  let state = log?.state;
  let persons: ReadonlySet<Hex> = state === undefined ? new Set() : personsOf(state);
  let looked: LogState["roster"] | undefined;
  const slice = new TimeSlice();
  for (const post of posts) {
    await slice.orNextTurn();
    // Who was revoked can't log in: their certificates may not have been asked for since the server was started.
    if (state !== undefined && state.roster !== looked) {
      looked = state.roster;
      await services.certificates.loadForRevocation(looked.map(({ fingerprint }) => fingerprint));
    }
    const known = await standing(services.store.log, state, accepted, post);
    if (known !== undefined) {
      judgements.push({ kind: "repost", post, ...known });
      continue;
    }
    try {
      const at = Math.max(services.now(), state?.lastAt ?? 0);
      const after = verifyEntry(state, post.entry, at, extended);
      const blobs = await checkBeyondLog(services, post, state, at);
      const later = state?.roster === after.roster ? persons : personsOf(after);
      const audience = later === persons ? persons : persons.union(later);
      const judged = { post, index: after.size - 1, at, before: state, after, blobs, audience };
      judgements.push({ kind: "accepted", judged });
      accepted.push(judged);
      roots.set(after.size, after.root);
      state = after;
      persons = later;
    } catch (error) {
      const refusal = withDetail(refusalOf(error), post, state, services.now());
      if (refusal.code === "INTERNAL")
        services.log("ERROR", `${post.session.member.tag} post failed: ${describeError(error)}`);
      judgements.push({ kind: "refused", post, refusal });
    }
  }
  return judgements;
}

/** @returns where an entry with the same signed bytes stands: in the log, or in front of it in the same batch */
async function standing(
  store: LogStore,
  state: LogState | undefined,
  accepted: readonly JudgedEntry[],
  { entry }: Post,
): Promise<{ index: number; at: number } | undefined> {
  if (state === undefined || entry.seqno >= nextSeqno(state, entry.sender)) return undefined;
  const near = accepted.find(
    ({ post }) => post.entry.sender === entry.sender && post.entry.seqno === entry.seqno,
  );
  if (near !== undefined)
    return isIdenticalRepost(near.post.entry, entry) ? { index: near.index, at: near.at } : undefined;
  const stored = await store.entryBySeqno(entry.conversation, entry.sender, entry.seqno);
  if (stored === undefined || !isIdenticalRepost(parseStored(stored), entry)) return undefined;
  return { index: stored.index, at: stored.at };
}

/** What the server demands beyond the rules of the log, which hold already. @throws {Refusal} */
async function checkBeyondLog(
  services: JudgeServices,
  { entry, session }: Post,
  before: LogState | undefined,
  at: number,
): Promise<readonly NamedBlob[]> {
  const { certificates, store, limits } = services;
  if (certificates.isRevoked(entry.sender, at))
    throw new Refusal("CERTIFICATE_REVOKED", "the certificate of this session is revoked");
  if (entry.kind === "message") {
    const out =
      before === undefined
        ? []
        : rowsToRemove(before, { nowMs: at, isRevoked: (one) => certificates.isRevoked(one, at) });
    const [row] = out;
    if (row !== undefined)
      throw new Refusal(
        "REKEY_NEEDED",
        `remove ${row.username} (${row.fingerprint}) before the next message`,
      );
    return [];
  }
  const { person } = session.member;
  const nowMs = services.now();
  if (entry.kind === "membership") {
    // Also for those that are refused below, which costs more.
    const subject = `commit:${person}:${entry.conversation}`;
    const waitMs = await store.accounts.takeToken({ subject, ...limits.commits, nowMs });
    if (waitMs > 0) throw tryLater("too many changes of the group", waitMs);
  }
  const blobs = await checkGroup(services, { entry, person, before, at });
  if (entry.kind === "create") {
    const bucket = { subject: `create:${person}`, ...limits.conversationCreations, nowMs };
    const waitMs = await store.accounts.takeToken(bucket);
    if (waitMs > 0) throw tryLater("too many new conversations", waitMs);
  }
  return blobs;
}

/** Adds what a client's program needs to put it right. */
function withDetail(refusal: Refusal, { entry }: Post, state: LogState | undefined, nowMs: number): Refusal {
  if (!(refusal.cause instanceof LogError)) return refusal;
  switch (refusal.code) {
    case "CLOCK":
      return new Refusal(refusal.code, refusal.message, { detail: String(nowMs), cause: refusal.cause });
    case "REPLAY":
    case "GAP":
      return new Refusal(refusal.code, refusal.message, {
        detail: String(nextSeqno(state, entry.sender)),
        cause: refusal.cause,
      });
    default:
      return refusal;
  }
}
