/**
 * Bytes on their way to a socket that may take only a part of them. A runtime's `write` says how much it took and
 * forgets the rest, so the rest waits here, in order. Everything queued within one tick leaves in one write.
 */
export class SendQueue {
  #pieces: Uint8Array[] = [];
  #pendingBytes = 0;

  /** Bytes accepted here and not yet taken by the socket: what back-pressure is decided on. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  /**
   * Offers everything to `write` once.
   *
   * @param write returns how many bytes it took; 0 or less means that the socket is blocked or closed
   * @returns whether the queue is empty now; otherwise call again when the socket has drained
   */
  flush(write: (bytes: Uint8Array) => number): boolean {
    if (this.#pendingBytes === 0) return true;
    const all = this.#join();
    const taken = Math.max(0, write(all));
    this.#pendingBytes -= taken;
    this.#pieces = this.#pendingBytes === 0 ? [] : [all.subarray(taken)];
    return this.#pendingBytes === 0;
  }

  #join(): Uint8Array {
    const [first] = this.#pieces;
    if (first !== undefined && this.#pieces.length === 1) return first;
    const out = new Uint8Array(this.#pendingBytes);
    let offset = 0;
    for (const piece of this.#pieces) {
      out.set(piece, offset);
      offset += piece.length;
    }
    return out;
  }
}
