import { readFileSync } from "node:fs";

/** @returns user and system time of a process so far (proc(5): fields 14 and 15 of stat, in ticks of 10 ms) */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
