import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { loadFixture, saveFixture } from "./fixture.ts";
import { type Failure, fuzz } from "./fuzzLoop.ts";
import { InputSlot } from "./inputSlot.ts";
import type { WorkerReport } from "./report.ts";
import { findTarget } from "./targets.ts";

/*
 * Fuzzes one target in a process of its own, which `supervise` watches: it may hang, be killed or crash the runtime.
 * Prints a `WorkerReport` at the end.
 */

useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
const { values } = parseArgs({
  options: {
    target: { type: "string" },
    slot: { type: "string" },
    folder: { type: "string" },
    seed: { type: "string" },
    iterations: { type: "string" },
    seconds: { type: "string" },
    fixture: { type: "string" },
  },
});
const { target: name, slot: slotFile, folder } = values;
if (name === undefined || slotFile === undefined || folder === undefined)
  throw new Error("--target, --slot and --folder are needed");

const target = findTarget(name);
const slot = new InputSlot(slotFile);
mkdirSync(folder, { recursive: true });
const fixture = values.fixture === undefined ? await target.makeFixture() : loadFixture(values.fixture);
saveFixture(join(folder, "fixture"), fixture);

const failures: WorkerReport["failures"][number][] = [];
const { slowest, ...statistics } = await fuzz(
  target,
  fixture,
  {
    seed: Number(values.seed ?? 0),
    ...(values.iterations === undefined ? {} : { iterations: Number(values.iterations) }),
    ...(values.seconds === undefined ? {} : { seconds: Number(values.seconds) }),
  },
  {
    begin: (input) => slot.begin(input),
    end: () => slot.end(),
    fail({ kind, message, input }: Failure) {
      const file = join(folder, `failure-${failures.length}.bin`);
      writeFileSync(file, input);
      failures.push({ kind, message, file });
      process.stderr.write(`${name}: ${kind}: ${message}\n  ${file}\n`);
    },
  },
);
writeFileSync(join(folder, "slowest.bin"), slowest);
await Bun.write(Bun.stdout, `${JSON.stringify({ ...statistics, failures } satisfies WorkerReport)}\n`);
// Whatever a target left open must not keep the process.
process.exit(0);
