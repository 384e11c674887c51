import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { isStore } from "./migrations.ts";
import { storeErrorOf } from "./sqliteDatabase.ts";
import { StoreError } from "./storeError.ts";

/**
 * Copies a store, also while servers work on it: the copy is one moment's state. It is marked, so that a server that is
 * started on it knows that entries may be missing. It appears under its name when it is whole and on the disk.
 *
 * @param out must not be there yet; made with mode 0600
 * @throws {StoreError} `CANNOT_OPEN`, `NOT_A_STORE`, `CORRUPT`, `UNAVAILABLE`
 */
export function backUpSqlite(file: string, out: string, nowMs: number): void {
  if (!existsSync(file)) throw new StoreError("CANNOT_OPEN", `there is no database ${file}`);
  if (existsSync(out)) throw new StoreError("CANNOT_OPEN", `${out} is there already, choose another name`);
  const part = `${out}.part`;
  try {
    rmSync(part, { force: true });
    closeSync(openSync(part, "wx", 0o600));
    copy(file, part);
    mark(part, nowMs);
    sync(part);
    renameSync(part, out);
    sync(dirname(out));
  } catch (cause) {
    rmSync(part, { force: true });
    if (cause instanceof StoreError || cause instanceof SQLiteError) throw storeErrorOf(cause);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new StoreError("UNAVAILABLE", `the backup could not be made: ${why}`, { cause });
  }
}

function copy(file: string, part: string): void {
  const source = new Database(file, { readwrite: true });
  try {
    source.run("PRAGMA busy_timeout = 3000");
    if (!isStore(source)) throw new StoreError("NOT_A_STORE", `${file} is no store of SecureChat`);
    source.run("VACUUM INTO ?", [part]);
  } finally {
    source.close();
  }
}

function mark(part: string, nowMs: number): void {
  const made = new Database(part, { readwrite: true });
  try {
    const check = made.query<{ quick_check: string }, []>("PRAGMA quick_check").all();
    if (check.length !== 1 || check[0]?.quick_check !== "ok")
      throw new StoreError("CORRUPT", `the database is damaged: ${check[0]?.quick_check ?? "no answer"}`);
    made.run(
      `INSERT INTO restoration (id, stage, at) VALUES (1, 'copied', ?)
       ON CONFLICT DO UPDATE SET stage = excluded.stage, at = excluded.at`,
      [nowMs],
    );
  } finally {
    made.close();
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
}
