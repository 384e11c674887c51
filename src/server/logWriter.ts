import type { Hex } from "../base/hex.ts";
import type { LogChange } from "../store/changeFeed.ts";
import type { AppendOutcome, LogAppend } from "../store/logStore.ts";
import { checkpointFor, signState } from "./checkpoints.ts";
import type { ConversationLogs, FollowedLog } from "./conversationLogs.ts";
import { type Delivery, deliver } from "./delivery.ts";
import { describeError } from "./describeError.ts";
import { type JudgedEntry, type Judgement, judgePosts, type Post } from "./entryJudge.ts";
import { type Deliveries, type ForeignEntries, noDeliveries } from "./foreignEntries.ts";
import { logAppendOf, logChangeOf } from "./logAppend.ts";
import { expiredConversation, hasExpired } from "./missingConversation.ts";
import { Refusal, refused } from "./refusal.ts";
import type { Restoration } from "./restoration.ts";
import type { Services } from "./services.ts";

/** How often somebody else may append to the log while a batch is judged; after that it is judged when it is its turn. */
const maxConflicts = 2;
/** Only a log that is just being created can conflict then. */
const maxConflictsInTurn = 8;

type WriterServices = Pick<
  Services,
  "store" | "identity" | "certificates" | "limits" | "now" | "sessions" | "log" | "meter" | "retentionDays"
> & { readonly logs: ConversationLogs; readonly restoration: Restoration };

/** A batch as it was judged after what the log held. */
interface Judged {
  readonly log: FollowedLog | undefined;
  readonly judgements: readonly Judgement[];
  readonly accepted: readonly JudgedEntry[];
  /** What is to be stored of it, if anything may stand. */
  readonly append: LogAppend | undefined;
}

/**
 * Puts batches of posts into the logs: judges them after what the log holds, stores those that may stand in one transaction
 * under one checkpoint, and only when that is durable answers and pushes them.
 */
export class LogWriter {
  readonly #services: WriterServices;
  readonly #foreign: ForeignEntries;
  readonly #onUnknown: (change: LogChange) => void;

  /** @param onUnknown called when an append has failed, of which perhaps only the answer was lost */
  constructor(services: WriterServices, foreign: ForeignEntries, onUnknown: (change: LogChange) => void) {
    this.#services = services;
    this.#foreign = foreign;
    this.#onUnknown = onUnknown;
  }

  /** Answers every post; when it rejects, not all. @throws {StoreError} {Refusal} */
  async write(conversation: Hex, posts: readonly Post[]): Promise<void> {
    let rest = posts;
    for (let conflicts = 0; conflicts < maxConflictsInTurn && rest.length > 0; ) {
      const { judged, outcome } = await this.#append(conversation, rest, conflicts >= maxConflicts);
      if (outcome?.kind === "conflict") {
        conflicts += 1;
        continue;
      }
      if (outcome?.kind === "expired") throw hasExpired(this.#services.retentionDays);
      if (outcome?.kind === "pair_exists" || outcome?.kind === "blob_missing") {
        // The others may stand without it.
        const { post, refusal } = refusalFor(outcome, judged.accepted);
        rest = rest.filter((one) => one !== post);
        post.answer(refused(post.id, refusal));
        continue;
      }
      // First what is durable now: whatever fails after this must not keep it from those who are online.
      if (judged.append !== undefined) await this.#deliver(judged, judged.append);
      await this.#answerOthers(judged.judgements);
      return;
    }
    const busy = new Refusal("UNAVAILABLE", "the log is too busy at the moment, try again");
    for (const post of rest) post.answer(refused(post.id, busy));
  }

  async #append(
    conversation: Hex,
    posts: readonly Post[],
    inTurn: boolean,
  ): Promise<{ judged: Judged; outcome: AppendOutcome | undefined }> {
    const { log } = this.#services.store;
    const asked: LogAppend[] = [];
    const judge = async () => {
      const judged = await this.#judge(conversation, posts);
      if (judged.append !== undefined) asked.push(judged.append);
      return judged;
    };
    try {
      if (inTurn) return await log.appendInTurn(conversation, judge);
      const judged = await judge();
      return { judged, outcome: judged.append && (await log.append(judged.append)) };
    } catch (error) {
      const append = asked.at(-1);
      if (append !== undefined) this.#onUnknown(logChangeOf(append));
      throw error;
    }
  }

  async #judge(conversation: Hex, posts: readonly Post[]): Promise<Judged> {
    const { logs, identity, now, restoration } = this.#services;
    const log = await logs.open(conversation);
    const expired = log === undefined ? await expiredConversation(this.#services, conversation) : undefined;
    if (expired !== undefined) throw expired;
    const entries = posts.map(({ entry }) => entry);
    const context = await logs.prepare(conversation, log?.roots, entries);
    const judgements = await judgePosts(this.#services, log, posts, context);
    const accepted = judgements.flatMap((one) => (one.kind === "accepted" ? [one.judged] : []));
    const [first] = accepted;
    const last = accepted.at(-1);
    if (first === undefined || last === undefined) return { log, judgements, accepted, append: undefined };
    const hindrance = await restoration.hindrance(conversation, (first.before ?? first.after).roster);
    if (hindrance !== undefined) return { log, ...heldBack(judgements, hindrance, log?.state.size ?? 0) };
    const checkpoint = signState(last.after, identity, Math.max(now(), last.at));
    return { log, judgements, accepted, append: logAppendOf(accepted, checkpoint) };
  }

  /** It is durable now. */
  async #deliver({ log, accepted }: Judged, append: LogAppend): Promise<void> {
    const { logs, sessions, identity, now, meter } = this.#services;
    const { conversation, expectedSize, checkpoint, members } = append;
    const roots = new Map(log?.roots);
    for (const { after } of accepted) {
      roots.set(after.size, after.root);
      if (after.size === checkpoint.size) logs.advance(after, roots);
    }
    const earlier = await this.#before(conversation, expectedSize);
    deliver({
      conversation,
      deliveries: [...earlier.deliveries, ...accepted.map(deliveryOf)],
      checkpoint,
      sessions,
      meter,
      checkpointOver(size) {
        const judged = accepted.find(({ after }) => after.size === size);
        if (judged === undefined) return earlier.checkpoints.get(size) ?? checkpoint;
        return signState(judged.after, identity, Math.max(now(), judged.at));
      },
    });
    this.#foreign.told(conversation, checkpoint.size, members.length > 0);
  }

  /** What others have appended in front of the own entries. Who misses it fetches it. */
  async #before(conversation: Hex, index: number): Promise<Deliveries> {
    try {
      return await this.#foreign.before(conversation, index);
    } catch (error) {
      const reason = describeError(error);
      this.#services.log("WARNING", `conversation ${conversation}: not told what others did: ${reason}`);
      return noDeliveries;
    }
  }

  /** Whoever posted what stands there already, or may not. */
  async #answerOthers(judgements: readonly Judgement[]): Promise<void> {
    const { store } = this.#services;
    for (const judgement of judgements) {
      if (judgement.kind === "accepted") continue;
      const { post } = judgement;
      const { id, entry, session } = post;
      if (judgement.kind === "refused") {
        post.answer(refused(id, judgement.refusal));
        continue;
      }
      const { conversation } = entry;
      const { index, at } = judgement;
      const visibleSize = await store.log.visibleSize(conversation, session.member.person);
      const checkpoint = await checkpointFor(this.#services, conversation, visibleSize);
      if (checkpoint === undefined) throw new Refusal("INTERNAL", "a stored log has no checkpoint");
      post.answer({ type: "accepted", id, conversation, index, at, checkpoint });
    }
  }
}

/** One has spoilt it for all. */
function refusalFor(
  outcome: Extract<AppendOutcome, { kind: "pair_exists" | "blob_missing" }>,
  accepted: readonly JudgedEntry[],
): { post: Post; refusal: Refusal } {
  const [first] = accepted;
  if (first === undefined) throw new Refusal("INTERNAL", "no entries to append");
  if (outcome.kind === "pair_exists") {
    const { conversation: detail } = outcome;
    const refusal = new Refusal("CONVERSATION_EXISTS", "you two have a conversation already", { detail });
    return { post: first.post, refusal };
  }
  const { sha256 } = outcome;
  const naming = accepted.find(({ blobs }) => blobs.some((blob) => blob.sha256 === sha256)) ?? first;
  const refusal = new Refusal("BAD_BLOB", `upload the blob ${sha256} before the entry that names it`);
  return { post: naming.post, refusal };
}

/**
 * Nothing may come to stand now; what is refused, or stands already, is answered as always.
 *
 * @param size of the log: a repost of what would have come to stand in the same batch stands nowhere
 */
function heldBack(judgements: readonly Judgement[], refusal: Refusal, size: number): Omit<Judged, "log"> {
  return {
    judgements: judgements.map((one) => {
      if (one.kind === "accepted") return { kind: "refused", post: one.judged.post, refusal };
      return one.kind === "repost" && one.index >= size ? { kind: "refused", post: one.post, refusal } : one;
    }),
    accepted: [],
    append: undefined,
  };
}

function deliveryOf({ post, index, at, audience }: JudgedEntry): Delivery {
  return { index, at, line: post.line, audience, post };
}
