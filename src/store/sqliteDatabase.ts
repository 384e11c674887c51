import { Database, SQLiteError, type SQLQueryBindings } from "bun:sqlite";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { atEndOfTurn } from "./endOfTurn.ts";
import { migrate } from "./migrations.ts";
import { StoreError } from "./storeError.ts";
import { Undo } from "./undo.ts";

/** How long a statement waits for another process that holds the write lock, at the start and later. It blocks the event loop. */
const openingTimeoutMs = 5_000;
const busyTimeoutMs = 1_000;
/** Most writes in one transaction, so that a flood doesn't hold up everything else for long. */
const maxGroup = 1_024;

interface Job {
  readonly work: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One SQLite file in WAL mode with `synchronous = FULL`: a commit is on the disk when it returns. Each costs an fsync,
 * so the writes that are asked for in one turn of the event loop share one transaction, each inside a savepoint of its
 * own: one that fails takes nothing of the others with it.
 */
export class SqliteDatabase {
  readonly #db: Database;
  readonly #statements: { finalize(): void }[] = [];
  #jobs: Job[] = [];
  #scheduled = false;
  #closed = false;

  /** @throws {StoreError} `CANNOT_OPEN`, `NOT_A_STORE`, `NEWER_SCHEMA`, `UNAVAILABLE` */
  constructor(file: string) {
    try {
      createPrivately(file);
      accessSync(file, constants.W_OK);
      this.#db = new Database(file, { readwrite: true, strict: true });
    } catch (cause) {
      throw new StoreError("CANNOT_OPEN", `can't open the database ${file}: ${reason(cause)}`, { cause });
    }
    try {
      this.#db.run(`PRAGMA busy_timeout = ${openingTimeoutMs}`);
      this.#db.run("PRAGMA journal_mode = WAL");
      this.#db.run("PRAGMA synchronous = FULL");
      this.#db.run("PRAGMA foreign_keys = ON");
      // Deleted key packages and uploads are overwritten.
      this.#db.run("PRAGMA secure_delete = ON");
      migrate(this.#db);
      this.#db.run(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    } catch (error) {
      this.#db.close();
      if (error instanceof SQLiteError && error.code === "SQLITE_NOTADB")
        throw new StoreError("NOT_A_STORE", `${file} is not a database`, { cause: error });
      throw storeErrorOf(error);
    }
  }

  prepare<Row, Params extends SQLQueryBindings[]>(sql: string) {
    const statement = this.#db.prepare<Row, Params>(sql);
    this.#statements.push(statement);
    return statement;
  }

  /** Runs `work`, which only reads, now. */
  async read<T>(work: () => T): Promise<T> {
    if (this.#closed) throw closed();
    try {
      return work();
    } catch (error) {
      throw storeErrorOf(error);
    }
  }

  /** Runs `work` in the next transaction. Resolves when that is on the disk; rejects when `work` threw, whose changes are
   *  then undone, or when the transaction failed. */
  write<T>(work: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(closed());
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ work, resolve: resolve as (value: unknown) => void, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      atEndOfTurn(() => this.#commitGroup());
    });
  }

  /** Commits what was asked for. The last connection to close leaves one file: the WAL is merged and deleted. */
  async close(): Promise<void> {
    if (this.#closed) return;
    while (this.#jobs.length > 0) this.#commitGroup();
    this.#closed = true;
    // SQLite keeps the file open for as long as there is a statement.
    for (const statement of this.#statements) statement.finalize();
    this.#db.close();
  }

  #commitGroup(): void {
    const group = this.#jobs.splice(0, maxGroup);
    this.#scheduled = this.#jobs.length > 0;
    if (this.#scheduled) atEndOfTurn(() => this.#commitGroup());
    if (group.length === 0) return;
    const settled: (() => void)[] = [];
    try {
      this.#db.run("BEGIN IMMEDIATE");
      for (const job of group) settled.push(this.#runJob(job));
      this.#db.run("COMMIT");
    } catch (error) {
      this.#rollback();
      const failure = storeErrorOf(error);
      for (const job of group) job.reject(failure);
      return;
    }
    for (const settle of settled) settle();
  }

  /** @returns what tells the caller once the transaction is committed @throws when the transaction as a whole is lost */
  #runJob(job: Job): () => void {
    this.#db.run("SAVEPOINT job");
    try {
      const value = job.work();
      this.#db.run("RELEASE job");
      return () => job.resolve(value);
    } catch (error) {
      // A full disk or an I/O error may have ended the whole transaction.
      if (!this.#db.inTransaction) throw error;
      this.#db.run("ROLLBACK TO job");
      this.#db.run("RELEASE job");
      if (error instanceof Undo) return () => job.resolve(error.outcome);
      const failure = storeErrorOf(error);
      return () => job.reject(failure);
    }
  }

  #rollback(): void {
    try {
      if (this.#db.inTransaction) this.#db.run("ROLLBACK");
    } catch {
      // Nothing more can be undone; the next BEGIN fails if the connection is of no use.
    }
  }
}

/** The database and, by SQLite's own rule, its WAL and index get mode 0600 from the first moment. */
function createPrivately(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

function closed(): StoreError {
  return new StoreError("CLOSED", "the store is closed");
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** @returns the store's error for what SQLite has thrown */
export function storeErrorOf(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof SQLiteError) {
    const code = error.code ?? "";
    if (/^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|NOMEM|CANTOPEN|INTERRUPT)/.test(code))
      return new StoreError("UNAVAILABLE", `the database can't do it now: ${error.message}`, {
        cause: error,
      });
    if (/^SQLITE_(CORRUPT|NOTADB)/.test(code))
      return new StoreError(
        "CORRUPT",
        `the database file is damaged: ${error.message}; restore it from a backup`,
        { cause: error },
      );
  }
  return new StoreError("MISUSE", `the database refused a statement: ${reason(error)}`, { cause: error });
}
