import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { Store } from "../../src/store/store.ts";
import { type Filled, fillStore, readEverything } from "./filledStore.ts";
import { hasPostgres, PostgresServer } from "./postgresServer.ts";
import { damageSqlite, sqliteColumns } from "./sqliteDamage.ts";
import { type Column, type Damage, damagesOf, nameOf } from "./storeDamage.ts";

/*
 * Rows that nobody of ours has written: a store reads them or says that it can't, by a code; nothing else comes out of it.
 */

setDefaultTimeout(60_000);

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
    honest = await fillStore(store);
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
    honest = await fillStore(store);
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
