import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backUpSqlite } from "../../src/store/sqliteBackup.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { logFixture } from "./logFixture.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "securechat-backup-"));
  folders.push(folder);
  return folder;
}

const codeOf = (action: () => void) => {
  try {
    action();
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
  return undefined;
};

test("a backup is one moment of a store that goes on being written, private, and marked as a copy", async () => {
  const folder = newFolder();
  const [file, out] = [join(folder, "store.db"), join(folder, "backup.db")];
  const store = await openSqliteStore({ file });
  const fixture = await logFixture(store);
  const conversation = await fixture.begin();
  expect(await store.restoration.current()).toBeUndefined();
  let size = 1;
  for (; size < 20; size++) await store.log.append(fixture.message(conversation, size, size + 1));
  const pending = store.log.append(fixture.message(conversation, size, size + 1));
  backUpSqlite(file, out, 1_700_000_000_000);
  await pending;
  expect(await store.restoration.current()).toBeUndefined();
  const copy = await openSqliteStore({ file: out });
  expect(await copy.log.size(conversation)).toBe(20);
  expect((await copy.log.checkpoint(conversation))?.size).toBe(20);
  expect(await copy.restoration.current()).toEqual({ stage: "copied", atMs: 1_700_000_000_000 });
  expect(statSync(out).mode & 0o777).toBe(0o600);
  expect(existsSync(`${out}.part`)).toBe(false);
  // A copy of a copy is marked anew, whatever has become of the first.
  await copy.restoration.begin({ atMs: 1, after: await copy.restoration.current() });
  await copy.restoration.end();
  backUpSqlite(out, `${out}.2`, 2);
  const second = await openSqliteStore({ file: `${out}.2` });
  expect(await second.restoration.current()).toEqual({ stage: "copied", atMs: 2 });
  for (const one of [store, copy, second]) await one.close();
});

test("a backup is refused of what is no store, and onto a file that is there, which stays as it is", async () => {
  const folder = newFolder();
  const [file, out] = [join(folder, "store.db"), join(folder, "backup.db")];
  expect(codeOf(() => backUpSqlite(file, out, 1))).toBe("CANNOT_OPEN");
  const foreign = new Database(file, { create: true });
  foreign.run("CREATE TABLE t (a)");
  foreign.close();
  expect(codeOf(() => backUpSqlite(file, out, 1))).toBe("NOT_A_STORE");
  rmSync(file);
  await (await openSqliteStore({ file })).close();
  writeFileSync(out, "mine");
  expect(codeOf(() => backUpSqlite(file, out, 1))).toBe("CANNOT_OPEN");
  expect(readFileSync(out, "utf8")).toBe("mine");
  expect(codeOf(() => backUpSqlite(file, join(folder, "none", "backup.db"), 1))).toBe("UNAVAILABLE");
});
