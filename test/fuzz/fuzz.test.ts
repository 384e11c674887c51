import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { formatReport } from "./report.ts";
import { supervise } from "./supervise.ts";
import { targets } from "./targets.ts";

/*
 * Every target over a fixed number of inputs; with SECURECHAT_FUZZ_SECONDS for so many seconds each. The seed is new every
 * time: a failure prints it, and where the input is.
 */

const seconds = process.env.SECURECHAT_FUZZ_SECONDS;
const timeoutMs = 120_000 + 1000 * Number(seconds ?? 0);

for (const { name, iterations } of targets)
  test(
    `${name}: no mutated input crashes, hangs, grows or passes for what was signed`,
    async () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const report = await supervise(name, {
        seed,
        ...(seconds === undefined ? { iterations } : { seconds: Number(seconds) }),
      });
      expect(report.failures, formatReport(report)).toEqual([]);
      rmSync(report.folder, { recursive: true, force: true });
      // Honest inputs are among them: a target that refuses everything tests nothing.
      expect(report.statistics?.outcomes ?? 0).toBeGreaterThan(1);
    },
    timeoutMs,
  );
