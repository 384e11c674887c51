import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import {
  formatJson,
  hex,
  integer,
  list,
  literal,
  nullable,
  object,
  oneOf,
  parseJson,
  type Schema,
  SchemaError,
  type SchemaType,
  tagged,
  text,
} from "../base/schema.ts";
import { syncFolder } from "../client/atomicFile.ts";
import { isReason } from "../pki/crl.ts";
import type { RevocationReason } from "../pki/pkiError.ts";
import { usageError } from "./cliError.ts";
import { withFileLock } from "./fileLock.ts";

const reason: Schema<RevocationReason> = {
  read(value, path) {
    const name = text({ max: 32 }).read(value, path);
    if (!isReason(name)) throw new SchemaError("WRONG_FIELD", `${path} must be a reason of RFC 5280`);
    return name;
  },
  write: (value) => value,
};

/** Most bytes of a name, an e-mail address and a host, and most hosts; all inclusive. */
export const recordLimits = { name: 1024, email: 254, host: 253, hosts: 4096 } as const;

/** A certificate: of kind `ca` the authority's own (the first line), else one that it has issued. */
const certificateRecord = object({
  type: literal("certificate"),
  serial: text({ min: 2, max: 40, pattern: /^(?:[0-9a-f]{2})+$/ }),
  fingerprint: hex(32),
  kind: oneOf(["ca", "intermediate", "user", "server"]),
  name: text({ min: 1, max: recordLimits.name }),
  email: text({ max: recordLimits.email }),
  /** A server's DNS names and addresses. */
  hosts: list(text({ min: 1, max: recordLimits.host }), recordLimits.hosts),
  /** SHA-256 of the SubjectPublicKeyInfo. */
  key: hex(32),
  not_before: integer(),
  not_after: integer(),
  issued_at: integer(),
  revoked: nullable(object({ at: integer(), reason })),
});

/** A revocation list that was signed. */
const crlRecord = object({
  type: literal("crl"),
  number: integer(1),
  this_update: integer(),
  next_update: integer(),
  entries: integer(),
});

const recordSchema = tagged("type", { certificate: certificateRecord, crl: crlRecord });
export type IssuedRecord = SchemaType<typeof certificateRecord>;
export type CrlRecord = SchemaType<typeof crlRecord>;
export type IndexRecord = SchemaType<typeof recordSchema>;

/** What one authority has signed, oldest first: one canonical JSON object a line. */
export interface CaIndex {
  readonly file: string;
  readonly records: readonly IndexRecord[];
  readonly certificates: readonly IssuedRecord[];
  readonly crls: readonly CrlRecord[];
}

/** An index that nobody else changes meanwhile. */
export interface LockedCaIndex extends CaIndex {
  /**
   * Stores these records in place of all that were there. Written whole beside the old file, synced, renamed over it, and
   * the folder synced: a crash leaves the old index or the new one, and after the return it is the new one.
   */
  write(records: readonly IndexRecord[]): void;
}

/** @returns an index without records when there is no file. @throws {CliError} exit code 2, naming the broken line */
export function readCaIndex(file: string): CaIndex {
  const records = existsSync(file) ? parseIndex(readFileSync(file, "utf8"), file) : [];
  return {
    file,
    records,
    certificates: records.filter((record) => record.type === "certificate"),
    crls: records.filter((record) => record.type === "crl"),
  };
}

/** Runs `change` on the index as it is now, while no other process changes it. */
export async function withCaIndex<T>(
  file: string,
  change: (index: LockedCaIndex) => T | Promise<T>,
): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  return await withFileLock(`${file.replace(/\.jsonl$/, "")}.lock`, () =>
    change({ ...readCaIndex(file), write: (records) => writeIndex(file, records) }),
  );
}

function parseIndex(content: string, file: string): readonly IndexRecord[] {
  const lines = content.split("\n");
  if (lines.pop() !== "") throw usageError(`${file} does not end with a line end; restore it from a backup`);
  const records = lines.map((line, index) => {
    try {
      return parseJson(recordSchema, line);
    } catch (cause) {
      if (!(cause instanceof SchemaError)) throw cause;
      throw usageError(`${file}, line ${index + 1}: ${cause.message}; restore it from a backup`, cause);
    }
  });
  demandUniqueSerials(records, file);
  return records;
}

function writeIndex(file: string, records: readonly IndexRecord[]): void {
  demandUniqueSerials(records, file);
  const lines = records.map((record) => formatJson(recordSchema, record));
  // What is written here is read by every command after this one: a line that they would refuse must not get there.
  for (const line of lines) parseJson(recordSchema, line);
  // One name is enough: only the holder of the lock writes it, and what a crash leaves there is overwritten.
  const temporary = `${file}.tmp`;
  const descriptor = openSync(temporary, "w", 0o644);
  try {
    writeFileSync(descriptor, lines.map((line) => `${line}\n`).join(""));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, file);
  syncFolder(dirname(file));
}

/** An issuer and a serial number name one certificate (RFC 5280 §4.1.2.2); revocation rests on it. */
function demandUniqueSerials(records: readonly IndexRecord[], file: string): void {
  const seen = new Set<string>();
  for (const record of records) {
    if (record.type !== "certificate") continue;
    if (seen.has(record.serial))
      throw usageError(`${file}: serial ${record.serial} twice; restore it from a backup`);
    seen.add(record.serial);
  }
}
