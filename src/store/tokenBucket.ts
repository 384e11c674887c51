/** A bucket is kept as the moment at which it is full: it holds `capacity - (fullAt - now) / refillMs` tokens. */
export interface AskedBucket {
  readonly capacity: number;
  readonly refillMs: number;
  readonly nowMs: number;
}

/** A store keeps whole ms. An operator's rate need not divide a period evenly; one of more than a token a ms counts as that. */
export function inWholeMs<B extends AskedBucket>(bucket: B): B {
  return { ...bucket, refillMs: Math.max(1, Math.round(bucket.refillMs)) };
}

/** By how much the clocks of servers on one store may differ. */
const clockToleranceMs = 60_000;

/** @returns when an empty bucket is full again */
export function emptyUntil({ capacity, refillMs, nowMs }: AskedBucket): number {
  return nowMs + capacity * refillMs;
}

/** @returns the latest that a bucket may be kept with: of one beyond it the clock was put back, and it counts as empty */
export function latestFullAt(bucket: AskedBucket): number {
  return emptyUntil(bucket) + clockToleranceMs;
}
