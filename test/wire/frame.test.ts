import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes, encodeUint32 } from "../../src/base/bytes.ts";
import {
  encodeFrame,
  FrameDecoder,
  maxHandshakeFrameBytes,
  maxSessionFrameBytes,
} from "../../src/wire/frame.ts";

const code = (expected: string) => expect.objectContaining({ name: "WireError", code: expected });
const payloads = [1, 2, 255, 256, 5000].map((length, index) => new Uint8Array(length).fill(index + 1));
const stream = concatBytes(...payloads.map(encodeFrame));

function drain(decoder: FrameDecoder): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let payload = decoder.next(); payload !== undefined; payload = decoder.next()) out.push(payload);
  return out;
}

describe("FrameDecoder", () => {
  test("encodeFrame() puts the length before the payload, big-endian", () => {
    expect(encodeFrame(Uint8Array.of(7, 8))).toEqual(Uint8Array.of(0, 0, 0, 2, 7, 8));
  });

  test("cuts a stream that is fed whole", () => {
    const decoder = new FrameDecoder();
    decoder.push(stream);
    expect(drain(decoder)).toEqual(payloads);
    expect(decoder.next()).toBeUndefined();
  });

  test("cuts a stream that is fed byte by byte", () => {
    const decoder = new FrameDecoder();
    const out: Uint8Array[] = [];
    for (const octet of stream) {
      decoder.push(Uint8Array.of(octet));
      out.push(...drain(decoder));
    }
    expect(out).toEqual(payloads);
  });

  test("cuts a stream that is fed in any pieces, read at any time", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 30 }),
        fc.array(fc.boolean()),
        (sizes, reads) => {
          const decoder = new FrameDecoder();
          const out: Uint8Array[] = [];
          let offset = 0;
          for (const [index, size] of sizes.entries()) {
            decoder.push(stream.subarray(offset, offset + size));
            offset = Math.min(stream.length, offset + size);
            if (reads[index]) out.push(...drain(decoder));
          }
          decoder.push(stream.subarray(offset));
          out.push(...drain(decoder));
          expect(out).toEqual(payloads);
        },
      ),
    );
  });

  test("accepts a payload of exactly the limit and refuses one byte more at its header", () => {
    for (const limit of [1, 100, maxHandshakeFrameBytes, maxSessionFrameBytes]) {
      const exact = new FrameDecoder(limit);
      exact.push(encodeFrame(new Uint8Array(limit)));
      expect(exact.next()?.length).toBe(limit);
      const over = new FrameDecoder(limit);
      over.push(encodeUint32(limit + 1));
      expect(() => over.next()).toThrow(code("FRAME_TOO_LONG"));
    }
  });

  test("has the handshake's limit unless told", () => {
    const decoder = new FrameDecoder();
    decoder.push(encodeUint32(maxHandshakeFrameBytes + 1));
    expect(() => decoder.next()).toThrow(code("FRAME_TOO_LONG"));
  });

  test("refuses lengths with the top bit set, and zero, every time it is asked", () => {
    for (const [length, expected] of [
      [0xffff_ffff, "FRAME_TOO_LONG"],
      [0x8000_0001, "FRAME_TOO_LONG"],
      [0, "FRAME_EMPTY"],
    ] as const) {
      const decoder = new FrameDecoder(maxSessionFrameBytes);
      decoder.push(encodeUint32(length));
      expect(() => decoder.next()).toThrow(code(expected));
      expect(() => decoder.next()).toThrow(code(expected));
    }
  });

  test("raiseLimit() applies to a frame that has begun to arrive", () => {
    const decoder = new FrameDecoder(4);
    decoder.push(encodeFrame(Uint8Array.of(1)));
    decoder.push(encodeUint32(5));
    expect(decoder.next()).toEqual(Uint8Array.of(1));
    decoder.raiseLimit(5);
    expect(decoder.next()).toBeUndefined();
    decoder.push(new Uint8Array(5));
    expect(decoder.next()).toEqual(new Uint8Array(5));
  });

  test("leaves a truncated frame pending", () => {
    const decoder = new FrameDecoder();
    decoder.push(encodeFrame(Uint8Array.of(1, 2, 3)).subarray(0, 6));
    expect(decoder.next()).toBeUndefined();
    decoder.push(new Uint8Array(0));
    expect(decoder.next()).toBeUndefined();
  });

  test("does not change what it was given, nor payloads that it has returned", () => {
    const decoder = new FrameDecoder();
    const chunk = concatBytes(encodeFrame(Uint8Array.of(1)), encodeFrame(Uint8Array.of(2)));
    const before = chunk.slice();
    decoder.push(chunk);
    const first = decoder.next();
    decoder.push(encodeFrame(Uint8Array.of(3)));
    drain(decoder);
    expect(first).toEqual(Uint8Array.of(1));
    expect(chunk).toEqual(before);
  });

  test("costs time linear in the bytes when a frame comes in many pieces", () => {
    // 256 KiB in single bytes; joining all pieces for each would move 32 GiB.
    const decoder = new FrameDecoder(maxSessionFrameBytes);
    const frame = encodeFrame(new Uint8Array(maxSessionFrameBytes).fill(9));
    let payload: Uint8Array | undefined;
    for (let offset = 0; offset < frame.length; offset++) {
      decoder.push(frame.subarray(offset, offset + 1));
      payload = decoder.next();
    }
    expect(payload?.length).toBe(maxSessionFrameBytes);
  });

  test("keeps one buffer for a frame, however small the pieces are that it comes in", () => {
    const arrays = () => {
      Bun.gc(true);
      const {
        Uint8Array: plain = 0,
        Buffer: buffers = 0,
        ArrayBuffer: memory = 0,
      } = heapStats().objectTypeCounts;
      return plain + buffers + memory;
    };
    const decoder = new FrameDecoder();
    const before = arrays();
    for (const byte of encodeFrame(new Uint8Array(maxHandshakeFrameBytes)).subarray(0, -1)) {
      decoder.push(Buffer.alloc(1, byte));
      expect(decoder.next()).toBeUndefined();
    }
    expect(arrays() - before).toBeLessThan(1_000);
    decoder.push(new Uint8Array(1));
    expect(decoder.next()).toEqual(new Uint8Array(maxHandshakeFrameBytes));
  });
});
