import { closeSync, ftruncateSync, openSync } from "node:fs";

const headerBytes = 12;

/**
 * A file in memory that holds the input that is being tried: the process that tries it may hang or die, the one that
 * watches it can still read what it was. `uint32 count || uint32 length || uint32 done || input`.
 */
export class InputSlot {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(file: string) {
    this.#bytes = Bun.mmap(file, { shared: true });
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  static create(file: string, maxBytes: number): InputSlot {
    const descriptor = openSync(file, "wx+", 0o600);
    ftruncateSync(descriptor, headerBytes + maxBytes);
    closeSync(descriptor);
    return new InputSlot(file);
  }

  /** Called before each input. */
  begin(input: Uint8Array): void {
    this.#bytes.set(input, headerBytes);
    this.#view.setUint32(4, input.length);
    this.#view.setUint32(8, 0);
    this.#view.setUint32(0, this.count + 1);
  }

  /** Called after each input. */
  end(): void {
    this.#view.setUint32(8, 1);
  }

  /** How many inputs have begun. */
  get count(): number {
    return this.#view.getUint32(0);
  }

  /** The input that is being tried; `undefined` between two. */
  get current(): Uint8Array | undefined {
    if (this.count === 0 || this.#view.getUint32(8) === 1) return undefined;
    return this.#bytes.slice(headerBytes, headerBytes + this.#view.getUint32(4));
  }
}
