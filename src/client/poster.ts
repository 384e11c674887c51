import { encodeAcknowledgeBody } from "../log/bodies.ts";
import { associatedData, computeCommitment, formatEntry, openingBytes, parseEntry, signEntry, type UnsignedEntry } from "../log/entry.ts";
import { sealMessage } from "../group/ratchet.ts";
import type { AnswerTo, Connection } from "./connection.ts";
import { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { ConversationKeys } from "./conversationKeys.ts";
import type { OutgoingItem, Outbox } from "./outbox.ts";
import type { VerifiedLog } from "./verifiedLog.ts";
import type { Hex } from "../base/hex.ts";

/** Most own entries on their way at a time. */
export const maxInFlight = 64;
/** A line that was signed longer ago is signed again before it is posted: the server allows 5 minutes. */
const maxLineAgeMs = 4 * 60 * 1000;

export interface Refusal {
  readonly item: OutgoingItem;
  readonly error: ClientError;
}

/**
 * Sends what is in an outbox: signs, makes the signed lines durable, posts them in their order without waiting for one
 * another. After a refusal it stops until the conversation has caught up with the log and calls `resume`.
 */
export class Poster {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #parts: { log: VerifiedLog; keys: ConversationKeys; outbox: Outbox };
  readonly #onAccepted: (line: string, answer: AnswerTo<"post">) => void;
  readonly #onRefused: () => void;
  #awaiting = 0;
  #refusal: Refusal | undefined;

  constructor(options: {
    context: ConversationContext;
    conversation: Hex;
    parts: { log: VerifiedLog; keys: ConversationKeys; outbox: Outbox };
    onAccepted: (line: string, answer: AnswerTo<"post">) => void;
    /** Called when every answer is there and one of them was a refusal. */
    onRefused: () => void;
  }) {
    this.#context = options.context;
    this.#conversation = options.conversation;
    this.#parts = options.parts;
    this.#onAccepted = options.onAccepted;
    this.#onRefused = options.onRefused;
  }

  /** The first refusal since `resume`, once all answers are there. */
  get refusal(): Refusal | undefined {
    return this.#awaiting === 0 ? this.#refusal : undefined;
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
    const batch = this.#context.vault.batch();
    const posts: OutgoingItem[] = [];
    while (connection !== undefined && this.#refusal === undefined) {
      const inFlight = outbox.inFlight;
      // What stands behind an own commit is of the epoch that it opens.
      if (inFlight.length >= maxInFlight || inFlight.some(isCommit)) break;
      let item = outbox.items[inFlight.length];
      const isFree = item === undefined || (item.seqno === undefined && !isAcknowledge(item));
      if (isFree && hasComplaints(options.complaints) && !inFlight.some(isAcknowledge))
        item = outbox.add("acknowledge", encodeAcknowledgeBody(options.complaints), "before unsigned");
      if (item === undefined || !options.mayPost(item)) break;
      if (this.#mustSign(item)) {
        this.#sign(item, inFlight);
        item.isStored = false;
      }
      item.inFlight = true;
      posts.push(item);
    }
    for (const item of outbox.items) if (!item.isStored) outbox.store(item, batch);
    this.#context.vault.commit(batch);
    if (connection !== undefined) for (const item of posts) this.#post(connection, item);
  }

  /** The conversation has caught up with the log: what is left is posted again. */
  resume(): void {
    this.#refusal = undefined;
    this.#parts.outbox.landed();
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
    const unsigned: UnsignedEntry = {
      v: 2,
      conversation: this.#conversation,
      sender,
      seqno: item.seqno,
      ts: now(),
      kind: item.kind,
      view: log.view,
      epoch: log.state?.epoch ?? 0,
      commitment: "-",
    };
    if (item.kind !== "message") {
      item.line = formatEntry(signEntry(unsigned, item.content, self.key));
      return;
    }
    item.opening ??= random(openingBytes);
    const { opening, content, seqno } = item;
    const commitment = computeCommitment({
      opening,
      conversation: this.#conversation,
      sender,
      seqno,
      plaintext: content,
    });
    const committed = { ...unsigned, commitment };
    const ct = sealMessage({
      key: keys.sendKey(inFlight.filter(({ kind }) => kind === "message").length),
      nonce12: random(12),
      associatedData: associatedData(committed),
      opening32: opening,
      plaintext: content,
    });
    item.line = formatEntry(signEntry(committed, ct, self.key));
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
          this.#refusal ??= { item, error };
          this.#reportRefusal();
        }
      },
    );
  }

  #reportRefusal(): void {
    if (this.refusal !== undefined) this.#onRefused();
  }
}

export interface Complaints {
  readonly disputed: readonly number[];
  readonly unprocessable: readonly number[];
}

export function hasComplaints({ disputed, unprocessable }: Complaints): boolean {
  return disputed.length > 0 || unprocessable.length > 0;
}

export function isCommit({ kind }: { kind: string }): boolean {
  return kind === "create" || kind === "membership";
}

function isAcknowledge({ kind }: { kind: string }): boolean {
  return kind === "acknowledge";
}
