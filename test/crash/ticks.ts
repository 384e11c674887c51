/** Counts what happens, so that a test can wait for so many happenings instead of for time. */
export class Ticks {
  #count = 0;
  #waiting: { readonly at: number; readonly resolve: () => void }[] = [];

  tick(): void {
    this.#count += 1;
    const due = this.#waiting.filter(({ at }) => at <= this.#count);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter(({ at }) => at > this.#count);
    for (const { resolve } of due) resolve();
  }

  /** Resolves with the `count`-th tick from now; 0: at once. */
  after(count: number): Promise<void> {
    if (count <= 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ at: this.#count + count, resolve }));
  }
}
