import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { Vault } from "../../src/client/vault.ts";
import { crypto, type PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { codeOf } from "./codeOf.ts";

let folder: string;
let file: string;
let key: PrivateKey;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "securechat-vault-"));
  file = join(folder, "vault.db");
  key = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = () => Vault.open({ file, key, random: systemRandom });
const value = encodeUtf8("something to remember");

function put(vault: Vault, ...keys: string[]): void {
  const batch = vault.batch();
  for (const one of keys) batch.write("opening", one, value);
  vault.commit(batch);
}

test("a value is read back after the vault was closed", () => {
  const vault = open();
  put(vault, "a/1");
  vault.close();
  const again = open();
  expect(again.read("opening", "a/1")).toEqual(value);
  expect(again.read("opening", "a/2")).toBeUndefined();
  expect(again.read("outgoing", "a/1")).toBeUndefined();
  again.close();
});

test("list() gives the rows of a prefix in order", () => {
  const vault = open();
  put(vault, "b/2", "a/1", "b/1", "c/1");
  expect(vault.list("opening", "b/").map((row) => row.key)).toEqual(["b/1", "b/2"]);
  expect(vault.list("opening")).toHaveLength(4);
  vault.close();
});

test("commit() stores all batches or none", () => {
  const vault = open();
  const [first, second] = [vault.batch(), vault.batch()];
  first.write("opening", "a", value);
  second.write("opening", "b", value);
  vault.commit(first, second);
  expect(vault.list("opening")).toHaveLength(2);
  expect(first.isEmpty).toBe(true);
  vault.close();
});

test("what keep() wrote survives the end of the process, together with what was committed around it", () => {
  const vault = open();
  put(vault, "a");
  const batch = vault.batch();
  batch.write("opening", "b", value);
  vault.keep(batch);
  expect(batch.isEmpty).toBe(true);
  put(vault, "c");
  vault.keep(vault.batch());
  // What a process that is killed now leaves behind.
  const copy = join(folder, "copy.db");
  copyFileSync(file, copy);
  copyFileSync(`${file}-wal`, `${copy}-wal`);
  const again = Vault.open({ file: copy, key, random: systemRandom });
  expect(again.list("opening").map((row) => row.key)).toEqual(["a", "b", "c"]);
  again.close();
  vault.close();
});

test("the last write to a row in a batch wins, also when it removes", () => {
  const vault = open();
  const batch = vault.batch();
  batch.write("opening", "a", value);
  batch.remove("opening", "a");
  batch.write("opening", "b", value);
  batch.write("opening", "b", encodeUtf8("newer"));
  vault.commit(batch);
  expect(vault.list("opening")).toEqual([{ key: "b", value: encodeUtf8("newer") }]);
  vault.close();
});

test("open() makes a file that only its owner can read, and tightens one that others can", () => {
  open().close();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  chmodSync(file, 0o644);
  open().close();
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("open() refuses a vault that is open already, and takes it when it is closed", () => {
  const vault = open();
  expect(codeOf(open)).toBe("VAULT_IN_USE");
  vault.close();
  open().close();
});

test("open() refuses a vault that another process holds", async () => {
  const script = `
    const { Vault } = await import(${JSON.stringify(join(import.meta.dir, "../../src/client/vault.ts"))});
    const { crypto } = await import(${JSON.stringify(join(import.meta.dir, "../../src/crypto/crypto.ts"))});
    const { systemRandom } = await import(${JSON.stringify(join(import.meta.dir, "../../src/crypto/systemRandom.ts"))});
    const key = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
    Vault.open({ file: ${JSON.stringify(file)}, key, random: systemRandom });
    console.log("open");
    setInterval(() => {}, 1000);`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  try {
    await child.stdout.getReader().read();
    expect(codeOf(open)).toBe("VAULT_IN_USE");
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  // The lock died with the process, however that ended.
  expect(codeOf(open)).toBe("VAULT_WRONG_KEY");
});

test("open() refuses the private key of somebody else", async () => {
  open().close();
  key = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
  expect(codeOf(open)).toBe("VAULT_WRONG_KEY");
});

test("open() refuses a file that is no vault", () => {
  writeFileSync(
    file,
    "these are not the bytes of a database, but there are more than enough of them".repeat(20),
  );
  expect(codeOf(open)).toBe("VAULT_UNUSABLE");
  rmSync(file);
  const database = new Database(file, { create: true });
  database.run("CREATE TABLE other (id INTEGER)");
  database.close();
  expect(codeOf(open)).toBe("VAULT_UNUSABLE");
});

test("open() refuses a folder that is not there", () => {
  file = join(folder, "nowhere", "vault.db");
  expect(codeOf(open)).toBe("VAULT_UNUSABLE");
});

test("read() refuses a value that was moved to another row, or changed", () => {
  const vault = open();
  put(vault, "a", "b");
  vault.close();
  const database = new Database(file);
  database.run("UPDATE sealed SET value = (SELECT value FROM sealed WHERE key = 'a') WHERE key = 'b'");
  database.close();
  const moved = open();
  expect(moved.read("opening", "a")).toEqual(value);
  expect(codeOf(() => moved.read("opening", "b"))).toBe("VAULT_UNUSABLE");
  moved.close();
});

test("no value stands in the file in clear, and equal values are sealed differently", () => {
  const vault = open();
  put(vault, "a", "b");
  vault.close();
  const bytes = readFileSync(file);
  expect(bytes.includes(Buffer.from(value))).toBe(false);
  const database = new Database(file);
  const rows = database.query<{ value: Uint8Array }, []>("SELECT value FROM sealed").all();
  database.close();
  expect(rows[0]?.value).not.toEqual(rows[1]?.value);
});

test("what was removed or replaced is in no file after scrub()", () => {
  const vault = open();
  put(vault, "a", "b");
  const sealed = () => {
    vault.scrub();
    return readFileSync(file);
  };
  const before = sealed();
  const row = before.indexOf(Buffer.from("openinga"));
  const old = before.subarray(row + "openinga".length, row + "openinga".length + 12 + value.length + 16);
  const batch = vault.batch();
  batch.remove("opening", "a");
  vault.commit(batch);
  const after = sealed();
  expect(row).toBeGreaterThan(0);
  expect(after.includes(old)).toBe(false);
  expect(statSync(`${file}-wal`).size).toBe(0);
  vault.close();
  expect(existsSync(`${file}-wal`)).toBe(false);
});
