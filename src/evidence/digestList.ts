const digestBytes = 32;

/** A list of SHA-256 hashes that grows at its end, 32 bytes each: a log may have millions of entries. */
export class DigestList {
  #digests = new Uint8Array(64 * digestBytes);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(digest: Uint8Array): void {
    const end = (this.#length + 1) * digestBytes;
    if (end > this.#digests.length) {
      const grown = new Uint8Array(2 * this.#digests.length);
      grown.set(this.#digests);
      this.#digests = grown;
    }
    this.#digests.set(digest, end - digestBytes);
    this.#length += 1;
  }

  /** @returns 32 bytes, or `undefined` behind the end */
  at(index: number): Uint8Array | undefined {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.#length) return undefined;
    return this.#digests.slice(index * digestBytes, (index + 1) * digestBytes);
  }
}
