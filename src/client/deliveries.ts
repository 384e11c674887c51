import type { Hex } from "../base/hex.ts";
import { type DeliveryMark, maxMarksPerRequest } from "../wire/deliveryMessages.ts";
import { askedDelayMs } from "./askedDelay.ts";
import { ClientError } from "./clientError.ts";
import type { OnEvent } from "./clientEvents.ts";
import type { Connection } from "./connection.ts";
import type { Conversation } from "./conversation.ts";

/** What is stored within this time is told together: the work does not grow with the messages. */
const gatherMs = 250;

export interface DeliveriesOptions {
  /** The own certificate's fingerprint. */
  readonly own: Hex;
  readonly connection: () => Connection | undefined;
  /** A conversation that is in memory: marks of others are of no interest. */
  readonly find: (conversation: Hex) => Conversation | undefined;
  readonly onEvent: OnEvent;
}

/**
 * Delivery marks: tells the others how far this client has verified and stored each log, and remembers what they say. Nobody
 * signs a mark and the server can make them up, so nothing is concluded from one: it is shown, beside what people have signed.
 */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  /** What the server has been told since the connection began. */
  readonly #told = new Map<Hex, number>();
  readonly #due = new Set<Hex>();
  /** By conversation and certificate, as the server says; it may be beyond the own log. */
  readonly #marks = new Map<Hex, Map<Hex, number>>();
  /** By conversation and username: the last that was announced. */
  readonly #announced = new Map<Hex, Map<string, number>>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Everything in the log of this conversation is verified and durable. */
  stored(conversation: Conversation): void {
    const { id, standing } = conversation;
    this.#announce(conversation);
    const told = this.#told.get(id);
    // Nobody waits for a mark on entries of one's own, or on acknowledgements.
    if (told !== undefined && standing.log.lastStatementOfOthers(this.#options.own) < told) return;
    this.#due.add(id);
    this.#schedule(gatherMs);
  }

  /** A new connection: the server may be another one, and knows nothing. */
  connected(): void {
    this.#told.clear();
  }

  /** The marks of others, from the server. */
  take(marks: readonly DeliveryMark[]): void {
    for (const { conversation: id, member, size } of marks) {
      const conversation = this.#options.find(id);
      // The roster bounds what is remembered.
      if (!conversation?.state?.roster.some(({ fingerprint }) => fingerprint === member)) continue;
      const sizes = entryOf(this.#marks, id);
      sizes.set(member, Math.max(size, sizes.get(member) ?? 0));
      this.#announce(conversation);
    }
  }

  /** @returns how far a device says to be, never beyond the own log; `undefined` where nobody has said */
  sizeOf({ id, standing }: Conversation, member: Hex): number | undefined {
    const size = this.#marks.get(id)?.get(member);
    return size === undefined ? undefined : Math.min(size, standing.record.size);
  }

  forget(conversation: Hex): void {
    this.#due.delete(conversation);
    this.#told.delete(conversation);
    this.#marks.delete(conversation);
    this.#announced.delete(conversation);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** What one device of a person has, the person has. */
  #announce(conversation: Conversation): void {
    const { id, state, standing } = conversation;
    if (!this.#marks.has(id)) return;
    const announced = entryOf(this.#announced, id);
    const self = state?.senders.get(this.#options.own)?.username;
    for (const { username: by, fingerprint } of state?.roster ?? []) {
      const size = this.sizeOf(conversation, fingerprint);
      if (by === self || size === undefined || size <= (announced.get(by) ?? 0)) continue;
      announced.set(by, size);
      this.#options.onEvent({ event: "delivered", conversation: id, to: standing.name, by, size });
    }
  }

  #schedule(delayMs: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#send();
    }, delayMs);
  }

  async #send(): Promise<void> {
    const connection = this.#options.connection();
    if (connection === undefined) return;
    const marks: { conversation: Hex; size: number }[] = [];
    for (const id of [...this.#due].slice(0, maxMarksPerRequest)) {
      this.#due.delete(id);
      const size = this.#options.find(id)?.standing.record.size ?? 0;
      if (size === 0) continue;
      this.#told.set(id, size);
      marks.push({ conversation: id, size });
    }
    if (this.#due.size > 0) this.#schedule(gatherMs);
    if (marks.length === 0) return;
    try {
      this.take((await connection.request({ type: "delivered", marks })).marks);
    } catch (error) {
      const delayMs = error instanceof ClientError ? askedDelayMs(error) : undefined;
      if (delayMs === undefined) return;
      for (const { conversation } of marks) this.#due.add(conversation);
      this.#schedule(Math.max(gatherMs, delayMs));
    }
  }
}

function entryOf<K, V>(sizes: Map<Hex, Map<K, V>>, conversation: Hex): Map<K, V> {
  const found = sizes.get(conversation) ?? new Map<K, V>();
  sizes.set(conversation, found);
  return found;
}
