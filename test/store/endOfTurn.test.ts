import { describe, expect, test } from "bun:test";
import { atEndOfTurn, isTurnAwaited } from "../../src/store/endOfTurn.ts";

/** After the turns that are under way. */
const later = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("atEndOfTurn()", () => {
  test("runs what promises have put off in the same turn, after everybody else's of the same round", async () => {
    const happened: string[] = [];
    const job = (name: string) =>
      atEndOfTurn(async () => {
        happened.push(`${name} judged`);
        for (let i = 0; i < 50; i++) await undefined;
        atEndOfTurn(() => happened.push(`${name} stored`));
      });
    setImmediate(() => {
      job("a");
      job("b");
      setImmediate(() => happened.push("a turn later"));
    });
    await later();
    expect(happened).toEqual(["a judged", "b judged", "a stored", "b stored", "a turn later"]);
  });

  test("lets the event loop go on when there is no end to it", async () => {
    let rounds = 0;
    let isOver = false;
    const again = () => {
      rounds += 1;
      if (!isOver) atEndOfTurn(again);
    };
    again();
    expect(isTurnAwaited()).toBe(true);
    await later();
    isOver = true;
    await later();
    expect(rounds).toBeGreaterThan(3);
    expect(isTurnAwaited()).toBe(false);
  });
});
