import { readFileSync } from "node:fs";

/**
 * @returns whether this process may read from its terminal: one that was put into the background (`&`) would be stopped
 *  for trying, so it is better asked before
 */
export function isForeground(): boolean {
  const groups = fromProc() ?? fromPs();
  return groups !== undefined && groups.own === groups.ofTerminal;
}

interface Groups {
  readonly own: number;
  readonly ofTerminal: number;
}

/** Linux, proc(5): `pid (name) state ppid pgrp session tty_nr tpgid …`, where the name may hold anything. */
function fromProc(): Groups | undefined {
  try {
    const stat = readFileSync("/proc/self/stat", "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { own: Number(fields[2]), ofTerminal: Number(fields[5]) };
  } catch {
    return undefined;
  }
}

/** Elsewhere. */
function fromPs(): Groups | undefined {
  try {
    const { stdout } = Bun.spawnSync(["ps", "-o", "pgid=,tpgid=", "-p", String(process.pid)]);
    const [own, ofTerminal] = stdout.toString().trim().split(/\s+/).map(Number);
    return own === undefined || ofTerminal === undefined ? undefined : { own, ofTerminal };
  } catch {
    return undefined;
  }
}
