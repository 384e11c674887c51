import { describe, expect, test } from "bun:test";
import { TokenBuckets } from "../../src/server/tokenBuckets.ts";
import { HandshakeTurns, nextTurn, TimeSlice, WorkInProgress } from "../../src/server/turns.ts";
import { atEndOfTurn } from "../../src/store/endOfTurn.ts";

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
  /** @returns in which order these steps were admitted, and how many had been before each turn */
  async function order(turns: HandshakeTurns, steps: readonly { network: string; isFirst: boolean }[]) {
    const admitted: number[] = [];
    for (const [number, { network, isFirst }] of steps.entries())
      void turns.next(network, isFirst).then(() => admitted.push(number));
    const seen: number[] = [];
    while (admitted.length < steps.length) {
      seen.push(admitted.length);
      await nextTurn();
    }
    return { admitted, seen };
  }

  test("admits one step a turn, those of handshakes that have begun first", async () => {
    const step = (isFirst: boolean) => ({ network: "127.0.0.1", isFirst });
    const turns = new HandshakeTurns(new WorkInProgress());
    const { admitted, seen } = await order(turns, [step(true), step(true), step(false), step(false)]);
    expect(admitted).toEqual([2, 3, 0, 1]);
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  test("lets networks begin in turn, whoever has most in line", async () => {
    const steps = ["a", "a", "a", "b", "a", "c", "b"].map((network) => ({ network, isFirst: true }));
    const { admitted } = await order(new HandshakeTurns(new WorkInProgress()), steps);
    expect(admitted).toEqual([0, 3, 5, 1, 6, 2, 4]);
  });

  test("lets what is due at the end of a turn go first", async () => {
    const turns = new HandshakeTurns(new WorkInProgress());
    const happened: string[] = [];
    const admitted = turns.next("a", true).then(() => happened.push("step"));
    atEndOfTurn(() => happened.push("post"));
    await admitted;
    expect(happened).toEqual(["post", "step"]);
  });

  /** @returns how many turns of the event loop 300 steps in line took */
  async function turnsOf(turns: HandshakeTurns): Promise<number> {
    let count = 0;
    let isOver = false;
    const counting = async () => {
      for (; !isOver; count++) await nextTurn();
    };
    const counted = counting();
    await Promise.all(Array.from({ length: 300 }, () => turns.next("a", true)));
    isOver = true;
    await counted;
    return count;
  }

  test("rest while those who are logged in have work, once most handshakes come to nothing", async () => {
    const others = new WorkInProgress();
    const turns = new HandshakeTurns(others);
    const end = (hasSucceeded: boolean) => {
      for (let i = 0; i < 64; i++) turns.ended(hasSucceeded);
    };
    end(false);
    expect(await turnsOf(turns)).toBeLessThan(310);
    others.begin();
    // A millisecond is hundreds of turns of a loop that has nothing to do.
    expect(await turnsOf(turns)).toBeGreaterThan(1_000);
    end(true);
    expect(await turnsOf(turns)).toBeLessThan(310);
  });
});
