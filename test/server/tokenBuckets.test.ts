import { describe, expect, test } from "bun:test";
import { TokenBuckets } from "../../src/server/tokenBuckets.ts";
import { HandshakeTurns, nextTurn, TimeSlice, WorkInProgress } from "../../src/server/turns.ts";

describe("TokenBuckets", () => {
  let nowMs = 1_000;
  const now = () => nowMs;

  test("give as many as they hold at once, then one each refillMs", () => {
    const buckets = new TokenBuckets({ capacity: 3, refillMs: 10 }, now);
    for (const _ of [1, 2, 3]) {
      expect(buckets.waitMs("alice")).toBe(0);
      buckets.take("alice", 1);
    }
    expect(buckets.waitMs("alice")).toBe(10);
    expect(buckets.waitMs("bob")).toBe(0);
    nowMs += 9;
    expect(buckets.waitMs("alice")).toBe(1);
    nowMs += 1;
    expect(buckets.waitMs("alice")).toBe(0);
    buckets.take("alice", 1);
    expect(buckets.waitMs("alice")).toBe(10);
  });

  test("go into debt for what costs more than there is, and have it paid first", () => {
    const buckets = new TokenBuckets({ capacity: 2, refillMs: 10 }, now);
    buckets.take("alice", 7.5);
    expect(buckets.waitMs("alice")).toBe(65);
  });

  test("let nobody be in debt for more than 15 minutes", () => {
    const buckets = new TokenBuckets({ capacity: 2, refillMs: 10 }, now);
    buckets.take("alice", 1e12);
    buckets.take("alice", 1e12);
    expect(buckets.waitMs("alice")).toBe(15 * 60_000 + 10);
  });

  test("never hold more than was idle for longer", () => {
    const buckets = new TokenBuckets({ capacity: 2, refillMs: 10 }, now);
    nowMs += 1e9;
    buckets.take("alice", 2);
    expect(buckets.waitMs("alice")).toBe(10);
  });

  test("forget those that are full again", () => {
    const buckets = new TokenBuckets({ capacity: 1, refillMs: 10 }, now);
    for (let i = 0; i < 10_000; i++) {
      buckets.take(`subject ${i}`, 1);
      nowMs += 1;
    }
    expect(buckets.size).toBeLessThan(1_100);
    expect(buckets.waitMs("subject 9999")).toBe(9);
  });
});

test("TimeSlice lets others in as soon as its time is over, and not before", async () => {
  const slice = new TimeSlice();
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  await slice.orNextTurn();
  const early = turned;
  const until = performance.now() + 2;
  while (performance.now() < until);
  await slice.orNextTurn();
  expect([early, turned]).toEqual([false, true]);
});

test("TimeSlice begins anew for a task that has waited while others worked", async () => {
  const slice = new TimeSlice();
  const idleFromMs = performance.now();
  await Bun.sleep(5);
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  slice.waitedSince(idleFromMs);
  await slice.orNextTurn();
  expect(turned).toBe(false);
});

describe("HandshakeTurns", () => {
  test("admits one step a turn, those of handshakes that have begun first", async () => {
    const turns = new HandshakeTurns(new WorkInProgress());
    const admitted: string[] = [];
    const step = (name: string, isFirst: boolean) => void turns.next(isFirst).then(() => admitted.push(name));
    for (const name of ["new 1", "new 2"]) step(name, true);
    for (const name of ["begun 1", "begun 2"]) step(name, false);
    const seen: number[] = [];
    while (admitted.length < 4) {
      seen.push(admitted.length);
      await nextTurn();
    }
    expect(admitted).toEqual(["begun 1", "begun 2", "new 1", "new 2"]);
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  /** @returns ms that 500 steps in line took */
  async function crowd(others: WorkInProgress): Promise<number> {
    const turns = new HandshakeTurns(others);
    const startedMs = performance.now();
    await Promise.all(Array.from({ length: 500 }, () => turns.next(true)));
    return performance.now() - startedMs;
  }

  test("leaves a crowd's time to others only while they have work", async () => {
    const others = new WorkInProgress();
    others.begin();
    // 484 of them with more than 16 behind: a millisecond each at least, less what a timer may be early.
    const beside = await crowd(others);
    expect(beside).toBeGreaterThan(400);
    others.end();
    expect(await crowd(others)).toBeLessThan(beside / 2);
  });
});
