import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputSlot } from "./inputSlot.ts";
import type { TargetReport, WorkerReport } from "./report.ts";
import { findTarget } from "./targets.ts";

export interface SuperviseOptions {
  readonly seed: number;
  readonly iterations?: number;
  readonly seconds?: number;
  /** A fixture of an earlier run, to repeat it. */
  readonly fixture?: string;
  /** One input that takes longer is a hang, ms. */
  readonly hangMs?: number;
}

const defaultHangMs = 20_000;

/** Fuzzes one target in another process and reports also what that process can't: that it hung, died or was killed. */
export async function supervise(name: string, options: SuperviseOptions): Promise<TargetReport> {
  const { seed, hangMs = defaultHangMs } = options;
  const target = findTarget(name);
  const folder = mkdtempSync(join(tmpdir(), `securechat-fuzz-${name}-`));
  const slotFile = join(folder, "slot");
  const slot = InputSlot.create(slotFile, target.maxBytes);
  const flag = (flagName: string, value: string | number | undefined) =>
    value === undefined ? [] : [`--${flagName}`, String(value)];
  const child = Bun.spawn(
    [
      ...[process.execPath, join(import.meta.dir, "worker.ts"), "--target", name, "--slot", slotFile],
      ...["--folder", folder, ...flag("seed", seed), ...flag("iterations", options.iterations)],
      ...[...flag("seconds", options.seconds), ...flag("fixture", options.fixture)],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );

  let hung = false;
  let last = { count: 0, sinceMs: performance.now() };
  const watch = setInterval(() => {
    if (slot.count !== last.count || slot.current === undefined)
      last = { count: slot.count, sinceMs: performance.now() };
    else if (performance.now() - last.sinceMs > hangMs) {
      hung = true;
      child.kill("SIGKILL");
    }
  }, 250);
  const [output] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  clearInterval(watch);
  rmSync(slotFile);

  const report = output === "" ? undefined : (JSON.parse(output) as WorkerReport);
  const failures = [...(report?.failures ?? [])];
  if (report === undefined) {
    const file = join(folder, "failure-last.bin");
    writeFileSync(file, slot.current ?? new Uint8Array(0));
    failures.push({
      kind: hung ? "hang" : "crash",
      message: hung
        ? `no answer in ${hangMs} ms`
        : `the process ended: ${child.signalCode ?? child.exitCode}`,
      file,
    });
  }
  const isSlow = (report?.slowestMs ?? 0) > target.limitMs / 2;
  if (failures.length === 0 && !isSlow) rmSync(folder, { recursive: true });
  let statistics: TargetReport["statistics"];
  if (report !== undefined) {
    const { failures: _, ...rest } = report;
    statistics = rest;
  }
  return { target: name, seed, folder, statistics, failures };
}
