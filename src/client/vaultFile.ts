import { Database } from "bun:sqlite";
import { chmodSync, closeSync, constants, fstatSync, openSync } from "node:fs";
import { encodeUtf8 } from "../base/bytes.ts";
import { labels } from "../crypto/labels.ts";
import { ClientError } from "./clientError.ts";
import { asVaultError } from "./vaultErrors.ts";
import { sealValue, unsealValue } from "./vaultSeal.ts";

const formatVersion = 1;
const applicationId = 0x53437632; // "SCv2"
const keyBytes = 32;

/**
 * The file of a vault, for this process alone.
 *
 * @throws {ClientError} `VAULT_IN_USE`, `VAULT_UNUSABLE`
 */
export function openExclusively(file: string): Database {
  createPrivately(file);
  let database: Database | undefined;
  try {
    database = new Database(file, { readwrite: true, strict: true });
    // Exclusive before WAL: the lock is the file's own, held until close or until the process dies, and the index of the
    // write-ahead log stays in memory.
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = FULL");
    database.run("PRAGMA secure_delete = ON");
    database.run("PRAGMA temp_store = MEMORY");
    database.run("BEGIN EXCLUSIVE");
    database.run("COMMIT");
    return database;
  } catch (error) {
    database?.close();
    throw asVaultError(error, file);
  }
}

/**
 * @returns the vault key, which a file that is new is given
 * @throws {ClientError} `VAULT_WRONG_KEY` it is sealed under another wrap key, `VAULT_UNUSABLE` no vault of this version
 */
export function unwrapOrCreate(options: {
  database: Database;
  file: string;
  wrapKey: Uint8Array;
  random: (length: number) => Uint8Array;
}): Uint8Array {
  const { database, file, wrapKey, random } = options;
  const version = pragma(database, "user_version");
  if (version === 0 && pragma(database, "schema_version") === 0) {
    const key = random(keyBytes);
    const context = encodeUtf8(labels.vaultWrap);
    const wrapped = sealValue({ key: wrapKey, random, value: key, context });
    database.transaction(() => {
      database.run(`PRAGMA application_id = ${applicationId}`);
      database.run(`PRAGMA user_version = ${formatVersion}`);
      database.run("CREATE TABLE vault_key (id INTEGER PRIMARY KEY CHECK (id = 1), wrapped BLOB NOT NULL)");
      database.run(
        "CREATE TABLE sealed (collection TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (collection, key)) WITHOUT ROWID",
      );
      database.run("INSERT INTO vault_key VALUES (1, ?)", [wrapped]);
    })();
    return key;
  }
  if (pragma(database, "application_id") !== applicationId || version !== formatVersion)
    throw new ClientError("VAULT_UNUSABLE", `not a vault of this version: ${file}`);
  using select = database.prepare<{ wrapped: Uint8Array }, []>("SELECT wrapped FROM vault_key");
  const row = select.get();
  const key = row === null ? undefined : unsealValue(wrapKey, row.wrapped, encodeUtf8(labels.vaultWrap));
  if (key === undefined || key.length !== keyBytes)
    throw new ClientError(
      "VAULT_WRONG_KEY",
      `the vault ${file} belongs to another private key, choose another file with --vault`,
    );
  return key;
}

/** The file exists with mode 0600 before a byte is written to it; SQLite gives its side files the same mode. */
function createPrivately(file: string): void {
  try {
    const descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    const mode = fstatSync(descriptor).mode & 0o777;
    closeSync(descriptor);
    if (mode !== 0o600) chmodSync(file, 0o600);
  } catch (cause) {
    throw new ClientError("VAULT_UNUSABLE", `the vault can't be opened: ${file}`, { cause });
  }
}

function pragma(database: Database, name: string): number {
  using select = database.prepare<Record<string, number>, []>(`PRAGMA ${name}`);
  return select.get()?.[name] ?? 0;
}
