import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { loadFixture } from "./fixture.ts";
import { formatReport } from "./report.ts";
import { supervise } from "./supervise.ts";
import { findTarget, targets } from "./targets.ts";

/*
 * bun test/fuzz/run.ts [TARGET…|all] [--seconds N] [--seed S] [--iterations N] [--fixture FOLDER]
 * bun test/fuzz/run.ts TARGET --replay FILE
 *
 * --seconds is for each target; without it and --iterations as many inputs as in the test suite. Ends with 1 when something
 * failed.
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string" },
    seed: { type: "string" },
    iterations: { type: "string" },
    fixture: { type: "string" },
    replay: { type: "string" },
  },
});
const names =
  positionals.length === 0 || positionals.includes("all") ? targets.map(({ name }) => name) : positionals;

if (values.replay !== undefined) await replay(names[0] ?? "", values.replay);
else await run();

async function run(): Promise<void> {
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
  let failed = false;
  for (const name of names) {
    const iterations =
      values.iterations ?? (values.seconds === undefined ? findTarget(name).iterations : undefined);
    const report = await supervise(name, {
      seed,
      ...(iterations === undefined ? {} : { iterations: Number(iterations) }),
      ...(values.seconds === undefined ? {} : { seconds: Number(values.seconds) }),
      ...(values.fixture === undefined ? {} : { fixture: values.fixture }),
    });
    console.log(formatReport(report));
    failed ||= report.failures.length > 0;
  }
  process.exitCode = failed ? 1 : 0;
}

/** Tries one input that failed, with the fixture that stands beside it, and says how it ends now. */
async function replay(name: string, file: string): Promise<void> {
  useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
  const judge = await findTarget(name).open(loadFixture(values.fixture ?? join(dirname(file), "fixture")));
  const input = new Uint8Array(readFileSync(file));
  const before = performance.now();
  try {
    console.log(await judge(input));
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
  console.log(`${(performance.now() - before).toFixed(1)} ms`);
}
