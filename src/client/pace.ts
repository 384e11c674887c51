/** So many at once, then one in so many ms. */
export class Pace {
  readonly #atOnce: number;
  readonly #everyMs: number;
  /** What is left, as of `#asOf`; a fraction is on its way. */
  #left: number;
  #asOf = Number.NEGATIVE_INFINITY;

  constructor({ atOnce, everyMs }: { atOnce: number; everyMs: number }) {
    this.#atOnce = atOnce;
    this.#everyMs = everyMs;
    this.#left = atOnce;
  }

  /** @returns 0 when it may be done now, and is counted; else after how many ms to ask again */
  take(nowMs: number): number {
    const passedMs = Math.max(0, nowMs - this.#asOf);
    this.#left = Math.min(this.#atOnce, this.#left + passedMs / this.#everyMs);
    this.#asOf = nowMs;
    if (this.#left < 1) return Math.ceil((1 - this.#left) * this.#everyMs);
    this.#left -= 1;
    return 0;
  }
}
