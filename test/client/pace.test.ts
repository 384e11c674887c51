import { expect, test } from "bun:test";
import { Pace } from "../../src/client/pace.ts";

test("Pace lets so many through at once, then one in so many ms, and says how long to wait", () => {
  const pace = new Pace({ atOnce: 3, everyMs: 1_000 });
  const at = (nowMs: number) => pace.take(5_000_000 + nowMs);
  expect([at(0), at(0), at(0), at(0)]).toEqual([0, 0, 0, 1_000]);
  expect(at(400)).toBe(600);
  expect([at(1_000), at(1_000)]).toEqual([0, 1_000]);
  // Asking is free, and no time but what has passed makes it sooner.
  for (let i = 0; i < 10; i++) expect(at(1_500)).toBe(500);
  expect([at(2_000), at(2_000)]).toEqual([0, 1_000]);
});

test("Pace saves up no more than what goes at once, and a clock that goes back gives nothing", () => {
  const pace = new Pace({ atOnce: 2, everyMs: 1_000 });
  expect([pace.take(0), pace.take(0)]).toEqual([0, 0]);
  expect([pace.take(1_000_000), pace.take(1_000_000), pace.take(1_000_000)]).toEqual([0, 0, 1_000]);
  expect(pace.take(10)).toBe(1_000);
  expect(pace.take(1_010)).toBe(0);
});
