import type { Hex } from "../base/hex.ts";
import { type Entry, parseEntry } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import type { CheckpointRecord } from "../store/logStore.ts";
import type { ServerMessage } from "../wire/sessionMessages.ts";
import { checkpointFor, signState } from "./checkpoints.ts";
import type { ConversationLogs, FollowedLog } from "./conversationLogs.ts";
import { deliver } from "./delivery.ts";
import { describeError } from "./describeError.ts";
import { type JudgedEntry, type Judgement, judgePosts, type Post } from "./entryJudge.ts";
import { LateDelivery } from "./lateDelivery.ts";
import { logAppendOf } from "./logAppend.ts";
import { Refusal, refusalOf, refused } from "./refusal.ts";
import type { Restoration } from "./restoration.ts";
import type { ServerMeter } from "./serverMeter.ts";
import type { Services } from "./services.ts";
import type { Session } from "./sessionRegistry.ts";

/** Most posts to one log that are judged, stored and answered together. */
const maxBatch = 256;
/** How often a batch is judged anew because somebody else appended to its log meanwhile. */
const maxAttempts = 8;
/** How often the store is asked for the outcome of an append whose answer was lost. */
const lateEveryMs = 1_000;

type RelayServices = Pick<
  Services,
  "store" | "identity" | "certificates" | "limits" | "now" | "sessions" | "log" | "meter"
> & { readonly logs: ConversationLogs; readonly restoration: Restoration };

/** Posts to one log that wait for their turn; while there is one, somebody works on it. */
type Queue = Post[];

/**
 * Takes entries into the logs. The posts that arrive in one turn of the event loop are judged in their order, log by log;
 * those that may stand are stored in one transaction under one checkpoint per log, and only when that is durable are
 * they answered and pushed.
 */
export class Relay {
  readonly #services: RelayServices;
  readonly #queues = new Map<Hex, Queue>();
  readonly #idle: (() => void)[] = [];
  readonly #late: LateDelivery;
  #lateTimer: ReturnType<typeof setTimeout> | undefined;
  #closing = false;

  constructor(services: RelayServices) {
    this.#services = services;
    this.#late = new LateDelivery(services);
  }

  /**
   * Queues an entry. The session is sent `accepted` or `refused` when it is decided; `settled` is called then.
   *
   * @throws {Refusal} `UNAVAILABLE`, `MALFORMED`, `UNKNOWN_SENDER`: the caller answers
   */
  post({ id, line }: { id: number; line: string }, session: Session, settled: () => void): void {
    if (this.#closing)
      throw new Refusal("UNAVAILABLE", "the server is shutting down, post again to the next one");
    const entry = parsed(line);
    const { conversation, sender } = entry;
    if (sender !== session.member.fingerprint)
      throw new Refusal("UNKNOWN_SENDER", "the entry is not by the certificate of this session");
    const post = { id, line, entry, session, ...answering(session, settled, this.#services.meter) };
    const queue = this.#queues.get(conversation);
    if (queue === undefined) this.#begin(conversation, [post]);
    else queue.push(post);
  }

  /** From now on posts are refused with `UNAVAILABLE`. */
  refuseNewPosts(): void {
    this.#closing = true;
    clearTimeout(this.#lateTimer);
  }

  /** Posts that nobody works on yet. */
  get waiting(): number {
    return [...this.#queues.values()].reduce((sum, queue) => sum + queue.length, 0);
  }

  /** Resolves when everything that was queued has been answered. */
  async whenIdle(): Promise<void> {
    while (this.#queues.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #begin(conversation: Hex, queue: Queue): void {
    this.#queues.set(conversation, queue);
    setImmediate(() => void this.#work(conversation));
  }

  async #work(conversation: Hex): Promise<void> {
    const queue = this.#queues.get(conversation) ?? [];
    do {
      const posts = queue.splice(0, maxBatch);
      try {
        await this.#process(conversation, posts);
      } catch (error) {
        // Whether the entries are durable is unknown; the clients post again, and the size of the log will tell.
        const refusal = refusalOf(error);
        // That the store fails is told once, by whoever watches it.
        if (refusal.code === "INTERNAL")
          this.#services.log("ERROR", `conversation ${conversation}: ${describeError(error)}`);
        for (const post of posts) post.answer(refused(post.id, refusal));
      }
    } while (queue.length > 0);
    this.#queues.delete(conversation);
    for (const wake of this.#idle.splice(0)) wake();
    this.#seeToLate();
  }

  /** What may have come to stand unseen must not wait for the next post. */
  #seeToLate(): void {
    if (this.#closing || this.#lateTimer !== undefined || this.#late.conversations.length === 0) return;
    this.#lateTimer = setTimeout(() => {
      this.#lateTimer = undefined;
      for (const conversation of this.#late.conversations)
        if (!this.#queues.has(conversation)) this.#begin(conversation, []);
    }, lateEveryMs);
  }

  async #process(conversation: Hex, posts: readonly Post[]): Promise<void> {
    const { logs, sessions, identity, now, meter, restoration } = this.#services;
    let rest = posts;
    if (this.#late.has(conversation)) await this.#late.settle(conversation, await logs.open(conversation));
    for (let attempt = 0; attempt < maxAttempts && rest.length > 0; attempt++) {
      const log = await logs.open(conversation);
      const entries = rest.map(({ entry }) => entry);
      const context = await logs.prepare(conversation, log?.roots, entries);
      const judgements = await judgePosts(this.#services, log, rest, context);
      const accepted = judgements.flatMap((one) => (one.kind === "accepted" ? [one.judged] : []));
      const [first] = accepted;
      const held = first && (await restoration.hindrance((first.before ?? first.after).roster));
      if (held !== undefined) {
        for (const { post } of accepted) post.answer(refused(post.id, held));
        await this.#answerOthers(judgements);
        return;
      }
      const outcome = await this.#append(log, accepted);
      if (outcome.kind === "conflict") continue;
      if (outcome.kind === "refused") {
        // The others may stand without it.
        const { post, refusal } = outcome;
        rest = rest.filter((one) => one !== post);
        post.answer(refused(post.id, refusal));
        continue;
      }
      // First what is durable now: whatever fails after this must not keep it from those who are online.
      if (outcome.kind === "stored")
        deliver({
          accepted,
          checkpoint: outcome.checkpoint,
          sessions,
          meter,
          sign: ({ after, at }) => signState(after, identity, Math.max(now(), at)),
        });
      await this.#answerOthers(judgements);
      return;
    }
    const busy = new Refusal("UNAVAILABLE", "the log is too busy at the moment, try again");
    for (const post of rest) post.answer(refused(post.id, busy));
  }

  async #append(log: FollowedLog | undefined, accepted: readonly JudgedEntry[]): Promise<Appended> {
    const [first] = accepted;
    const last = accepted.at(-1);
    if (first === undefined || last === undefined) return { kind: "nothing" };
    const { logs, store, identity, now } = this.#services;
    const checkpoint = signState(last.after, identity, Math.max(now(), last.at));
    const append = logAppendOf(accepted, checkpoint);
    const outcome = await store.log.append(append).catch((error: unknown) => {
      this.#late.note(append.conversation, log?.state);
      throw error;
    });
    switch (outcome.kind) {
      case "appended": {
        const roots = new Map(log?.roots);
        for (const { after } of accepted) roots.set(after.size, after.root);
        logs.advance(last.after, roots);
        return { kind: "stored", checkpoint };
      }
      case "conflict":
        return outcome;
      case "pair_exists": {
        const refusal = new Refusal("CONVERSATION_EXISTS", "you two have a conversation already", {
          detail: outcome.conversation,
        });
        return { kind: "refused", post: first.post, refusal };
      }
      case "blob_missing": {
        const { sha256 } = outcome;
        const naming = accepted.find(({ blobs }) => blobs.some((blob) => blob.sha256 === sha256)) ?? last;
        const refusal = new Refusal("BAD_BLOB", `upload the blob ${sha256} before the entry that names it`);
        return { kind: "refused", post: naming.post, refusal };
      }
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

type Appended =
  | { readonly kind: "nothing" }
  | { readonly kind: "stored"; readonly checkpoint: CheckpointRecord }
  | { readonly kind: "conflict" }
  | { readonly kind: "refused"; readonly post: Post; readonly refusal: Refusal };

function parsed(line: string): Entry {
  try {
    return parseEntry(line);
  } catch (error) {
    if (error instanceof LogError) throw refusalOf(error);
    throw error;
  }
}

/** A post is answered once, whatever happens after that. */
function answering(
  session: Session,
  settled: () => void,
  meter: ServerMeter,
): Pick<Post, "answer" | "answered"> {
  let answered = false;
  return {
    answer(message: ServerMessage) {
      if (answered) return;
      answered = true;
      meter.entry(message.type === "refused" ? message.code : "accepted");
      session.send(message);
      settled();
    },
    answered: () => answered,
  };
}
