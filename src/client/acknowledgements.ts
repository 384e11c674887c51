import type { Hex } from "../base/hex.ts";
import { ClientError } from "./clientError.ts";
import type { Conversation } from "./conversation.ts";

/**
 * Signs for what others have said without being asked, at most once in so many ms for each conversation. What others have
 * signed for is nothing that they said, so two such clients fall silent.
 */
export class Acknowledgements {
  readonly #everyMs: number;
  readonly #timers = new Map<Hex, ReturnType<typeof setTimeout>>();

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Something may have been taken in. */
  stored(conversation: Conversation): void {
    const { id } = conversation;
    if (this.#timers.has(id) || !conversation.owesAcknowledgement) return;
    const timer = setTimeout(() => void this.#acknowledge(conversation), this.#everyMs);
    timer.unref();
    this.#timers.set(id, timer);
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #acknowledge(conversation: Conversation): Promise<void> {
    try {
      await conversation.acknowledge();
      this.#timers.delete(conversation.id);
      this.stored(conversation);
    } catch (error) {
      // What keeps it from being posted was told when it came up. The next step of the conversation tries again.
      this.#timers.delete(conversation.id);
      if (!(error instanceof ClientError)) throw error;
    }
  }
}
