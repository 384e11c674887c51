import type { Hex } from "../base/hex.ts";
import type { ReceiptRecord, ReceiptStore } from "./receiptStore.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";

export class SqliteReceipts implements ReceiptStore {
  readonly #db: SqliteDatabase;
  readonly #select;
  readonly #sizes;
  readonly #insert;
  readonly #update;

  constructor(db: SqliteDatabase) {
    this.#db = db;
    this.#select = db.prepare<
      { statement: Uint8Array; signed_data: Uint8Array; version: number },
      [string, number]
    >(
      `SELECT r.statement, r.signed_data, r.version FROM receipts r
       JOIN conversations c ON c.id = r.conversation WHERE c.conversation = ? AND r.size = ?`,
    );
    this.#sizes = db.prepare<{ size: number }, [string]>(
      `SELECT r.size FROM receipts r JOIN conversations c ON c.id = r.conversation
       WHERE c.conversation = ? ORDER BY r.size`,
    );
    this.#insert = db.prepare<null, [number, Uint8Array, Uint8Array, number, string]>(
      `INSERT INTO receipts (conversation, size, statement, signed_data, version, changed_at)
       SELECT id, ?, ?, ?, 1, ? FROM conversations WHERE conversation = ? ON CONFLICT DO NOTHING`,
    );
    this.#update = db.prepare<null, [Uint8Array, number, number, string, number, number]>(
      `UPDATE receipts SET signed_data = ?, version = ?, changed_at = ?
       WHERE conversation = (SELECT id FROM conversations WHERE conversation = ?) AND size = ? AND version = ?`,
    );
  }

  receipt(conversation: Hex, size: number): Promise<ReceiptRecord | undefined> {
    return this.#db.read(() => {
      const row = this.#select.get(conversation, size);
      if (row === null) return undefined;
      const { statement, signed_data: signedData, version } = row;
      return { conversation, size, statement, signedData, version };
    });
  }

  sizes(conversation: Hex): Promise<readonly number[]> {
    return this.#db.read(() => this.#sizes.all(conversation).map(({ size }) => size));
  }

  save(record: ReceiptRecord, nowMs: number): Promise<boolean> {
    const { conversation, size, statement, signedData, version } = record;
    return this.#db.write(() => {
      const { changes } =
        version === 1
          ? this.#insert.run(size, statement, signedData, nowMs, conversation)
          : this.#update.run(signedData, version, nowMs, conversation, size, version - 1);
      return changes === 1;
    });
  }
}
