import { arrayLiteral } from "./arrayLiteral.ts";
import type { PostgresDatabase } from "./postgresDatabase.ts";

/** Conversations that are looked at, and entries that are deleted, in one transaction. */
const conversationsAtOnce = 256;
const entriesAtOnce = 256;

/**
 * Lets conversations expire, as `ExpiredConversation` says. Several nodes may do so at the same time.
 *
 * @param request those whose last entry came before `beforeMs` expire
 * @returns how many
 */
export async function expireConversations(
  db: PostgresDatabase,
  { beforeMs, nowMs }: { beforeMs: number; nowMs: number },
): Promise<number> {
  let expired = 0;
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page: readonly { id: number; at: number | null }[] = await db.query(
      `SELECT c.id, e.at FROM conversations c LEFT JOIN entries e ON e.conversation = c.id AND e.entry_index = c.size - 1
       WHERE c.id > $1 ORDER BY c.id LIMIT $2`,
      [after, conversationsAtOnce],
    );
    const old = page.filter(({ at }) => at !== null && at < beforeMs).map(({ id }) => id);
    if (old.length > 0) expired += await expireThose(db, old, { beforeMs, nowMs });
    after = page.at(-1)?.id;
  }
  return expired;
}

/** Locks them as an append does, then looks again. One that somebody is appending to is left alone. */
function expireThose(
  db: PostgresDatabase,
  ids: readonly number[],
  { beforeMs, nowMs }: { beforeMs: number; nowMs: number },
): Promise<number> {
  return db.transaction(async (transaction) => {
    const locked = await transaction.query<{ id: number }>(
      "SELECT id FROM conversations WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
      [arrayLiteral(ids)],
    );
    const buried = await transaction.query<{ remains: number }>(
      `INSERT INTO expired_conversations (conversation, size, root, expired_at, remains)
       SELECT c.conversation, c.size, e.root, $1::bigint, c.id
       FROM conversations c JOIN entries e ON e.conversation = c.id AND e.entry_index = c.size - 1
       WHERE c.id = ANY($2::bigint[]) AND e.at < $3 RETURNING remains`,
      [nowMs, arrayLiteral(locked.map(({ id }) => id)), beforeMs],
    );
    const gone = arrayLiteral(buried.map(({ remains }) => remains));
    for (const table of ["direct_pairs", "members", "checkpoints"])
      transaction.query(`DELETE FROM ${table} WHERE conversation = ANY($1::bigint[])`, [gone]);
    transaction.query("UPDATE conversations SET size = 0 WHERE id = ANY($1::bigint[])", [gone]);
    return buried.length;
  });
}

/** Deletes what is left of those that have expired, also where an earlier process did not come to the end of it. */
export async function deleteRemains(db: PostgresDatabase): Promise<void> {
  for (;;) {
    const [found] = await db.query<{ remains: number; size: number }>(
      "SELECT remains, size FROM expired_conversations WHERE remains IS NOT NULL LIMIT 1",
    );
    if (found === undefined) return;
    const { remains, size } = found;
    // Once at least, whatever its size says: otherwise it would be found again for ever.
    let end = 0;
    do {
      end += entriesAtOnce;
      await deleteUpTo(db, remains, { end, isLast: end >= size });
    } while (end < size);
  }
}

async function deleteUpTo(
  db: PostgresDatabase,
  remains: number,
  { end, isLast }: { end: number; isLast: boolean },
): Promise<void> {
  await db.transaction(async (transaction) => {
    // Whoever was just storing a receipt has done so then, and nobody refers to the row any more.
    transaction.query("SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE", [remains]);
    transaction.query("DELETE FROM blob_references WHERE conversation = $1 AND entry_index < $2", [
      remains,
      end,
    ]);
    transaction.query("DELETE FROM entries WHERE conversation = $1 AND entry_index < $2", [remains, end]);
    transaction.query("DELETE FROM log_states WHERE conversation = $1 AND size <= $2", [remains, end]);
    transaction.query("DELETE FROM receipts WHERE conversation = $1 AND size <= $2", [remains, end]);
    if (!isLast) return;
    transaction.query("UPDATE expired_conversations SET remains = NULL WHERE remains = $1", [remains]);
    transaction.query("DELETE FROM conversations WHERE id = $1", [remains]);
  });
}
