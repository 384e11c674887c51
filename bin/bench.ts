import { resolve } from "node:path";

/**
 * Runs the benchmarks one after the other: `bun bin/bench.ts [name…]`, all of test/bench without a name. Each prints ratios
 * against a baseline of its own run, since machines are noisy; nothing is asserted.
 */
const root = resolve(import.meta.dir, "..");
const wanted = process.argv.slice(2);
const names = [...new Bun.Glob("*Bench.ts").scanSync(`${root}/test/bench`)]
  .map((file) => file.replace(/Bench\.ts$/, ""))
  .sort();
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`bench: no benchmark "${unknown[0]}"; there are ${names.join(", ")}\n`);
  process.exit(2);
}
let failed = 0;
for (const name of wanted.length > 0 ? wanted : names) {
  process.stdout.write(`\n== ${name}\n`);
  const child = Bun.spawnSync([process.execPath, `test/bench/${name}Bench.ts`], {
    cwd: root,
    stdout: "inherit",
    stderr: "inherit",
  });
  if (child.exitCode !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);
