import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import type { WarningCode } from "./clientEvents.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { Effect } from "./intake.ts";
import type { OutgoingItem, Sent } from "./outbox.ts";
import { decodePlaintext } from "./plaintext.ts";
import type { Standing } from "./standing.ts";
import { type UntoldMessage, untoldMessages } from "./untold.ts";
import type { LoggedEntry } from "./verifiedLog.ts";

/** An own entry that stands. */
interface Landed extends Sent {
  /** Of a message. */
  readonly text: string | undefined;
  readonly settle: OutgoingItem["settle"];
}

/** What there is to tell of one conversation: nothing is told before it is durable, nothing counts as sent before the server's
 *  signed root covers it. */
export class Announcements {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #standing: Standing;
  readonly #onKeyPackageUsed: () => void;
  #waiting: (() => void)[] = [];
  #landed: Landed[] = [];
  #unreadable = 0;
  /** Entries of which a client that was killed may have had no time to tell. */
  #untold: { readonly from: number; readonly to: number } | undefined;

  constructor(options: {
    context: ConversationContext;
    conversation: Hex;
    standing: Standing;
    onKeyPackageUsed: () => void;
  }) {
    this.#context = options.context;
    this.#conversation = options.conversation;
    this.#standing = options.standing;
    this.#onKeyPackageUsed = options.onKeyPackageUsed;
    const { told, record } = options.standing;
    if (told.size !== undefined && told.size < record.size)
      this.#untold = { from: told.size, to: record.size };
  }

  /** Whether an own entry stands in the log and no checkpoint covers it yet. */
  get isWaiting(): boolean {
    return this.#landed.length > 0;
  }

  /** Takes down what an entry has brought about. */
  note(effect: Effect): void {
    switch (effect.kind) {
      case "event":
        this.#waiting.push(() => this.#context.onEvent(effect.event));
        return;
      case "landed":
        this.#landed.push(landedOf(effect));
        return;
      case "said":
        this.#standing.said(effect);
        return;
      case "unreadable":
        this.#unreadable += 1;
        return;
      case "disputed":
        this.#standing.complain("disputed", effect.index);
        this.#warn(
          "DISPUTED",
          `entry ${effect.index} can't be opened, or not to what its author signed: no words are shown`,
        );
        return;
      case "unprocessable": {
        this.#standing.complain("unprocessable", effect.index);
        const why = effect.reason instanceof Error ? visible(effect.reason.message) : "";
        this.#warn(
          "UNPROCESSABLE",
          `entry ${effect.index}, a change of the group by ${visible(effect.by)}, is not good: ${why}`,
        );
        return;
      }
      case "joined":
        this.#waiting.push(this.#onKeyPackageUsed);
    }
  }

  /** Tells what was noted. @param settled entries before this index are covered by a checkpoint that agrees */
  tell(settled: number): void {
    // A transcript that was damaged has to come from the server first.
    if (this.#untold !== undefined && this.#standing.log.size >= this.#untold.to) this.#recall(this.#untold);
    if (this.#unreadable > 0)
      this.#warn(
        "UNREADABLE",
        `${this.#unreadable} messages can't be read: this device did not have the keys then`,
      );
    this.#unreadable = 0;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell();
    const landed = this.#landed;
    this.#landed = landed.filter(({ index }) => index >= settled);
    for (const one of landed) if (one.index < settled) this.#report(one);
    if (this.#untold === undefined)
      this.#standing.told.advance(this.#landed[0]?.index ?? this.#standing.record.size);
  }

  /** Own words are in the vault. */
  kept({ content }: OutgoingItem): void {
    const conversation = this.#conversation;
    const text = decodePlaintext(content);
    this.#context.onEvent({ event: "kept", conversation, to: this.#standing.name, text });
  }

  #recall(range: { from: number; to: number }): void {
    this.#untold = undefined;
    const messages = untoldMessages(this.#context, this.#standing, {
      conversation: this.#conversation,
      ...range,
    });
    const landed = messages.flatMap(({ isOwn, ...one }) => (isOwn ? [{ ...one, settle: undefined }] : []));
    const arrived = messages.filter(({ isOwn }) => !isOwn);
    this.#landed = [...landed, ...this.#landed];
    this.#waiting = [...arrived.map((one) => () => this.#tellMessage(one)), ...this.#waiting];
  }

  #tellMessage({ from, email, seqno, index, at, text }: UntoldMessage): void {
    const [conversation, to] = [this.#conversation, this.#standing.name];
    this.#context.onEvent({ event: "message", conversation, to, from, email, seqno, index, at, text });
  }

  #report({ seqno, index, at, text, settle }: Landed): void {
    const [conversation, to] = [this.#conversation, this.#standing.name];
    if (text !== undefined)
      this.#context.onEvent({ event: "sent", conversation, to, seqno, index, at, text });
    settle?.resolve({ seqno, index, at });
  }

  #warn(code: WarningCode, message: string): void {
    const conversation = this.#conversation;
    this.#waiting.push(() => this.#context.onEvent({ event: "warning", code, message, conversation }));
  }
}

function landedOf({ item, logged }: { item: OutgoingItem; logged: LoggedEntry }): Landed {
  const { index, at, entry } = logged;
  const text = item.kind === "message" ? decodePlaintext(item.content) : undefined;
  return { seqno: entry.seqno, index, at, text, settle: item.settle };
}
