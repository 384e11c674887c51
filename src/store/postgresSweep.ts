import { arrayLiteral } from "./arrayLiteral.ts";
import type { PostgresDatabase } from "./postgresDatabase.ts";
import type { Store } from "./store.ts";

/** Blobs that are deleted in one transaction. */
const blobsAtOnce = 1_000;

/** Deletes what has expired, one kind after the other. Several nodes may do so at the same time. */
export async function sweepPostgres(
  db: PostgresDatabase,
  request: Parameters<Store["sweep"]>[0],
): Promise<void> {
  const { nowMs, unnamedBlobMs, welcomeMs, counterMs } = request;
  await db.query("DELETE FROM key_packages WHERE expires_at <= $1", [nowMs]);
  await db.query("DELETE FROM blob_uploads WHERE begun_at <= $1", [nowMs - unnamedBlobMs]);
  await db.query("DELETE FROM blob_owners WHERE at <= $1", [nowMs - unnamedBlobMs]);
  await db.query("DELETE FROM blob_references WHERE role = 'welcome' AND at <= $1", [nowMs - welcomeMs]);
  while ((await deleteBlobs(db)) === blobsAtOnce);
  await db.query("DELETE FROM login_failures WHERE last_at <= $1", [nowMs - counterMs]);
  await db.query("DELETE FROM token_buckets WHERE full_at <= $1", [nowMs]);
  await db.query("DELETE FROM tickets WHERE expires_at <= $1", [nowMs]);
  await db.query("DELETE FROM session_endings WHERE at <= $1", [nowMs - counterMs]);
}

/**
 * Locks blobs that nobody owns or names, then looks again: an owner or an entry can't be added to a locked blob, and the second
 * statement sees those that came before the lock.
 *
 * @returns how many were locked
 */
function deleteBlobs(db: PostgresDatabase): Promise<number> {
  const unused = `NOT EXISTS (SELECT 1 FROM blob_references r WHERE r.sha256 = b.sha256)
    AND NOT EXISTS (SELECT 1 FROM blob_owners o WHERE o.sha256 = b.sha256)`;
  return db.transaction(async (transaction) => {
    const rows = await transaction.query<{ sha256: string }>(
      `SELECT b.sha256 FROM blobs b WHERE ${unused} LIMIT $1 FOR UPDATE SKIP LOCKED`,
      [blobsAtOnce],
    );
    if (rows.length > 0)
      await transaction.query(`DELETE FROM blobs b WHERE b.sha256 = ANY($1::text[]) AND ${unused}`, [
        arrayLiteral(rows.map(({ sha256 }) => sha256)),
      ]);
    return rows.length;
  });
}
