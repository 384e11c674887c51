import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import type { WarningCode } from "./clientEvents.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { Effect } from "./intake.ts";
import type { OutgoingItem } from "./outbox.ts";
import type { Standing } from "./standing.ts";
import type { LoggedEntry } from "./verifiedLog.ts";

/** What there is to tell of one conversation: nothing is told before it is durable, nothing counts as sent before the server's
 *  signed root covers it. */
export class Announcements {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #standing: Standing;
  readonly #onKeyPackageUsed: () => void;
  #waiting: (() => void)[] = [];
  #landed: { readonly item: OutgoingItem; readonly logged: LoggedEntry }[] = [];
  #unreadable = 0;

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
        this.#landed.push(effect);
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
        this.#warn("UNPROCESSABLE", `a change of the group could not be followed: ${why}`);
        return;
      }
      case "joined":
        this.#waiting.push(this.#onKeyPackageUsed);
    }
  }

  /** Tells what was noted. @param settled entries before this index are covered by a checkpoint that agrees */
  tell(settled: number): void {
    if (this.#unreadable > 0)
      this.#warn(
        "UNREADABLE",
        `${this.#unreadable} messages can't be read: this device was not in the conversation then`,
      );
    this.#unreadable = 0;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell();
    const landed = this.#landed;
    this.#landed = landed.filter(({ logged }) => logged.index >= settled);
    for (const { item, logged } of landed) if (logged.index < settled) this.#report(item, logged);
  }

  #report(item: OutgoingItem, { entry: { seqno }, index, at }: LoggedEntry): void {
    if (item.kind === "message") {
      const text = new TextDecoder().decode(item.content);
      const to = this.#standing.name;
      const conversation = this.#conversation;
      this.#context.onEvent({ event: "sent", conversation, to, seqno, index, at, text });
    }
    item.settle?.resolve({ seqno, index, at });
  }

  #warn(code: WarningCode, message: string): void {
    const conversation = this.#conversation;
    this.#waiting.push(() => this.#context.onEvent({ event: "warning", code, message, conversation }));
  }
}
