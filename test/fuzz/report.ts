import type { FailureKind, Statistics } from "./fuzzLoop.ts";

export interface WorkerReport extends Omit<Statistics, "slowest"> {
  readonly failures: readonly {
    readonly kind: FailureKind;
    readonly message: string;
    /** Where the input is. */
    readonly file: string;
  }[];
}

export interface TargetReport {
  readonly target: string;
  readonly seed: number;
  /** The fixture, the slowest input and those that failed; removed when nothing failed or came near the time limit. */
  readonly folder: string;
  /** `undefined` when the process did not come to its end. */
  readonly statistics: Omit<WorkerReport, "failures"> | undefined;
  readonly failures: WorkerReport["failures"];
}

/** @returns lines for people: one for the target, and for each failure what happened and how to see it again */
export function formatReport({ target, seed, statistics, failures }: TargetReport): string {
  const lines = [`${target.padEnd(22)} seed ${seed}`];
  if (statistics !== undefined) {
    const { executed, accepted, outcomes, slowestMs, seconds, growthMiB } = statistics;
    lines[0] += `  ${executed} inputs in ${seconds.toFixed(1)} s, ${accepted} accepted, ${outcomes} outcomes, slowest ${slowestMs.toFixed(1)} ms, memory ${growthMiB >= 0 ? "+" : ""}${growthMiB.toFixed(0)} MiB`;
  }
  for (const { kind, message, file } of failures)
    lines.push(`  ${kind}: ${message}`, `  again: bun test/fuzz/run.ts ${target} --replay ${file}`);
  return lines.join("\n");
}
