import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { schemaVersion } from "../../src/store/migrations.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { certificateRecord, randomHex } from "./certificateRecord.ts";
import { describeStore } from "./storeContract.ts";

describeStore("SQLite store", async () => {
  const folder = mkdtempSync(join(tmpdir(), "securechat-store-"));
  const file = join(folder, "securechat.db");
  return {
    open: () => openSqliteStore({ file }),
    openAgain: () => openSqliteStore({ file }),
    cleanUp: async () => rmSync(folder, { recursive: true }),
  };
});

describe("openSqliteStore()", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "securechat-store-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("creates database, WAL and index with mode 0600", async () => {
    const file = join(folder, "private.db");
    const store = await openSqliteStore({ file });
    for (const one of [file, `${file}-wal`, `${file}-shm`]) expect(statSync(one).mode & 0o777).toBe(0o600);
    await store.close();
  });

  test("refuses a missing folder", async () => {
    const opening = openSqliteStore({ file: join(folder, "missing", "x.db") });
    await expect(opening).rejects.toMatchObject({ name: "StoreError", code: "CANNOT_OPEN" });
  });

  test("refuses a file that is no database", async () => {
    const file = join(folder, "text.db");
    writeFileSync(
      file,
      "This is some text, and long enough to be read as a header of a database.".repeat(20),
    );
    await expect(openSqliteStore({ file })).rejects.toMatchObject({ code: "NOT_A_STORE" });
  });

  test("refuses the database of some other program and leaves it as it is", async () => {
    const file = join(folder, "other.db");
    const other = new Database(file);
    other.run("CREATE TABLE users (id INTEGER PRIMARY KEY)");
    other.close();
    await expect(openSqliteStore({ file })).rejects.toMatchObject({ code: "NOT_A_STORE" });
    const again = new Database(file);
    expect(again.query("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "users" }]);
    again.close();
  });

  test("refuses a schema that is newer than its own", async () => {
    const file = join(folder, "newer.db");
    await (await openSqliteStore({ file })).close();
    const db = new Database(file);
    db.run(`PRAGMA user_version = ${schemaVersion + 1}`);
    db.close();
    await expect(openSqliteStore({ file })).rejects.toMatchObject({ code: "NEWER_SCHEMA" });
  });

  test("brings a store of the first schema up to date and keeps its accounts", async () => {
    const file = join(folder, "first.db");
    const store = await openSqliteStore({ file });
    const certificate = certificateRecord();
    const account = { email: "a@example.org", username: "a", passwordHash: "$hash", certificate, nowMs: 5 };
    await store.accounts.create(account);
    await store.close();
    const db = new Database(file);
    for (const table of [
      "tickets",
      "session_endings",
      "expired_conversations",
      "restoration",
      "restoration_heard",
      "restoration_claims",
    ])
      db.run(`DROP TABLE ${table}`);
    db.run("DROP INDEX blob_references_conversation");
    for (const column of ["last_login_at", "one_time_until", "allows_new_key"])
      db.run(`ALTER TABLE users DROP COLUMN ${column}`);
    db.run("PRAGMA user_version = 1");
    db.close();
    const again = await openSqliteStore({ file });
    expect(await again.accounts.byEmail("a@example.org")).toMatchObject({
      ...{ passwordHash: "$hash", certificate, disabled: false },
      ...{ lastLoginAtMs: undefined, oneTimeUntilMs: undefined, allowsNewKey: false },
    });
    expect(await again.control.lastEnding()).toBe(0);
    expect(await again.log.expired(randomHex(16))).toBeUndefined();
    await again.close();
  });

  test("migrates once when two open an empty file at the same time", async () => {
    const file = join(folder, "twice.db");
    const stores = await Promise.all([openSqliteStore({ file }), openSqliteStore({ file })]);
    const record = certificateRecord();
    await stores[0].accounts.putCertificate(record, 1);
    expect(await stores[1].accounts.certificates([record.fingerprint])).toEqual([record]);
    for (const store of stores) await store.close();
  });

  test("keeps its journal as a WAL and leaves one file when it is closed", async () => {
    const file = join(folder, "wal.db");
    const store = await openSqliteStore({ file });
    const record = certificateRecord();
    await store.accounts.putCertificate(record, 1);
    expect(await store.log.entries({ conversation: randomHex(16), from: 0, limit: 1, maxBytes: 1 })).toEqual(
      [],
    );
    const db = new Database(file);
    expect(db.query("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    db.close();
    expect(existsSync(`${file}-wal`)).toBe(true);
    await store.close();
    expect([existsSync(`${file}-wal`), existsSync(`${file}-shm`)]).toEqual([false, false]);
    const again = await openSqliteStore({ file });
    expect(await again.accounts.certificates([record.fingerprint])).toEqual([record]);
    await again.close();
  });

  test("loses nothing that resolved when the process is killed", async () => {
    const file = join(folder, "killed.db");
    const script = new URL("./writeUntilKilled.ts", import.meta.url).pathname;
    const writer = Bun.spawn([process.execPath, script, file], { stdout: "pipe", stderr: "inherit" });
    let stored = "";
    const decoder = new TextDecoder();
    for await (const chunk of writer.stdout) {
      stored += decoder.decode(chunk, { stream: true });
      if (stored.split("\n").length > 200) break;
    }
    writer.kill("SIGKILL");
    await writer.exited;
    const lines = stored.split("\n").slice(0, -1);
    const store = await openSqliteStore({ file });
    for (const email of lines) expect((await store.accounts.byEmail(email))?.email).toBe(email);
    await store.close();
  });

  test("says UNAVAILABLE while another process holds the write lock, and works again afterwards", async () => {
    const file = join(folder, "locked.db");
    const store = await openSqliteStore({ file });
    const db = new Database(file);
    db.run("BEGIN IMMEDIATE");
    const record = certificateRecord();
    await expect(store.accounts.putCertificate(record, 1)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await store.accounts.certificates([record.fingerprint])).toEqual([]);
    db.run("COMMIT");
    expect(await store.accounts.putCertificate(record, 1)).toBe("stored");
    db.close();
    await store.close();
  }, 20_000);

  test("says CORRUPT for a row that it did not write", async () => {
    const file = join(folder, "corrupt.db");
    const store = await openSqliteStore({ file });
    const record = certificateRecord();
    await store.accounts.putCertificate(record, 1);
    const db = new Database(file);
    const reading = () => store.accounts.certificates([record.fingerprint]);
    db.run("UPDATE certificates SET chain = x'00000100aabb'");
    await expect(reading()).rejects.toMatchObject({ code: "CORRUPT" });
    db.run("UPDATE certificates SET chain = x'', person = 'Z'");
    await expect(reading()).rejects.toMatchObject({ code: "CORRUPT" });
    db.close();
    await store.close();
  });

  test("sweep() comes to its end also when a conversation that has expired says that it had no entries", async () => {
    const file = join(folder, "remains.db");
    const store = await openSqliteStore({ file });
    const db = new Database(file);
    db.run(`INSERT INTO expired_conversations VALUES ('${randomHex(16)}', 0, x'00', 1, 77)`);
    db.close();
    await store.sweep({ nowMs: 1, unnamedBlobMs: 1, welcomeMs: 1, counterMs: 1 });
    await store.close();
  });
});
