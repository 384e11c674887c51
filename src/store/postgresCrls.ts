import type { CrlRecord, CrlStore } from "./crlStore.ts";
import { hexColumn } from "./hexColumn.ts";
import { changeChannel, type PostgresChanges } from "./postgresChanges.ts";
import type { PostgresDatabase } from "./postgresDatabase.ts";

export class PostgresCrls implements CrlStore {
  readonly #db: PostgresDatabase;
  readonly #changes: PostgresChanges;

  constructor(db: PostgresDatabase, changes: PostgresChanges) {
    this.#db = db;
    this.#changes = changes;
  }

  async offer({ authority, number, file }: CrlRecord): Promise<boolean> {
    const kept = await this.#db.query(
      `WITH kept AS (
         INSERT INTO crls AS c (authority, number, file) VALUES ($1, $2, $3)
         ON CONFLICT (authority) DO UPDATE SET number = excluded.number, file = excluded.file
           WHERE excluded.number > c.number
         RETURNING authority)
       SELECT pg_notify($4, $5) FROM kept`,
      [authority, number, file, changeChannel, this.#changes.payload({ kind: "crl" })],
    );
    return kept.length === 1;
  }

  async all(): Promise<readonly CrlRecord[]> {
    const rows = await this.#db.query<{ authority: string; number: string; file: Uint8Array }>(
      "SELECT authority, number, file FROM crls",
    );
    return rows.map(({ authority, number, file }) => ({
      authority: hexColumn(authority, 32),
      number: hexColumn(number, 20),
      file,
    }));
  }
}
