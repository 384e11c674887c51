import { Database } from "bun:sqlite";
import { closeSync, openSync } from "node:fs";
import { CliError, exitCodes, usageError } from "./cliError.ts";

const waitMs = 60_000;
const retryMs = 15;

/**
 * Runs `action` while no other process holds the lock on this file. The lock is the operating system's (taken through
 * SQLite, which has it right on every platform), so it ends with the process that holds it, however that ends: there is
 * no stale lock, nobody to take it over from, and no race between two who would. The file stays, empty; removing it
 * while somebody waits would give two processes two locks.
 *
 * @throws {CliError} when the file can't be made or the lock is not free for a minute, and whatever `action` throws
 */
export async function withFileLock<T>(file: string, action: () => T | Promise<T>): Promise<T> {
  const lock = openLock(file);
  try {
    const deadline = performance.now() + waitMs;
    while (!tryLock(lock, file)) {
      if (performance.now() > deadline)
        throw new CliError(
          exitCodes.refused,
          `another securechat has been using this CA for a minute (lock ${file})`,
        );
      // Not all at the same moment again.
      await Bun.sleep(retryMs * (0.5 + Math.random()));
    }
    return await action();
  } finally {
    lock.close();
  }
}

/**
 * Takes the lock on this file for as long as the process lives, or until the function that is returned is called.
 *
 * @returns `undefined` when another process holds it
 * @throws {CliError} when the file can't be made
 */
export function holdFileLock(file: string): (() => void) | undefined {
  const lock = openLock(file);
  if (tryLock(lock, file)) return () => lock.close();
  lock.close();
  return undefined;
}

function openLock(file: string): Database {
  try {
    // Whoever can read it can keep others from locking it.
    closeSync(openSync(file, "a", 0o600));
    return new Database(file, { readwrite: true });
  } catch (cause) {
    throw unusable(file, cause);
  }
}

function tryLock(lock: Database, file: string): boolean {
  try {
    lock.run("BEGIN EXCLUSIVE");
    return true;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "SQLITE_BUSY") return false;
    throw unusable(file, cause);
  }
}

function unusable(file: string, cause: unknown): CliError {
  return usageError(`can't lock ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
}
