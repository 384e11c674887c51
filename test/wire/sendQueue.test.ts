import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes } from "../../src/base/bytes.ts";
import { SendQueue } from "../../src/wire/sendQueue.ts";

describe("SendQueue", () => {
  test("flush() offers everything queued in one write and is empty then", () => {
    const queue = new SendQueue();
    for (const piece of [[1], [2, 3], []]) queue.push(Uint8Array.from(piece));
    expect(queue.pendingBytes).toBe(3);
    const writes: Uint8Array[] = [];
    const write = (bytes: Uint8Array) => {
      writes.push(bytes);
      return bytes.length;
    };
    expect(queue.flush(write)).toBe(true);
    expect(writes).toEqual([Uint8Array.of(1, 2, 3)]);
    expect(queue.pendingBytes).toBe(0);
    expect(queue.flush(write)).toBe(true);
    expect(writes.length).toBe(1);
  });

  test("flush() keeps what the socket did not take, before what comes later", () => {
    const queue = new SendQueue();
    queue.push(Uint8Array.of(1, 2, 3, 4));
    expect(queue.flush(() => 3)).toBe(false);
    expect(queue.pendingBytes).toBe(1);
    queue.push(Uint8Array.of(5));
    let last: Uint8Array | undefined;
    expect(
      queue.flush((bytes) => {
        last = bytes;
        return bytes.length;
      }),
    ).toBe(true);
    expect(last).toEqual(Uint8Array.of(4, 5));
  });

  test("flush() loses nothing on a blocked and on a closed socket", () => {
    const queue = new SendQueue();
    queue.push(Uint8Array.of(1, 2));
    for (const answer of [0, -1]) {
      expect(queue.flush(() => answer)).toBe(false);
      expect(queue.pendingBytes).toBe(2);
    }
  });

  test("delivers every byte once and in order, however much is taken at a time", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 20 }), fc.integer({ min: -1, max: 30 }))),
        (steps) => {
          const queue = new SendQueue();
          const arrived: Uint8Array[] = [];
          const writer = (limit: number) => (bytes: Uint8Array) => {
            const taken = Math.min(limit, bytes.length);
            arrived.push(bytes.slice(0, Math.max(0, taken)));
            return taken;
          };
          for (const [bytes, limit] of steps) {
            queue.push(bytes);
            queue.flush(writer(limit));
          }
          queue.flush(writer(Number.POSITIVE_INFINITY));
          expect(concatBytes(...arrived)).toEqual(concatBytes(...steps.map(([bytes]) => bytes)));
          expect(queue.pendingBytes).toBe(0);
        },
      ),
    );
  });
});
