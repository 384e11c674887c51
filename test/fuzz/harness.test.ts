import { expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type { FailureKind } from "./fuzzLoop.ts";
import { fuzz } from "./fuzzLoop.ts";
import { type Form, mutate } from "./mutate.ts";
import { Prng } from "./prng.ts";
import type { TargetReport } from "./report.ts";
import { supervise } from "./supervise.ts";
import { findTarget } from "./targets.ts";

const timeoutMs = 60_000;

/** Runs one planted target and hands over what was found, with its files. */
async function found<T>(
  name: string,
  look: (report: TargetReport) => T | Promise<T>,
  hangMs?: number,
): Promise<T> {
  const { iterations } = findTarget(name);
  const report = await supervise(name, { seed: 5, iterations, ...(hangMs === undefined ? {} : { hangMs }) });
  try {
    return await look(report);
  } finally {
    rmSync(report.folder, { recursive: true, force: true });
  }
}

const faults: readonly (readonly [string, FailureKind])[] = [
  ["plantedError", "error"],
  ["plantedAcceptance", "error"],
  ["plantedRejection", "error"],
  ["plantedDeath", "crash"],
  ["plantedSlowness", "slow"],
  ["plantedHang", "hang"],
];

for (const [name, kind] of faults)
  test(
    `supervise() reports ${name} as ${kind} and keeps the input`,
    () =>
      found(
        name,
        ({ failures }) => {
          expect(failures.map((failure) => failure.kind)).toEqual([kind]);
          expect(readFileSync(failures[0]?.file ?? "")[0]).not.toBe(1);
        },
        // Long enough that no other input takes as long on a busy machine.
        kind === "hang" ? 3000 : undefined,
      ),
    timeoutMs,
  );

test(
  "supervise() reports memory that a target keeps",
  () =>
    found("plantedGrowth", ({ failures }) => expect(failures.map(({ kind }) => kind)).toEqual(["growth"])),
  timeoutMs,
);

test(
  "supervise() finds nothing where nothing is wrong, and leaves no file",
  () =>
    found("plantedNothing", ({ failures, folder, statistics }) => {
      expect(failures).toEqual([]);
      expect(statistics?.executed).toBeGreaterThanOrEqual(300);
      expect(existsSync(folder)).toBe(false);
    }),
  timeoutMs,
);

test(
  "run.ts --replay shows the failure of an input again",
  () =>
    found("plantedError", async ({ failures }) => {
      const file = failures[0]?.file ?? "";
      const replay = Bun.spawn(
        [process.execPath, join(import.meta.dir, "run.ts"), "plantedError", "--replay", file],
        {
          stdout: "ignore",
          stderr: "pipe",
        },
      );
      expect(await new Response(replay.stderr).text()).toContain("RangeError");
      expect(await replay.exited).toBe(1);
    }),
  timeoutMs,
);

test("fuzz() tries the same inputs for the same seed and fixture, and others for another", async () => {
  const target = findTarget("certificate");
  const fixture = await target.makeFixture();
  const inputsOf = async (seed: number) => {
    const hashes: bigint[] = [];
    await fuzz(
      target,
      fixture,
      { seed, iterations: 200 },
      {
        begin: (input) => void hashes.push(BigInt(Bun.hash(input))),
        end: () => undefined,
        fail: ({ message }) => expect.unreachable(message),
      },
    );
    return hashes;
  };
  const first = await inputsOf(1);
  expect(first.length).toBeGreaterThanOrEqual(200);
  expect(await inputsOf(1)).toEqual(first);
  expect(await inputsOf(2)).not.toEqual(first);
});

test("mutate() takes any bytes, keeps to the limit and leaves its input alone", () => {
  const forms = fc.constantFrom<Form>("bytes", "der", "json", "jsonLines", "pem", "derOrPem");
  const der = fc
    .uint8Array({ maxLength: 60 })
    .map((content) => Uint8Array.of(0x30, content.length, ...content));
  const text = fc.json().map((json) => new TextEncoder().encode(json));
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), der, text);
  fc.assert(
    fc.property(fc.integer(), forms, bytes, bytes, (seed, form, input, other) => {
      const before = input.slice();
      const changed = mutate(new Prng(seed), form, input, [input, other], 500);
      expect(changed.length).toBeLessThanOrEqual(500);
      expect(input).toEqual(before);
    }),
    { numRuns: 2000 },
  );
});
