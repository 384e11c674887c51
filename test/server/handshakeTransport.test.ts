import { expect, test } from "bun:test";
import { handshakeTransport } from "../../src/server/handshakeTransport.ts";
import { HandshakeTurns, WorkInProgress } from "../../src/server/turns.ts";

const handshakeMs = 10_000;

/** A client whose payloads are there at once, and a line that says which deadline its wait began with. */
function waiting() {
  const deadlines: number[] = [];
  const connection = {
    set deadlineMs(atMs: number) {
      deadlines.push(atMs);
    },
    read: async () => new Uint8Array(1),
    write: () => undefined,
    requireOpen: () => undefined,
  };
  const turns = new HandshakeTurns(new WorkInProgress());
  const transport = handshakeTransport(connection, { network: "127.0.0.1", turns, handshakeMs });
  return { deadlines, transport };
}

test("handshakeTransport() has no deadline while a payload waits for its turn, and one for the client's part", async () => {
  const { deadlines, transport } = waiting();
  const fromMs = performance.now();
  await transport.read();
  await transport.read();
  expect(deadlines.map(Number.isFinite)).toEqual([true, false, true, false]);
  expect(deadlines[0]).toBeGreaterThanOrEqual(fromMs + handshakeMs);
});

test("handshakeTransport() counts all waits for the client together", async () => {
  const { deadlines, transport } = waiting();
  await transport.read();
  // The server's own time is not the client's.
  await Bun.sleep(20);
  const againMs = performance.now();
  await transport.read();
  const [first = 0, , second = 0] = deadlines;
  expect(second).toBeGreaterThan(first);
  expect(second).toBeLessThanOrEqual(againMs + handshakeMs + 1);
});
