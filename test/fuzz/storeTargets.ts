import { Database } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concatBytes, encodeUtf8 } from "../../src/base/bytes.ts";
import { type CaIndex, readCaIndex } from "../../src/cli/caIndex.ts";
import { CliError } from "../../src/cli/cliError.ts";
import { formatChange, parseChange } from "../../src/store/changePayload.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { randomHex } from "../store/certificateRecord.ts";
import { type Filled, fillStore, readEverything } from "../store/filledStore.ts";
import { damageSqlite, sqliteColumns } from "../store/sqliteDamage.ts";
import type { Column, DamagedValue } from "../store/storeDamage.ts";
import { type Fixture, partOf } from "./fixture.ts";
import { demand, type Target } from "./target.ts";

/*
 * What whoever can write to the database, or beside the CA's key, can make of it.
 */

const decoder = new TextDecoder();

function inFolder<T>(name: string, run: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), `securechat-fuzz-${name}-`));
  const end = () => rmSync(folder, { recursive: true });
  const result = run(folder);
  if (result instanceof Promise) return result.finally(end) as T;
  end();
  return result;
}

const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/** The first two bytes choose a column; what follows comes to stand in it, as far as its type allows. */
function damageOf(input: Uint8Array, columns: readonly Column[]) {
  const column = columns[(((input[0] ?? 0) << 8) | (input[1] ?? 0)) % columns.length];
  if (column === undefined) throw new Error("no columns");
  const bytes = input.subarray(2);
  let value: DamagedValue = bytes;
  if (column.type === "text") value = decoder.decode(bytes);
  if (column.type === "integer") {
    const digits = /-?\d{1,25}/.exec(decoder.decode(bytes))?.[0] ?? "0";
    const number = BigInt(digits);
    value = number < int64.min ? int64.min : number > int64.max ? int64.max : number;
  }
  return { ...column, value };
}

/** One column of the server's store with another value. */
const storeRowTarget: Target = {
  name: "storeRow",
  form: "bytes",
  limitMs: 500,
  maxBytes: 20_000,
  iterations: 600,
  makeFixture: () =>
    inFolder("store", async (folder) => {
      const file = join(folder, "honest.db");
      const store = await openSqliteStore({ file });
      const filled = await fillStore(store);
      await store.close();
      using database = new Database(file, { readonly: true });
      const seeds = sqliteColumns(file).map(({ table, column }, i) => {
        const [row] = database
          .query<{ value: unknown }, []>(`SELECT "${column}" AS value FROM "${table}"`)
          .all();
        const value = row?.value ?? "";
        const bytes = value instanceof Uint8Array ? value : encodeUtf8(String(value));
        return concatBytes(Uint8Array.of(i >> 8, i & 255), bytes);
      });
      const parts = { store: new Uint8Array(readFileSync(file)), filled: encodeUtf8(JSON.stringify(filled)) };
      return { seeds, parts };
    }),
  async open(fixture: Fixture) {
    const honest = partOf(fixture, "store");
    const filled = JSON.parse(decoder.decode(partOf(fixture, "filled"))) as Filled;
    const columns = inFolder("columns", (folder) => {
      writeFileSync(join(folder, "store.db"), honest);
      return sqliteColumns(join(folder, "store.db"));
    });
    return (input) =>
      inFolder("row", async (folder) => {
        const file = join(folder, "store.db");
        writeFileSync(file, honest);
        const damage = damageOf(input, columns);
        try {
          damageSqlite(file, damage);
        } catch {
          // SQLite itself keeps to the column's type.
          return "not taken";
        }
        const store = await openSqliteStore({ file });
        try {
          const ends = await readEverything(store, filled);
          for (const end of ends)
            demand(
              ["read", "CORRUPT", "UNAVAILABLE"].includes(end),
              `${damage.table}.${damage.column}: ${end}`,
            );
          return ends.every((end) => end === "read") ? `accepted ${damage.table}` : `${damage.table} CORRUPT`;
        } finally {
          await store.close();
        }
      });
  },
};

/** What a node is told by way of the database, where anybody may notify who has an account there. */
const changeTarget: Target = {
  name: "change",
  form: "bytes",
  limitMs: 20,
  maxBytes: 8_000,
  iterations: 10_000,
  async makeFixture() {
    const [conversation, member] = [randomHex(16), randomHex(32)];
    const changes = [
      formatChange({ kind: "log", conversation, from: 0, size: 1, members: true }),
      formatChange({ kind: "log", conversation, from: 9, size: 2 ** 53 - 1, members: false }),
      formatChange({ kind: "receipt", conversation, size: 7 }),
      formatChange({ kind: "account", account: 12 }),
      formatChange({ kind: "crl" }),
      formatChange({ kind: "restoring" }),
      formatChange({ kind: "delivered", conversation, member, size: 3 }),
    ];
    return { seeds: changes.map(encodeUtf8), parts: {} };
  },
  async open() {
    return (input) => {
      const text = decoder.decode(input);
      const change = parseChange(text);
      if (change === undefined) return "nobody here writes that";
      demand(formatChange(change) === text, "a change with two texts");
      return `accepted ${change.kind}`;
    };
  },
};

/** The list of what the CA has issued. */
const caIndexTarget: Target = {
  name: "caIndex",
  form: "jsonLines",
  limitMs: 100,
  maxBytes: 20_000,
  iterations: 1500,
  async makeFixture() {
    const common = { email: "", hosts: [], not_before: 1, not_after: 2, issued_at: 1, revoked: null };
    const certificate = (kind: string, over: object = {}) => ({
      ...{ type: "certificate", serial: randomHex(16), fingerprint: randomHex(32), kind, name: `CN=${kind}` },
      ...common,
      ...over,
      key: randomHex(32),
    });
    const records = [
      certificate("ca"),
      certificate("user", { email: "a@example.org", revoked: { at: 3, reason: "keyCompromise" } }),
      certificate("server", { hosts: ["localhost", "127.0.0.1"] }),
      { type: "crl", number: 1, this_update: 1, next_update: 2, entries: 1 },
    ];
    const order = [
      ...["type", "serial", "fingerprint", "kind", "name", "email", "hosts", "key"],
      ...[
        "not_before",
        "not_after",
        "issued_at",
        "revoked",
        "number",
        "this_update",
        "next_update",
        "entries",
      ],
    ];
    const lines = records.map(
      (record) =>
        `${JSON.stringify(Object.fromEntries(order.flatMap((name) => (name in record ? [[name, record[name as keyof typeof record]]] : []))))}\n`,
    );
    return { seeds: [lines.join(""), lines.slice(0, 1).join("")].map(encodeUtf8), parts: {} };
  },
  async open() {
    return (input) =>
      inFolder("index", (folder) => {
        const file = join(folder, "ca_index.jsonl");
        writeFileSync(file, input);
        let read: CaIndex;
        try {
          read = readCaIndex(file);
        } catch (error) {
          if (!(error instanceof CliError)) throw error;
          demand(!/\p{Cc}/u.test(error.message), `a control character in: ${error.message}`);
          return error.message.replaceAll(folder, "");
        }
        const { certificates, crls, records } = read;
        demand(certificates.length + crls.length === records.length, "a record of no kind");
        const serials = new Set(certificates.map(({ serial }) => serial));
        demand(serials.size === certificates.length, "a serial twice");
        return `accepted ${Math.min(records.length, 5)}`;
      });
  },
};

export const storeTargets: readonly Target[] = [storeRowTarget, changeTarget, caIndexTarget];
