import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { Hex } from "../../src/base/hex.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { Store } from "../../src/store/store.ts";
import { StoreError } from "../../src/store/storeError.ts";
import { logFixture } from "./logFixture.ts";
import { hasPostgres, PostgresServer } from "./postgresServer.ts";
import { damageSqlite, sqliteColumns } from "./sqliteDamage.ts";
import { type Column, type Damage, damagesOf, nameOf } from "./storeDamage.ts";

/*
 * Rows that nobody of ours has written: a store reads them or says that it can't, by a code; nothing else comes out of it.
 */

setDefaultTimeout(60_000);

interface Filled {
  readonly conversation: Hex;
  readonly sender: { readonly fingerprint: Hex; readonly person: Hex };
}

async function fill(store: Store): Promise<Filled> {
  const log = await logFixture(store);
  const { sender } = log;
  const conversation = await log.begin();
  for (const index of [1, 2]) await store.log.append(log.message(conversation, index, index + 1));
  const account = { email: "a@example.org", username: "a", passwordHash: "x", certificate: sender, nowMs: 1 };
  await store.accounts.create(account);
  const { fingerprint, person } = sender;
  const bytes = Uint8Array.of(1, 2, 3);
  await store.blobs.putPiece({
    ...{ uploader: person, sha256: fingerprint, size: 3, offset: 0, data: bytes, quotaBytes: 100, nowMs: 1 },
  });
  const record = { digest: fingerprint, package: bytes, expiresAtMs: 1_000 };
  const packages = { oneTime: [record], lastResort: undefined, maxOneTime: 10 };
  await store.keyPackages.publish({ fingerprint, device: fingerprint, ...packages, nowMs: 1 });
  await store.receipts.save({ conversation, size: 1, statement: bytes, signedData: bytes, version: 1 }, 1);
  return { conversation, sender };
}

/** @returns how each read ended */
function readEverything(
  { accounts, blobs, log, receipts, keyPackages }: Store,
  { conversation, sender }: Filled,
) {
  const { fingerprint, person } = sender;
  const reads: readonly (() => Promise<unknown>)[] = [
    () => accounts.byEmail("a@example.org"),
    () => accounts.byUsername("a"),
    () => accounts.certificates([fingerprint]),
    () => accounts.certificatesVisibleTo(person, [fingerprint]),
    () => blobs.upload(person, fingerprint),
    () => blobs.ownBlob(person, fingerprint),
    () => log.entries({ conversation, from: 0, limit: 10, maxBytes: 10_000 }),
    () => log.entryBySeqno(conversation, fingerprint, 2),
    () => log.roots(conversation, [1, 2, 3]),
    () => log.size(conversation),
    () => log.checkpoint(conversation),
    () => log.state(conversation, 3),
    () => log.visibleSize(conversation, person),
    () => log.members(conversation),
    () => log.conversationsOf({ person, after: undefined, limit: 10 }),
    () => receipts.receipt(conversation, 1),
    () => keyPackages.count(fingerprint, 1),
  ];
  return Promise.all(
    reads.map((read) =>
      read().then(
        () => "read",
        (error: unknown) => (error instanceof StoreError ? error.code : `${error}`),
      ),
    ),
  );
}

const outcomes = ["read", "CORRUPT", "UNAVAILABLE"];

interface Backend {
  readonly name: string;
  readonly columns: () => readonly Column[];
  /** Opens a copy in which this was changed; `undefined` when the database does not take it. */
  readonly open: (damage: Damage | undefined) => Promise<Store | undefined>;
  readonly filled: () => Filled;
}

function check({ name, columns, open, filled }: Backend, numRuns: number): void {
  test(`${name} reads all rows as they were written`, async () => {
    const store = await open(undefined);
    if (store === undefined) throw new Error("not opened");
    expect(new Set(await readEverything(store, filled()))).toEqual(new Set(["read"]));
    await store.close();
  });

  test(`${name} reads or refuses with a code whatever a row holds`, async () => {
    let damaged = 0;
    for (const damage of fc.sample(fc.constantFrom(...damagesOf(columns())), numRuns)) {
      const store = await open(damage);
      if (store === undefined) continue;
      damaged += 1;
      const ends = await readEverything(store, filled());
      await store.close();
      expect([nameOf(damage), ends.filter((end) => !outcomes.includes(end))]).toEqual([nameOf(damage), []]);
    }
    expect(damaged).toBeGreaterThan(0);
  });
}

describe("SQLite", () => {
  let folder: string;
  let honest: Filled;
  let copies = 0;
  const file = () => join(folder, "honest.db");
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "securechat-store-"));
    const store = await openSqliteStore({ file: file() });
    honest = await fill(store);
    await store.close();
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  check(
    {
      name: "SQLite",
      columns: () => sqliteColumns(file()),
      filled: () => honest,
      async open(damage) {
        const copy = join(folder, `copy-${copies++}.db`);
        copyFileSync(file(), copy);
        if (damage !== undefined && !damageSqlite(copy, damage)) return undefined;
        return await openSqliteStore({ file: copy });
      },
    },
    60,
  );
});

describe.skipIf(!hasPostgres)("PostgreSQL", () => {
  let server: PostgresServer;
  let honest: Filled;
  let database: string;
  beforeAll(async () => {
    server = await PostgresServer.start();
    const address = server.createDatabase();
    ({ database } = address);
    const store = await openPostgresStore({ address });
    honest = await fill(store);
    await store.close();
  });
  afterAll(() => server?.dispose());

  const columns = (): Column[] =>
    server
      .sql(
        database,
        `SELECT table_name || ' ' || column_name || ' ' || data_type FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> 'securechat_schema'`,
      )
      .flatMap((line) => {
        const [table = "", column = "", ...type] = line.split(" ");
        const kind = { bigint: "integer", text: "text", bytea: "bytes" }[type.join(" ")];
        return kind === undefined ? [] : [{ table, column, type: kind as Column["type"] }];
      });

  check(
    {
      name: "PostgreSQL",
      columns,
      filled: () => honest,
      async open(damage) {
        const address = server.createDatabase(`TEMPLATE ${database}`);
        if (damage !== undefined) {
          const { table, column, value } = damage;
          const literal =
            value instanceof Uint8Array
              ? `'\\x${Buffer.from(value).toString("hex")}'`
              : typeof value === "string"
                ? `$text$${value}$text$`
                : String(value);
          try {
            // Without triggers: the keys between tables are some.
            const change = `UPDATE ${table} SET ${column} = ${literal}`;
            server.sql(address.database, `SET session_replication_role = replica; ${change}`);
          } catch {
            return undefined;
          }
        }
        return await openPostgresStore({ address });
      },
    },
    10,
  );
});
