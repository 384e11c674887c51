import { decodeUint32 } from "../base/bytes.ts";
import { WireError } from "./wireError.ts";

/** Longest payload of a frame while the peer is unknown, inclusive. */
export const maxHandshakeFrameBytes = 16 * 1024;
/** Longest payload of a frame between parties that know each other, inclusive. */
export const maxSessionFrameBytes = 256 * 1024;

const headerBytes = 4;

const nothing = new Uint8Array(0);

/** @returns `uint32 length || payload`, the length big-endian and at least 1 */
export function encodeFrame(payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(headerBytes + payload.length);
  new DataView(out.buffer).setUint32(0, payload.length);
  out.set(payload, headerBytes);
  return out;
}

/**
 * Cuts a stream of bytes, in whatever pieces it arrives, into frame payloads. The peer controls every byte: a length
 * over the limit is refused as soon as its four bytes are there, and no more is ever buffered than one frame. What that
 * takes does not depend on the size of the pieces.
 */
export class FrameDecoder {
  #limit: number;
  /** The first chunk as it came, or a copy of all that is not consumed, with room behind it. Written behind `#end` only. */
  #buffer: Uint8Array = nothing;
  #start = 0;
  #end = 0;
  #isOwn = false;
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
   * @param chunk what arrived; may be kept by reference until it is consumed
   */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const left = this.#end - this.#start;
    if (left === 0) {
      this.#buffer = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#isOwn = false;
      return;
    }
    if (!this.#isOwn || this.#end + chunk.length > this.#buffer.length) this.#grow(left + chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * @returns the next whole payload, or `undefined` until more bytes are pushed
   * @throws {WireError} `FRAME_TOO_LONG`, `FRAME_EMPTY`; the stream is of no use after that
   */
  next(): Uint8Array | undefined {
    const buffered = this.#end - this.#start;
    if (this.#expected === 0) {
      if (buffered < headerBytes) return undefined;
      this.#expected = decodeUint32(this.#buffer, this.#start);
    }
    const length = this.#expected;
    if (length === 0) throw new WireError("FRAME_EMPTY", "frame without a payload");
    if (length > this.#limit)
      throw new WireError(
        "FRAME_TOO_LONG",
        `frame of ${length} bytes, at most ${this.#limit} are allowed here`,
      );
    if (buffered < headerBytes + length) return undefined;
    const begin = this.#start + headerBytes;
    this.#start = begin + length;
    this.#expected = 0;
    const payload = this.#buffer.subarray(begin, this.#start);
    if (this.#start === this.#end) this.#release();
    return payload;
  }

  /** All is consumed: a peer that is silent from here on keeps no memory of what it sent. */
  #release(): void {
    this.#buffer = nothing;
    this.#start = 0;
    this.#end = 0;
    this.#isOwn = false;
  }

  /** Moves what is not consumed to where twice as much has room, so that each byte is copied a few times at most. */
  #grow(neededBytes: number): void {
    const grown = new Uint8Array(2 * neededBytes);
    grown.set(this.#buffer.subarray(this.#start, this.#end));
    this.#end -= this.#start;
    this.#start = 0;
    this.#buffer = grown;
    this.#isOwn = true;
  }
}
