import { encodeHex, type Hex } from "../base/hex.ts";

const rootBytes = 32;

/** The roots of all prefixes of one log, 32 bytes each, for the views that refer to them. */
export class RootHistory {
  #roots = new Uint8Array(64 * rootBytes);
  #size = 0;

  /** Sizes 1 … `size` are known. */
  get size(): number {
    return this.#size;
  }

  /** @param root of the log with one entry more than before */
  append(root: Hex): void {
    const end = (this.#size + 1) * rootBytes;
    if (end > this.#roots.length) {
      const grown = new Uint8Array(2 * this.#roots.length);
      grown.set(this.#roots);
      this.#roots = grown;
    }
    this.#roots.set(Uint8Array.fromHex(root), end - rootBytes);
    this.#size += 1;
  }

  /** @returns the root of the first `size` entries, or `undefined` when it is not known */
  at(size: number): Hex | undefined {
    if (!Number.isSafeInteger(size) || size < 1 || size > this.#size) return undefined;
    return encodeHex(this.#roots.subarray((size - 1) * rootBytes, size * rootBytes));
  }
}
