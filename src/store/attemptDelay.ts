import type { AttemptCounter } from "./accountStore.ts";

/** What a store keeps of a counter. */
export interface CountedFailures {
  readonly failures: number;
  /** ms since the epoch, of the last one */
  readonly last_at: number;
}

/** @returns ms until the next attempt, 0 or less for none: never more than the delay, also after the clock was put back */
export function waitAfter({ delayMs }: AttemptCounter, row: CountedFailures, nowMs: number): number {
  const wholeMs = delayMs(row.failures);
  return Math.min(wholeMs, row.last_at + wholeMs - nowMs);
}
