import { parseArgs } from "node:util";
import { crashRun } from "./crashRun.ts";

/**
 * `bun test/crash/run.ts [--kills 1000] [--worlds 8] [--seed N] [--lose-vaults] [--patience SECONDS]`: as long as somebody
 * likes. A seed gives the same decisions again; what they meet depends on the machine.
 */
const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "1000" },
    worlds: { type: "string", default: "8" },
    seed: { type: "string", default: String(crypto.getRandomValues(new Uint32Array(1))[0]) },
    "lose-vaults": { type: "boolean", default: false },
    patience: { type: "string", default: "600" },
  },
});
const worlds = Number(values.worlds);
const outcomes = await Promise.allSettled(
  Array.from({ length: worlds }, (_, i) =>
    crashRun({
      seed: Number(values.seed) + i,
      kills: Math.ceil(Number(values.kills) / worlds),
      losesVaults: values["lose-vaults"],
      patienceMs: Number(values.patience) * 1000,
    }),
  ),
);
for (const [i, outcome] of outcomes.entries()) {
  const seed = Number(values.seed) + i;
  if (outcome.status === "fulfilled") process.stdout.write(`${JSON.stringify({ seed, ...outcome.value })}\n`);
  else process.stderr.write(`${outcome.reason}\n`);
}
process.exitCode = outcomes.every(({ status }) => status === "fulfilled") ? 0 : 1;
