import type { Hex } from "../base/hex.ts";
import { encodeAcknowledgeBody } from "../log/bodies.ts";
import { formatEntry, openingBytes, parseEntry, signEntry } from "../log/entry.ts";
import { ClientError } from "./clientError.ts";
import { withClock } from "./clockDifference.ts";
import type { AnswerTo, Connection } from "./connection.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { conversationClosed } from "./conversationErrors.ts";
import type { ConversationKeys } from "./conversationKeys.ts";
import { sealEntry } from "./messageEntry.ts";
import { isCommit, type Outbox, type OutgoingItem } from "./outbox.ts";
import { Pace } from "./pace.ts";
import { judgeRefusal } from "./refusalPolicy.ts";
import type { VerifiedLog } from "./verifiedLog.ts";

/** Most own entries on their way at a time. */
export const maxInFlight = 64;
/** A line that was signed longer ago is signed again before it is posted: the server allows 5 minutes. */
const maxLineAgeMs = 4 * 60 * 1000;

/** Refusals without an own entry landing in between, before it is given up until the next connection. */
const maxRefusals = 8;

/**
 * Complaints that go by themselves; before anything else that is posted they go always. Whoever writes what nobody can open must
 * not make everybody else write as much.
 */
const complaintPace = { atOnce: 8, everyMs: 1_000 };
/** So many go at once: they are what one entry can say of many. */
const manyComplaints = 256;

/** What a refusal leads to; `again`: what is left is posted once more; `wait`: after the time that the server asks for. */
export interface Resolution {
  readonly kind: "again" | "wait" | "upload again" | "exists" | "later" | "rest";
  readonly error: ClientError;
}

/**
 * Sends what is in an outbox: signs, makes the signed lines durable, posts them in their order without waiting for one
 * another. After a refusal it stops until the conversation has caught up with the log and calls `resolve`.
 */
export class Poster {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #parts: { log: VerifiedLog; keys: ConversationKeys; outbox: Outbox };
  readonly #onKept: (item: OutgoingItem) => void;
  readonly #onAccepted: (line: string, answer: AnswerTo<"post">) => void;
  readonly #onRefused: () => void;
  readonly #onDue: () => void;
  readonly #pace = new Pace(complaintPace);
  /** Runs while complaints are held back. */
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #awaiting = 0;
  #refusal: { readonly item: OutgoingItem; readonly error: ClientError } | undefined;
  #refusals = 0;

  constructor(options: {
    context: ConversationContext;
    conversation: Hex;
    parts: { log: VerifiedLog; keys: ConversationKeys; outbox: Outbox };
    /** Words are in the vault for the first time. */
    onKept: (item: OutgoingItem) => void;
    onAccepted: (line: string, answer: AnswerTo<"post">) => void;
    /** Called when every answer is there and one of them was a refusal. */
    onRefused: () => void;
    /** Called when complaints that were held back can go. */
    onDue: () => void;
  }) {
    this.#context = options.context;
    this.#conversation = options.conversation;
    this.#parts = options.parts;
    this.#onKept = options.onKept;
    this.#onAccepted = options.onAccepted;
    this.#onRefused = options.onRefused;
    this.#onDue = options.onDue;
  }

  /** Makes what was added durable, signed or not, and posts what may be posted over `connection`. */
  pump(
    connection: Connection | undefined,
    options: {
      /** What an `acknowledge` has to say before anything else covers it. */
      complaints: Complaints;
      mayPost: (item: OutgoingItem) => boolean;
    },
  ): void {
    const { outbox } = this.#parts;
    const posts: OutgoingItem[] = [];
    while (connection !== undefined && this.#refusal === undefined) {
      const inFlight = outbox.inFlight;
      // What stands behind an own commit is of the epoch that it opens; behind an own `leave` nothing can stand.
      if (inFlight.length >= maxInFlight || inFlight.some((one) => isCommit(one) || isLeave(one))) break;
      let item = outbox.items[inFlight.length];
      const isFree = item === undefined || (item.seqno === undefined && !isAcknowledge(item));
      const isDue = isFree && hasComplaints(options.complaints) && !inFlight.some(isAcknowledge);
      if (isDue && (item !== undefined || this.#mayComplain(options.complaints)))
        item = outbox.add("acknowledge", encodeAcknowledgeBody(options.complaints), "before unsigned");
      if (item === undefined || !options.mayPost(item)) break;
      if (this.#mustSign(item)) {
        // It covers all that stands by now, so it names all that is wrong with it, whenever it was made.
        if (isAcknowledge(item)) item.content = encodeAcknowledgeBody(options.complaints);
        this.#sign(item, inFlight);
        item.isStored = false;
      }
      item.inFlight = true;
      posts.push(item);
    }
    this.keep();
    if (connection !== undefined) for (const item of posts) this.#post(connection, item);
  }

  /** Makes what was added or signed durable, also against a loss of power, and tells of words that the vault has from now on. */
  keep(): void {
    const { outbox } = this.#parts;
    const { vault } = this.#context;
    const batch = vault.batch();
    for (const item of outbox.items) if (!item.isStored) outbox.store(item, batch);
    vault.commit(batch);
    // Whoever is told may add more, which the vault does not have yet.
    for (const item of outbox.items.filter(({ isKept }) => !isKept)) {
      item.isKept = true;
      if (item.kind === "message") this.#onKept(item);
    }
  }

  #mayComplain({ disputed, unprocessable }: Complaints): boolean {
    if (disputed.length + unprocessable.length >= manyComplaints) return true;
    if (this.#waiting !== undefined) return false;
    const waitMs = this.#pace.take(this.#context.now());
    if (waitMs === 0) return true;
    this.#waiting = setTimeout(() => {
      this.#waiting = undefined;
      this.#onDue();
    }, waitMs);
    this.#waiting.unref();
    return false;
  }

  /** An own entry has come to stand. */
  landed(): void {
    this.#refusals = 0;
  }

  /** The connection is gone: nothing is on its way any more. */
  startOver(): void {
    this.#refusal = undefined;
    this.#refusals = 0;
    this.#parts.outbox.landed();
  }

  /** Once everything is answered and the log has caught up: sees to what was refused. */
  resolve(): Resolution | undefined {
    const refusal = this.#awaiting === 0 ? this.#refusal : undefined;
    if (refusal === undefined) return undefined;
    const { item, error } = refusal;
    this.#refusal = undefined;
    this.#parts.outbox.landed();
    // It stands after all: an earlier connection had brought it there.
    if (!this.#parts.outbox.items.includes(item)) return { kind: "again", error };
    const judged = judgeRefusal(item, error);
    if (judged !== "wait" && judged !== "rest") this.#refusals += 1;
    const verdict = this.#refusals > maxRefusals ? "later" : judged;
    switch (verdict) {
      case "drop":
        this.#drop([item], error.refusal === "CLOSED" ? conversationClosed() : error);
        return { kind: "again", error };
      case "sign again":
        item.refused = true;
        return { kind: "again", error };
      case "post again":
        this.#renumber();
        return { kind: "again", error };
      case "wait":
      case "upload again":
      case "exists":
      case "later":
      case "rest":
        return { kind: verdict, error };
    }
  }

  /** Somebody has left: what waits and can't stand any more is given up. */
  dropWaiting(isOver: (item: OutgoingItem) => boolean, error: ClientError): void {
    const items = this.#parts.outbox.items.filter((item) => !item.inFlight && isOver(item));
    if (items.length > 0) this.#drop(items, error);
  }

  #drop(items: readonly OutgoingItem[], error: ClientError): void {
    const { outbox, keys } = this.#parts;
    const batch = this.#context.vault.batch();
    for (const item of items) {
      outbox.remove(item, batch);
      if (isCommit(item)) keys.dropPending(batch);
      item.settle?.reject(error);
    }
    this.#context.vault.commit(batch);
  }

  /** The log has been fetched: an own entry in it that came from here was taken out. */
  #renumber(): void {
    const { outbox, log } = this.#parts;
    const batch = this.#context.vault.batch();
    outbox.renumber(log.nextSeqno(this.#context.self.certificate.fingerprint), batch);
    this.#context.vault.commit(batch);
  }

  #mustSign(item: OutgoingItem): boolean {
    if (item.line === undefined || item.refused) return true;
    const { ts, epoch } = parseEntry(item.line);
    const isOfEpoch = item.kind === "create" || epoch === this.#parts.log.state?.epoch;
    return !isOfEpoch || Math.abs(this.#context.now() - ts) > maxLineAgeMs;
  }

  #sign(item: OutgoingItem, inFlight: readonly OutgoingItem[]): void {
    const { self, random, now } = this.#context;
    const { log, keys } = this.#parts;
    const sender = self.certificate.fingerprint;
    item.seqno ??= log.nextSeqno(sender) + inFlight.length;
    item.refused = false;
    const unsigned = {
      v: 2,
      conversation: this.#conversation,
      sender,
      seqno: item.seqno,
      ts: now(),
      kind: item.kind,
      view: log.view,
      epoch: log.state?.epoch ?? 0,
    } as const;
    if (item.kind !== "message") {
      item.line = formatEntry(signEntry({ ...unsigned, commitment: "-" }, item.content, self.key));
      return;
    }
    item.opening ??= random(openingBytes);
    const words = {
      plaintext: item.content,
      opening32: item.opening,
      nonce12: random(12),
      key: keys.sendKey(inFlight.filter(({ kind }) => kind === "message").length),
    };
    item.line = sealEntry(unsigned, words, self.key);
  }

  #post(connection: Connection, item: OutgoingItem): void {
    const { line } = item;
    if (line === undefined) return;
    this.#awaiting += 1;
    connection.request({ type: "post", line }).then(
      (answer) => {
        this.#awaiting -= 1;
        this.#onAccepted(line, answer);
        this.#reportRefusal();
      },
      (error: unknown) => {
        this.#awaiting -= 1;
        if (error instanceof ClientError && error.code === "REFUSED") {
          this.#refusal ??= { item, error: withClock(error, this.#context.now()) };
          this.#reportRefusal();
        }
      },
    );
  }

  #reportRefusal(): void {
    if (this.#awaiting === 0 && this.#refusal !== undefined) this.#onRefused();
  }
}

export interface Complaints {
  readonly disputed: readonly number[];
  readonly unprocessable: readonly number[];
}

export const noComplaints: Complaints = { disputed: [], unprocessable: [] };

export function hasComplaints({ disputed, unprocessable }: Complaints): boolean {
  return disputed.length > 0 || unprocessable.length > 0;
}

function isLeave({ kind }: { kind: string }): boolean {
  return kind === "leave";
}

function isAcknowledge({ kind }: { kind: string }): boolean {
  return kind === "acknowledge";
}
