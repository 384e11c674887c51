import type { SqliteDatabase } from "./sqliteDatabase.ts";

/** Conversations that are looked at, and entries that are deleted, in one transaction. */
const conversationsAtOnce = 256;
const entriesAtOnce = 256;

interface Remains {
  readonly remains: number;
  readonly size: number;
}

/** Lets conversations expire, as `ExpiredConversation` says. */
export class SqliteExpiry {
  readonly #db: SqliteDatabase;
  readonly #page;
  readonly #bury;
  readonly #detach;
  readonly #remains;
  readonly #deletions;
  readonly #forget;

  constructor(db: SqliteDatabase) {
    this.#db = db;
    this.#page = db.prepare<{ id: number; at: number | null }, [number, number]>(
      `SELECT c.id, e.at FROM conversations c LEFT JOIN entries e ON e.conversation = c.id AND e.entry_index = c.size - 1
       WHERE c.id > ? ORDER BY c.id LIMIT ?`,
    );
    this.#bury = db.prepare<null, [number, number, number]>(
      `INSERT INTO expired_conversations (conversation, size, root, expired_at, remains)
       SELECT c.conversation, c.size, e.root, ?, c.id
       FROM conversations c JOIN entries e ON e.conversation = c.id AND e.entry_index = c.size - 1
       WHERE c.id = ? AND e.at < ?`,
    );
    this.#detach = [
      "DELETE FROM direct_pairs WHERE conversation = ?",
      "DELETE FROM members WHERE conversation = ?",
      "DELETE FROM checkpoints WHERE conversation = ?",
      "UPDATE conversations SET size = 0 WHERE id = ?",
    ].map((sql) => db.prepare<null, [number]>(sql));
    this.#remains = db.prepare<Remains, []>(
      "SELECT remains, size FROM expired_conversations WHERE remains IS NOT NULL LIMIT 1",
    );
    this.#deletions = [
      "DELETE FROM blob_references WHERE conversation = ? AND entry_index < ?",
      "DELETE FROM entries WHERE conversation = ? AND entry_index < ?",
      "DELETE FROM log_states WHERE conversation = ? AND size <= ?",
      "DELETE FROM receipts WHERE conversation = ? AND size <= ?",
    ].map((sql) => db.prepare<null, [number, number]>(sql));
    this.#forget = [
      "UPDATE expired_conversations SET remains = NULL WHERE remains = ?",
      "DELETE FROM conversations WHERE id = ?",
    ].map((sql) => db.prepare<null, [number]>(sql));
  }

  /** @param beforeMs those whose last entry came before that expire @returns how many */
  async expire({ beforeMs, nowMs }: { beforeMs: number; nowMs: number }): Promise<number> {
    let expired = 0;
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: readonly { id: number; at: number | null }[] = await this.#db.read(() =>
        this.#page.all(after ?? 0, conversationsAtOnce),
      );
      const old = page.filter(({ at }) => at !== null && at < beforeMs);
      if (old.length > 0)
        expired += await this.#db.write(
          () => old.filter(({ id }) => this.#expireOne(id, beforeMs, nowMs)).length,
        );
      after = page.at(-1)?.id;
      // Many conversations must not keep everybody waiting.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return expired;
  }

  /** Deletes what is left of those that have expired, also where an earlier process did not come to the end of it. */
  async deleteRemains(): Promise<void> {
    for (;;) {
      const found = await this.#db.read(() => this.#remains.get());
      if (found === null) return;
      // Once at least, whatever its size says: otherwise it would be found again for ever.
      let end = 0;
      do {
        end += entriesAtOnce;
        const before = end;
        await this.#db.write(() => this.#deleteUpTo(found, before));
      } while (end < found.size);
    }
  }

  #expireOne(id: number, beforeMs: number, nowMs: number): boolean {
    if (this.#bury.run(nowMs, id, beforeMs).changes === 0) return false;
    for (const statement of this.#detach) statement.run(id);
    return true;
  }

  #deleteUpTo({ remains, size }: Remains, end: number): void {
    for (const statement of this.#deletions) statement.run(remains, end);
    if (end >= size) for (const statement of this.#forget) statement.run(remains);
  }
}
