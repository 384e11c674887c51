import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import {
  formatJson,
  hex,
  integer,
  nullable,
  object,
  oneOf,
  parseJson,
  SchemaError,
  type SchemaType,
  text,
} from "../base/schema.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";

/** One certificate that the CA has issued, one JSON line in `ca_index.jsonl`. */
const recordSchema = object({
  serial: text({ min: 2, max: 40, pattern: /^(?:[0-9a-f]{2})+$/ }),
  fingerprint: hex(32),
  kind: oneOf(["ca", "user", "server"]),
  name: text({ min: 1, max: 256 }),
  email: text({ max: 254 }),
  /** SHA-256 of the SubjectPublicKeyInfo. */
  key: hex(32),
  not_before: integer(),
  not_after: integer(),
  issued_at: integer(),
  revoked: nullable(object({ at: integer(), reason: text({ max: 64 }) })),
});
export type IssuedRecord = SchemaType<typeof recordSchema>;

const lockWaitMs = 10_000;

/** @returns where the index of the CA with this key file is */
export function caIndexFile(caKeyFile: string): string {
  return join(dirname(caKeyFile), "ca_index.jsonl");
}

/** @throws {CliError} exit code 2, naming the line that is broken */
export function readCaIndex(file: string): readonly IssuedRecord[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  if (lines.pop() !== "") throw usageError(`${file} does not end with a line end; restore it from a backup`);
  return lines.map((line, index) => {
    try {
      return parseJson(recordSchema, line);
    } catch (cause) {
      if (!(cause instanceof SchemaError)) throw cause;
      throw usageError(`${file}, line ${index + 1}: ${cause.message}; restore it from a backup`, cause);
    }
  });
}

/**
 * Runs `change` while no other process changes this index, and stores what it returns: written whole beside the old
 * one, synced, then renamed over it, so a crash leaves the old index or the new one.
 */
export async function updateCaIndex(
  file: string,
  change: (records: readonly IssuedRecord[]) => Promise<readonly IssuedRecord[]>,
): Promise<void> {
  const lock = `${file}.lock`;
  await acquire(lock);
  try {
    const records = await change(readCaIndex(file));
    const temporary = `${file}.tmp`;
    const descriptor = openSync(temporary, "w", 0o644);
    try {
      writeFileSync(descriptor, records.map((record) => `${formatJson(recordSchema, record)}\n`).join(""));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, file);
  } finally {
    rmSync(lock, { force: true });
  }
}

async function acquire(lock: string): Promise<void> {
  const deadline = Date.now() + lockWaitMs;
  for (;;) {
    try {
      writeFileSync(lock, `${process.pid}\n`, { flag: "wx", mode: 0o644 });
      return;
    } catch (cause) {
      if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST"))
        throw usageError(
          `can't write ${lock}: ${cause instanceof Error ? cause.message : String(cause)}`,
          cause,
        );
    }
    if (isAbandoned(lock)) rmSync(lock, { force: true });
    else if (Date.now() > deadline)
      throw new CliError(
        exitCodes.refused,
        `another securechat is using this CA; if none runs, remove ${lock}`,
      );
    else await Bun.sleep(20);
  }
}

/** The process that made the lock is gone. */
function isAbandoned(lock: string): boolean {
  try {
    const owner = Number(readFileSync(lock, "utf8"));
    if (!Number.isSafeInteger(owner) || owner <= 0) return false;
    process.kill(owner, 0);
    return false;
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "ESRCH";
  }
}
