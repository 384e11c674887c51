import type { TokenBucket } from "./serverLimits.ts";

/** Nobody is in debt for longer, whatever a request has cost. */
const maxDebtMs = 15 * 60 * 1_000;
/** The map is looked through for full buckets when it has grown to so many, or to twice what was left the last time. */
const firstSweepAt = 1_024;

/**
 * Token buckets of this process, by subject, kept as the moment at which each will be full again. Who has a token may do
 * something whose cost is known only afterwards, so a bucket may go below zero: then its owner waits until that is paid.
 */
export class TokenBuckets {
  readonly #bucket: TokenBucket;
  /** ms on a clock that never goes back */
  readonly #now: () => number;
  readonly #fullAtMs = new Map<string, number>();
  #sweepAt = firstSweepAt;

  constructor(bucket: TokenBucket, now: () => number) {
    this.#bucket = bucket;
    this.#now = now;
  }

  /** Subjects whose buckets are not known to be full. */
  get size(): number {
    return this.#fullAtMs.size;
  }

  /** @returns ms until the subject has a token, 0 when it has one */
  waitMs(subject: string): number {
    const { capacity, refillMs } = this.#bucket;
    const missingMs = (this.#fullAtMs.get(subject) ?? 0) - this.#now();
    return Math.max(0, missingMs - (capacity - 1) * refillMs);
  }

  /** Takes so many tokens, whether there are as many or not. */
  take(subject: string, tokens: number): void {
    const { capacity, refillMs } = this.#bucket;
    const nowMs = this.#now();
    const fullAtMs = Math.max(nowMs, this.#fullAtMs.get(subject) ?? 0) + tokens * refillMs;
    this.#fullAtMs.set(subject, Math.min(fullAtMs, nowMs + capacity * refillMs + maxDebtMs));
    if (this.#fullAtMs.size > this.#sweepAt) this.#sweep(nowMs);
  }

  /** The subject's bucket is full again. */
  forget(subject: string): void {
    this.#fullAtMs.delete(subject);
  }

  #sweep(nowMs: number): void {
    for (const [subject, fullAtMs] of this.#fullAtMs) if (fullAtMs <= nowMs) this.#fullAtMs.delete(subject);
    this.#sweepAt = Math.max(firstSweepAt, 2 * this.#fullAtMs.size);
  }
}
