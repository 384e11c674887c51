/** Keeps at most `limit` values; the longest unused goes first. */
export class BoundedCache<K, V> {
  readonly #limit: number;
  readonly #values = new Map<K, V>();
  #era = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts how often the cache was emptied: what was read in an earlier era may be out of date. */
  get era(): number {
    return this.#era;
  }

  find(key: K): V | undefined {
    const value = this.#values.get(key);
    if (value !== undefined) {
      this.#values.delete(key);
      this.#values.set(key, value);
    }
    return value;
  }

  keep(key: K, value: V): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= this.#limit) return;
      this.#values.delete(oldest);
    }
  }

  forget(key: K): void {
    this.#values.delete(key);
  }

  clear(): void {
    this.#values.clear();
    this.#era += 1;
  }
}
