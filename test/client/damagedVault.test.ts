import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Vault } from "../../src/client/vault.ts";
import { crypto, type PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";

/* What whoever can write the file may do to it while it is closed. */

const unusable = expect.objectContaining({ name: "ClientError", code: "VAULT_UNUSABLE" });
let folder: string;
let key: PrivateKey;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "securechat-damaged-"));
  key = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const open = (file: string) => Vault.open({ file, key, random: systemRandom });

/** A closed vault with one row. */
function vaultFile(name: string): string {
  const file = join(folder, name);
  const vault = open(file);
  const batch = vault.batch();
  batch.write("crl", "row", Uint8Array.of(1, 2, 3));
  vault.commit(batch);
  vault.close();
  return file;
}

test("Vault refuses to read rows whose page is damaged, and still closes", () => {
  const file = vaultFile("page.db");
  const bytes = readFileSync(file);
  const database = new Database(file, { readonly: true });
  const { root, size } = database
    .query<{ root: number; size: number }, []>(
      "SELECT rootpage AS root, page_size AS size FROM sqlite_schema, pragma_page_size WHERE name = 'sealed'",
    )
    .get() ?? { root: 0, size: 0 };
  database.close();
  bytes.fill(0xff, (root - 1) * size, (root - 1) * size + 8);
  writeFileSync(file, bytes);

  const vault = open(file);
  expect(() => vault.read("crl", "row")).toThrow(unusable);
  expect(() => vault.list("crl")).toThrow(unusable);
  vault.close();
});

test("Vault refuses a row whose value is of another type than it wrote", () => {
  for (const value of ["text that is longer than a nonce and a tag together", 7, null]) {
    const file = vaultFile(`type-${typeof value}.db`);
    const database = new Database(file);
    database.run(
      "CREATE TABLE other (collection TEXT, key TEXT, value, PRIMARY KEY (collection, key)) WITHOUT ROWID",
    );
    database.run("DROP TABLE sealed");
    database.run("ALTER TABLE other RENAME TO sealed");
    database.run("INSERT INTO sealed VALUES ('crl', 'row', ?)", [value]);
    database.close();

    const vault = open(file);
    expect(() => vault.read("crl", "row")).toThrow(unusable);
    expect(() => vault.list("crl")).toThrow(unusable);
    vault.close();
  }
});
