import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/**
 * Everything that a change has to pass: types, lint and format, then the tests under both crypto providers, on the
 * executable as it was just built. Ends with `N passed, N failed`.
 */
const root = resolve(import.meta.dir, "..");
const bun = process.execPath;
/** No test waits for time, but a loaded machine may need some. */
const patienceMs = 60_000;
let passed = 0;
let failed = 0;
let skipped = 0;

function run(name: string, command: readonly string[], environment: Record<string, string> = {}): boolean {
  process.stdout.write(`\n== ${name}\n`);
  const started = performance.now();
  const child = Bun.spawnSync([...command], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdout: "inherit",
    stderr: "inherit",
  });
  const ok = child.exitCode === 0;
  process.stdout.write(
    `== ${name}: ${ok ? "ok" : "FAILED"} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`,
  );
  return ok;
}

function step(name: string, command: readonly string[]): void {
  if (run(name, command)) passed++;
  else failed++;
}

/** Counts come from the JUnit file, so that a run that dies half-way is a failure and not a short success. */
function tests(name: string, paths: readonly string[], environment: Record<string, string>): void {
  const report = join(tmpdir(), `securechat-junit-${process.pid}.xml`);
  rmSync(report, { force: true });
  const ok = run(
    name,
    [bun, "test", ...paths, `--timeout=${patienceMs}`, "--reporter=junit", `--reporter-outfile=${report}`],
    environment,
  );
  let counts = { tests: 0, failures: 0, skipped: 0 };
  try {
    counts = junitCounts(readFileSync(report, "utf8"));
  } catch {
    process.stdout.write(`${name}: no test report was written\n`);
  }
  rmSync(report, { force: true });
  passed += counts.tests - counts.failures - counts.skipped;
  skipped += counts.skipped;
  failed += counts.failures > 0 || ok ? counts.failures : 1;
}

function junitCounts(xml: string): { tests: number; failures: number; skipped: number } {
  const head = /<testsuites\b[^>]*>/.exec(xml)?.[0] ?? "";
  const number = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  return {
    tests: number("tests"),
    failures: number("failures") + number("errors"),
    skipped: number("skipped"),
  };
}

step("types", [bun, "node_modules/.bin/tsc", "-p", "."]);
step("lint and format", [bun, "node_modules/.bin/biome", "check", "--error-on-warnings", "."]);
step("build", [bun, "bin/build.ts"]);
tests("tests, native provider", ["test"], { SECURECHAT_CRYPTO: "native" });
tests("tests, noble provider", ["test/pki", "test/channel", "test/log", "test/group", "test/evidence"], {
  SECURECHAT_CRYPTO: "noble",
});

process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
process.exit(failed === 0 ? 0 : 1);
