import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
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
const maxFailureLines = 40;
let passed = 0;
let failed = 0;
let skipped = 0;
/** What each failed test has printed, said again at the end, where it can be found. */
const failures: string[] = [];

function run(name: string, command: readonly string[]): boolean {
  process.stdout.write(`\n== ${name}\n`);
  const started = performance.now();
  const child = Bun.spawnSync([...command], {
    cwd: root,
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
async function tests(
  name: string,
  paths: readonly string[],
  environment: Record<string, string>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "securechat-check-"));
  const [report, output] = [join(folder, "junit.xml"), join(folder, "output")];
  const log = openSync(output, "w");
  const started = performance.now();
  process.stdout.write(`\n== ${name}: started\n`);
  const child = Bun.spawn(
    [
      ...[bun, "test", ...paths, `--timeout=${patienceMs}`],
      ...["--reporter=junit", `--reporter-outfile=${report}`],
    ],
    {
      cwd: root,
      env: { ...process.env, ...environment },
      stdout: Bun.file(output),
      stderr: Bun.file(output),
    },
  );
  const ok = (await child.exited) === 0;
  closeSync(log);
  const printed = readFileSync(output, "utf8");
  process.stdout.write(printed);
  failures.push(...failuresIn(printed));
  let counts = { tests: 0, failures: 0, skipped: 0 };
  try {
    counts = junitCounts(readFileSync(report, "utf8"));
  } catch {
    process.stdout.write(`${name}: no test report was written\n`);
  }
  rmSync(folder, { recursive: true });
  passed += counts.tests - counts.failures - counts.skipped;
  skipped += counts.skipped;
  failed += counts.failures > 0 || ok ? counts.failures : 1;
  process.stdout.write(
    `== ${name}: ${ok ? "ok" : "FAILED"} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`,
  );
}

/** @returns of each test that failed its last lines */
function failuresIn(printed: string): string[] {
  const lines = printed.split("\n");
  // The runner repeats all of them in a summary.
  const end = lines.findIndex((line) => /^\d+ tests? failed:$/.test(line));
  const inOrder = end < 0 ? lines : lines.slice(0, end);
  return inOrder.flatMap((line, at) => {
    if (!line.startsWith("(fail)")) return [];
    const before = inOrder.slice(Math.max(0, at - maxFailureLines), at);
    const from = before.findLastIndex((one) => /^\((pass|fail|skip|todo)\)/.test(one)) + 1;
    return [[...before.slice(from), line].join("\n")];
  });
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
// Two at a time: the first kind waits for processes more than it computes.
const withProcesses = ["client", "cli", "crash", "scenario"];
const others = readdirSync(join(root, "test"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() || entry.name.endsWith(".test.ts"))
  .filter(({ name }) => !withProcesses.includes(name));
const inTest = (names: readonly string[]) => names.map((name) => `test/${name}`);
const [native, noble] = [{ SECURECHAT_CRYPTO: "native" }, { SECURECHAT_CRYPTO: "noble" }];
await Promise.all([
  tests("tests of processes, native provider", inTest(withProcesses), native),
  tests("other tests, native provider", inTest(others.map(({ name }) => name)), native).then(() =>
    tests("tests, noble provider", inTest(["pki", "channel", "log", "group", "evidence"]), noble),
  ),
]);

if (failures.length > 0) process.stdout.write(`\n== failed\n\n${failures.join("\n\n")}\n`);
process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
process.exit(failed === 0 ? 0 : 1);
