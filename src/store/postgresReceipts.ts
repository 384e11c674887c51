import type { Hex } from "../base/hex.ts";
import { changeChannel, type PostgresChanges } from "./postgresChanges.ts";
import type { PostgresDatabase } from "./postgresDatabase.ts";
import type { ReceiptRecord, ReceiptStore } from "./receiptStore.ts";

export class PostgresReceipts implements ReceiptStore {
  readonly #db: PostgresDatabase;
  readonly #changes: PostgresChanges;

  constructor(db: PostgresDatabase, changes: PostgresChanges) {
    this.#db = db;
    this.#changes = changes;
  }

  async receipt(conversation: Hex, size: number): Promise<ReceiptRecord | undefined> {
    const [row] = await this.#db.query<{ statement: Uint8Array; signed_data: Uint8Array; version: number }>(
      `SELECT r.statement, r.signed_data, r.version FROM receipts r
       JOIN conversations c ON c.id = r.conversation WHERE c.conversation = $1 AND r.size = $2`,
      [conversation, size],
    );
    if (row === undefined) return undefined;
    const { statement, signed_data: signedData, version } = row;
    return { conversation, size, statement, signedData, version };
  }

  async sizes(conversation: Hex): Promise<readonly number[]> {
    const rows = await this.#db.query<{ size: number }>(
      `SELECT r.size FROM receipts r JOIN conversations c ON c.id = r.conversation
       WHERE c.conversation = $1 ORDER BY r.size`,
      [conversation],
    );
    return rows.map(({ size }) => size);
  }

  async save(record: ReceiptRecord, nowMs: number): Promise<boolean> {
    const { conversation, size, statement, signedData, version } = record;
    const change = this.#changes.payload({ kind: "receipt", conversation, size });
    const saved =
      version === 1
        ? await this.#db.query(
            `WITH saved AS (
               INSERT INTO receipts (conversation, size, statement, signed_data, version, changed_at)
               SELECT id, $2::bigint, $3::bytea, $4::bytea, 1, $5::bigint FROM conversations WHERE conversation = $1
               ON CONFLICT DO NOTHING RETURNING size)
             SELECT pg_notify($6, $7) FROM saved`,
            [conversation, size, statement, signedData, nowMs, changeChannel, change],
          )
        : await this.#db.query(
            `WITH saved AS (
               UPDATE receipts SET signed_data = $3, version = $4, changed_at = $5
               WHERE conversation = (SELECT id FROM conversations WHERE conversation = $1)
                 AND size = $2 AND version = $4::bigint - 1 RETURNING size)
             SELECT pg_notify($6, $7) FROM saved`,
            [conversation, size, signedData, version, nowMs, changeChannel, change],
          );
    return saved.length === 1;
  }
}
