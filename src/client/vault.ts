import type { Database, Statement } from "bun:sqlite";
import { encodeUtf8 } from "../base/bytes.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { labels } from "../crypto/labels.ts";
import { ClientError } from "./clientError.ts";
import { asVaultError, damagedVault, wayOut } from "./vaultErrors.ts";
import { openExclusively, unwrapOrCreate } from "./vaultFile.ts";
import { sealValue, unsealValue } from "./vaultSeal.ts";

/** What the vault keeps. A collection's values have one form each, given in vaultRecords.ts. */
export const collections = [
  "device",
  "keyPackage",
  "person",
  "chain",
  "crl",
  "conversation",
  "member",
  "ratchet",
  "group",
  "pending",
  "epoch",
  "outgoing",
  "opening",
  "replaced",
  "told",
  "expired",
] as const;
export type Collection = (typeof collections)[number];

/**
 * The client's memory: MLS state, ratchets, openings, history, what is signed and not yet accepted. One SQLite file, mode
 * 0600, for one process at a time. Row keys are in clear (ids, indexes, fingerprints); every value is
 * `nonce(12) || AES-256-GCM(vault key, nonce, value)` with AAD `securechat/2 vault value\n<collection>\n<key>\n`, so a
 * value can't be moved to another row. The random vault key stands in the file, sealed under a key that is derived
 * from the certificate's private key. Whoever can write the file can put back an old copy of a row or of the whole; the log
 * on the server shows it (a restored vault rejoins).
 *
 * Writes are collected in a `VaultBatch` and reach the file in one transaction. `secure_delete` overwrites what is
 * removed or replaced; the write-ahead log, which still holds old pages, is truncated by `scrub`.
 */
export class Vault {
  readonly #file: string;
  readonly #database: Database;
  readonly #key: Uint8Array;
  readonly #random: (length: number) => Uint8Array;
  readonly #select: Statement<{ value: Uint8Array }, [string, string]>;
  readonly #range: Statement<{ key: string; value: Uint8Array }, [string, string, string]>;
  readonly #upsert: Statement<unknown, [string, string, Uint8Array]>;
  readonly #delete: Statement<unknown, [string, string]>;

  private constructor(
    file: string,
    database: Database,
    key: Uint8Array,
    random: (length: number) => Uint8Array,
  ) {
    this.#file = file;
    this.#database = database;
    this.#key = key;
    this.#random = random;
    this.#select = database.prepare("SELECT value FROM sealed WHERE collection = ? AND key = ?");
    this.#range = database.prepare(
      "SELECT key, value FROM sealed WHERE collection = ? AND key >= ? AND key < ? ORDER BY key",
    );
    this.#upsert = database.prepare(
      "INSERT INTO sealed (collection, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
    );
    this.#delete = database.prepare("DELETE FROM sealed WHERE collection = ? AND key = ?");
  }

  /**
   * @throws {ClientError} `VAULT_IN_USE` another process has it open, `VAULT_WRONG_KEY` it belongs to another private key,
   *   `VAULT_UNUSABLE` the file can't be made or is no vault
   */
  static open(options: { file: string; key: PrivateKey; random: (length: number) => Uint8Array }): Vault {
    const { file, key, random } = options;
    const database = openExclusively(file);
    const wrapKey = key.deriveSecret(labels.vaultWrap);
    try {
      return new Vault(file, database, unwrapOrCreate({ database, file, wrapKey, random }), random);
    } catch (error) {
      database.close();
      throw asVaultError(error, file);
    } finally {
      wrapKey.fill(0);
    }
  }

  /** @returns the value, or `undefined` when there is none. @throws {ClientError} `VAULT_UNUSABLE` when it was altered */
  read(collection: Collection, key: string): Uint8Array | undefined {
    const row = this.#access(() => this.#select.get(collection, key));
    return row === null ? undefined : this.#unseal(collection, key, row.value);
  }

  /** @returns the rows whose key begins with `prefix`, in the order of their keys. @throws {ClientError} as `read` */
  list(collection: Collection, prefix = ""): { key: string; value: Uint8Array }[] {
    // U+FFFF is after every character of a key; keys are ASCII.
    const rows = this.#access(() => this.#range.all(collection, prefix, `${prefix}\uffff`));
    return rows.map((row) => ({ key: row.key, value: this.#unseal(collection, row.key, row.value) }));
  }

  /** A value is sealed when it is given, so the caller may wipe its own copy at once. */
  batch(): VaultBatch {
    return new VaultBatch((collection, key, value) => this.#seal(collection, key, value));
  }

  /** Makes the batches durable (fsync), all or none, in the order given, and empties them. So is all that was kept before. */
  commit(...batches: readonly VaultBatch[]): void {
    this.#write(batches);
  }

  /**
   * As `commit`, without waiting for the disk: what is written survives the end of this process at once, a loss of power
   * only after the next `commit`. For what the server would give again, never for what was signed.
   */
  keep(batch: VaultBatch): void {
    this.#database.run("PRAGMA synchronous = NORMAL");
    try {
      this.#write([batch]);
    } finally {
      this.#database.run("PRAGMA synchronous = FULL");
    }
  }

  #write(batches: readonly VaultBatch[]): void {
    if (batches.every((batch) => batch.isEmpty)) return;
    this.#database.run("BEGIN");
    try {
      for (const batch of batches)
        for (const { collection, key, sealed } of batch.writes())
          if (sealed === undefined) this.#delete.run(collection, key);
          else this.#upsert.run(collection, key, sealed);
      this.#database.run("COMMIT");
    } catch (cause) {
      if (this.#database.inTransaction) this.#database.run("ROLLBACK");
      throw new ClientError("VAULT_UNUSABLE", "the vault can't be written, is the disk full?", { cause });
    }
    for (const batch of batches) batch.clear();
  }

  /**
   * Moves everything out of the write-ahead log and truncates it: what was removed or replaced is in no file after that.
   *
   * @throws {ClientError} `VAULT_UNUSABLE`
   */
  scrub(): void {
    this.#access(() => this.#database.run("PRAGMA wal_checkpoint(TRUNCATE)"));
  }

  /** @throws {ClientError} `VAULT_UNUSABLE` when it could not be scrubbed; it is closed then, too */
  close(): void {
    try {
      this.scrub();
    } finally {
      for (const statement of [this.#select, this.#range, this.#upsert, this.#delete]) statement.finalize();
      this.#database.close(true);
      this.#key.fill(0);
    }
  }

  #seal(collection: Collection, key: string, value: Uint8Array): Uint8Array {
    const context = rowContext(collection, key);
    return sealValue({ key: this.#key, random: this.#random, value, context });
  }

  #unseal(collection: Collection, key: string, sealed: Uint8Array): Uint8Array {
    const value = unsealValue(this.#key, sealed, rowContext(collection, key));
    if (value === undefined)
      throw new ClientError(
        "VAULT_UNUSABLE",
        `the vault was altered: ${collection} ${key} in ${this.#file} can't be opened; ${wayOut}`,
      );
    return value;
  }

  /** A file that was damaged or altered while it was closed may show it at any access. */
  #access<T>(access: () => T): T {
    try {
      return access();
    } catch (cause) {
      throw damagedVault(this.#file, cause);
    }
  }
}

/** Writes that belong together. The last write to a row wins. */
export class VaultBatch {
  readonly #rows = new Map<string, { collection: Collection; key: string; sealed: Uint8Array | undefined }>();
  readonly #seal: (collection: Collection, key: string, value: Uint8Array) => Uint8Array;

  constructor(seal: (collection: Collection, key: string, value: Uint8Array) => Uint8Array) {
    this.#seal = seal;
  }

  write(collection: Collection, key: string, value: Uint8Array): void {
    this.#rows.set(`${collection} ${key}`, { collection, key, sealed: this.#seal(collection, key, value) });
  }

  remove(collection: Collection, key: string): void {
    this.#rows.set(`${collection} ${key}`, { collection, key, sealed: undefined });
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0;
  }

  writes(): Iterable<{ collection: Collection; key: string; sealed: Uint8Array | undefined }> {
    return this.#rows.values();
  }

  clear(): void {
    this.#rows.clear();
  }
}

function rowContext(collection: Collection, key: string): Uint8Array {
  return encodeUtf8(`${labels.vaultValue}\n${collection}\n${key}\n`);
}
