import { decodeUint32 } from "../base/bytes.ts";
import { WireError } from "./wireError.ts";

/** Longest payload of a frame while the peer is unknown, inclusive. */
export const maxHandshakeFrameBytes = 16 * 1024;
/** Longest payload of a frame between parties that know each other, inclusive. */
export const maxSessionFrameBytes = 256 * 1024;

const headerBytes = 4;

/** @returns `uint32 length || payload`, the length big-endian and at least 1 */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(headerBytes + payload.length);
  new DataView(out.buffer).setUint32(0, payload.length);
  out.set(payload, headerBytes);
  return out;
}

/**
 * Cuts a stream of bytes, in whatever pieces it arrives, into frame payloads. The peer controls every byte: a length
 * over the limit is refused as soon as its four bytes are there, and no more is ever buffered than one frame.
 */
export class FrameDecoder {
  #limit: number;
  #pieces: Uint8Array[] = [];
  #buffered = 0;
  /** Payload length of the frame that has begun; 0 until its header was read. */
  #expected = 0;

  constructor(limit: number = maxHandshakeFrameBytes) {
    this.#limit = limit;
  }

  /** Applies to frames whose payload has not been returned yet. */
  raiseLimit(limit: number): void {
    this.#limit = limit;
  }

  /**
   * @param chunk what arrived; kept by reference until it is consumed
   */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#pieces.push(chunk);
    this.#buffered += chunk.length;
  }

  /**
   * @returns the next whole payload, or `undefined` until more bytes are pushed
   * @throws {WireError} `FRAME_TOO_LONG`, `FRAME_EMPTY`; the stream is of no use after that
   */
  next(): Uint8Array | undefined {
    if (this.#expected === 0) {
      if (this.#buffered < headerBytes) return undefined;
      this.#expected = decodeUint32(this.#gather(headerBytes));
    }
    const length = this.#expected;
    if (length === 0) throw new WireError("FRAME_EMPTY", "frame without a payload");
    if (length > this.#limit)
      throw new WireError(
        "FRAME_TOO_LONG",
        `frame of ${length} bytes, at most ${this.#limit} are allowed here`,
      );
    if (this.#buffered < headerBytes + length) return undefined;
    const whole = this.#gather(headerBytes + length);
    const payload = whole.subarray(headerBytes, headerBytes + length);
    this.#drop(headerBytes + length);
    this.#expected = 0;
    return payload;
  }

  /** Makes the first piece hold at least `length` bytes and returns it: at most twice a frame, so the cost is linear. */
  #gather(length: number): Uint8Array {
    const first = this.#pieces[0] ?? new Uint8Array(0);
    if (first.length >= length) return first;
    const joined = new Uint8Array(this.#buffered);
    let offset = 0;
    for (const piece of this.#pieces) {
      joined.set(piece, offset);
      offset += piece.length;
    }
    this.#pieces = [joined];
    return joined;
  }

  #drop(length: number): void {
    const first = this.#pieces[0];
    if (first === undefined) return;
    this.#buffered -= length;
    if (first.length === length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(length);
  }
}
