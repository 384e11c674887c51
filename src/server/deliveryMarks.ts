import type { Hex } from "../base/hex.ts";
import type { DeliveryMark } from "../wire/deliveryMessages.ts";
import { BoundedCache } from "./boundedCache.ts";
import type { TokenBucket } from "./serverLimits.ts";

/** Conversations whose marks are remembered, and persons whose rate is: those that were longest unused are forgotten. */
const maxConversations = 4_096;
const maxPersons = 4_096;
/** Of one conversation: twice a full roster. Another server names devices that are not looked up here. */
const maxDevices = 512;

/**
 * How far members say that they have received: in memory alone, for those who ask later. It is a courtesy, so forgetting is
 * harmless, and nothing here may cost the store a write.
 */
export class DeliveryMarks {
  readonly #sizes = new BoundedCache<Hex, Map<Hex, number>>(maxConversations);
  /** When each person's bucket will be full again, ms. */
  readonly #fullAt = new BoundedCache<Hex, number>(maxPersons);

  /** Takes so many tokens of a person's bucket. @returns 0, or how long to wait, ms: then none was taken */
  allow(person: Hex, tokens: number, bucket: TokenBucket & { readonly nowMs: number }): number {
    const { capacity, refillMs, nowMs } = bucket;
    const fullAt = Math.max(nowMs, this.#fullAt.find(person) ?? 0) + tokens * refillMs;
    const waitMs = fullAt - nowMs - capacity * refillMs;
    if (waitMs > 0) return waitMs;
    this.#fullAt.keep(person, fullAt);
    return 0;
  }

  /** @returns whether it is further than what was known of this device */
  note({ conversation, member, size }: DeliveryMark): boolean {
    const sizes = this.#sizes.find(conversation) ?? new Map<Hex, number>();
    const known = sizes.get(member);
    if (size <= (known ?? 0) || (known === undefined && sizes.size >= maxDevices)) return false;
    sizes.set(member, size);
    this.#sizes.keep(conversation, sizes);
    return true;
  }

  of(conversation: Hex): readonly DeliveryMark[] {
    const sizes = this.#sizes.find(conversation) ?? [];
    return [...sizes].map(([member, size]) => ({ conversation, member, size }));
  }
}
