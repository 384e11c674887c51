import type { Hex } from "../base/hex.ts";
import { type Entry, parseEntry } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import type { LogChange } from "../store/changeFeed.ts";
import { atEndOfTurn } from "../store/endOfTurn.ts";
import type { ServerMessage } from "../wire/sessionMessages.ts";
import type { ConversationLogs } from "./conversationLogs.ts";
import { describeError } from "./describeError.ts";
import type { Post } from "./entryJudge.ts";
import { ForeignEntries } from "./foreignEntries.ts";
import { LogWriter } from "./logWriter.ts";
import { tellReceipt } from "./receipts.ts";
import { Refusal, refusalOf, refused } from "./refusal.ts";
import type { Restoration } from "./restoration.ts";
import type { ServerMeter } from "./serverMeter.ts";
import type { Services } from "./services.ts";
import type { Session } from "./sessionRegistry.ts";

/** Most posts to one log that are judged, stored and answered together. */
const maxBatch = 64;
/** A log for which another whole batch waits rests for so many times as long as its last one took, at most so many ms. */
const restFactor = 3;
const longestRestMs = 100;
/** When the store has failed it is asked again so much later. */
const retryMs = 1_000;

type RelayServices = Pick<
  Services,
  | "store"
  | "identity"
  | "certificates"
  | "limits"
  | "storageQuota"
  | "now"
  | "sessions"
  | "log"
  | "meter"
  | "retentionDays"
> & { readonly logs: ConversationLogs; readonly restoration: Restoration };

/** What waits for its turn at one log; while there is something, somebody works on it. */
interface Work {
  readonly posts: Post[];
  /** What has come into the log past this process. */
  news: LogChange | undefined;
  /** Sizes that somebody has signed a receipt over elsewhere. */
  readonly receipts: Set<number>;
  readonly done: (() => void)[];
}

/**
 * Takes entries into the logs. The posts that arrive in one turn of the event loop are judged in their order, log by log;
 * those that may stand are stored in one transaction under one checkpoint per log, and only when that is durable are
 * they answered and pushed. What others have put into a log is pushed in the same queue, so that everybody gets it in order.
 */
export class Relay {
  readonly #services: RelayServices;
  readonly #foreign: ForeignEntries;
  readonly #writer: LogWriter;
  readonly #work = new Map<Hex, Work>();
  readonly #idle: (() => void)[] = [];
  /** What could not be told because the store has failed. */
  readonly #late = new Map<Hex, LogChange>();
  #lateTimer: Timer | undefined;
  #closing = false;
  /** Rounds of work at logs that are not flooded, since the start. */
  #unhurried = 0;

  constructor(services: RelayServices) {
    this.#services = services;
    this.#foreign = new ForeignEntries(services);
    this.#writer = new LogWriter(services, this.#foreign, (change) => this.#retry(change));
  }

  /**
   * Queues an entry. The session is sent `accepted` or `refused` when it is decided; `settled` is called then.
   *
   * @throws {Refusal} `UNAVAILABLE`, `TRY_LATER`, `MALFORMED`, `UNKNOWN_SENDER`: the caller answers
   */
  post({ id, line }: { id: number; line: string }, session: Session, settled: () => void): void {
    if (this.#closing)
      throw new Refusal("UNAVAILABLE", "the server is shutting down, post again to the next one");
    this.#services.storageQuota.charge(session.member, line.length);
    const entry = parsed(line);
    const { conversation, sender } = entry;
    if (sender !== session.member.fingerprint)
      throw new Refusal("UNKNOWN_SENDER", "the entry is not by the certificate of this session");
    const answers = answering(session, settled, this.#services.meter);
    this.#at(conversation).posts.push({ id, line, entry, session, ...answers });
  }

  /** A log has gone on past this process. @returns when those who are online were told, or that failed */
  follow(news: LogChange): Promise<void> {
    const work = this.#at(news.conversation);
    work.news = merged(work.news, news);
    return new Promise((resolve) => work.done.push(resolve));
  }

  /** Somebody has signed a receipt elsewhere. */
  followReceipt(conversation: Hex, size: number): void {
    this.#at(conversation).receipts.add(size);
  }

  /** Changes of others may have been missed. */
  forgetReaders(): void {
    this.#foreign.forgetReaders();
  }

  /** The logs may be shorter than they were, and have other members. */
  forgetLogs(): void {
    this.#foreign.forget();
  }

  /** From now on posts are refused with `UNAVAILABLE`. */
  refuseNewPosts(): void {
    this.#closing = true;
    clearTimeout(this.#lateTimer);
  }

  /** Posts that nobody works on yet. */
  get waiting(): number {
    return [...this.#work.values()].reduce((sum, { posts }) => sum + posts.length, 0);
  }

  /** Resolves when everything that was queued has been answered. */
  async whenIdle(): Promise<void> {
    while (this.#work.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #at(conversation: Hex): Work {
    const known = this.#work.get(conversation);
    if (known !== undefined) return known;
    const work: Work = { posts: [], news: undefined, receipts: new Set(), done: [] };
    this.#work.set(conversation, work);
    atEndOfTurn(() => void this.#run(conversation, work));
    return work;
  }

  async #run(conversation: Hex, work: Work): Promise<void> {
    const { posts, receipts, done } = work;
    while (posts.length > 0 || work.news !== undefined || receipts.size > 0) {
      const told = done.splice(0);
      await this.#tell(conversation, work);
      for (const resolve of told) resolve();
      const batch = posts.splice(0, maxBatch);
      const [startedMs, othersBefore] = [performance.now(), this.#unhurried];
      try {
        if (batch.length > 0) await this.#writer.write(conversation, batch);
      } catch (error) {
        // Whether the entries are durable is unknown; the clients post again, and the size of the log will tell.
        const refusal = refusalOf(error);
        // That the store fails is told once, by whoever watches it.
        if (refusal.code === "INTERNAL")
          this.#services.log("ERROR", `conversation ${conversation}: ${describeError(error)}`);
        for (const post of batch) post.answer(refused(post.id, refusal));
      }
      // More than one batch waits: this log is flooded, and the others come first, when there are any.
      if (posts.length < maxBatch) this.#unhurried += 1;
      else if (this.#unhurried > othersBefore)
        await Bun.sleep(Math.min(longestRestMs, restFactor * (performance.now() - startedMs)));
    }
    this.#work.delete(conversation);
    for (const wake of this.#idle.splice(0)) wake();
  }

  /** What others have done: first their entries, then the receipts over them. */
  async #tell(conversation: Hex, work: Work): Promise<void> {
    const { receipts } = work;
    const news = this.#newsOf(conversation, work);
    try {
      if (news !== undefined) await this.#foreign.tell(news);
      for (const size of receipts) {
        receipts.delete(size);
        await tellReceipt(this.#services, conversation, size);
      }
    } catch (error) {
      // While the store is away there is nothing to say of this log. What fails otherwise would fail again.
      if (refusalOf(error).code === "UNAVAILABLE") {
        if (news !== undefined) this.#retry(news);
        return;
      }
      const reason = describeError(error);
      this.#services.log("ERROR", `conversation ${conversation}: not told what others did: ${reason}`);
    }
  }

  /** @returns what is to be told now, with what could not be told when it came: nothing of the log goes before that */
  #newsOf(conversation: Hex, work: Work): LogChange | undefined {
    const late = this.#late.get(conversation);
    const news = work.news === undefined ? late : merged(late, work.news);
    this.#late.delete(conversation);
    work.news = undefined;
    return news;
  }

  #retry(news: LogChange): void {
    if (this.#closing) return;
    const { conversation } = news;
    this.#late.set(conversation, merged(this.#late.get(conversation), news));
    this.#lateTimer ??= setTimeout(() => {
      this.#lateTimer = undefined;
      const late = [...this.#late.values()];
      this.#late.clear();
      for (const one of late) void this.follow(one);
    }, retryMs);
  }
}

function merged(earlier: LogChange | undefined, later: LogChange): LogChange {
  if (earlier === undefined) return later;
  return {
    ...later,
    from: Math.min(earlier.from, later.from),
    size: Math.max(earlier.size, later.size),
    members: earlier.members || later.members,
  };
}

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
