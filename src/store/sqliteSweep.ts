import type { SqliteDatabase } from "./sqliteDatabase.ts";
import { SqliteExpiry } from "./sqliteExpiry.ts";
import type { Store } from "./store.ts";

/** Blobs that are deleted in one transaction. */
const blobsAtOnce = 256;

/** @returns what deletes what has expired */
export function sqliteSweeper(db: SqliteDatabase): Store["sweep"] {
  const packages = db.prepare<null, [number]>("DELETE FROM key_packages WHERE expires_at <= ?");
  const uploads = db.prepare<null, [number]>("DELETE FROM blob_uploads WHERE begun_at <= ?");
  const owners = db.prepare<null, [number]>("DELETE FROM blob_owners WHERE at <= ?");
  const welcomes = db.prepare<null, [number]>(
    "DELETE FROM blob_references WHERE role = 'welcome' AND at <= ?",
  );
  const blobs = db.prepare<null, [number]>(
    `DELETE FROM blobs WHERE sha256 IN (SELECT b.sha256 FROM blobs b
       WHERE NOT EXISTS (SELECT 1 FROM blob_references r WHERE r.sha256 = b.sha256)
       AND NOT EXISTS (SELECT 1 FROM blob_owners o WHERE o.sha256 = b.sha256) LIMIT ?)`,
  );
  const failures = db.prepare<null, [number]>("DELETE FROM login_failures WHERE last_at <= ?");
  const buckets = db.prepare<null, [number]>("DELETE FROM token_buckets WHERE full_at <= ?");
  const tickets = db.prepare<null, [number]>("DELETE FROM tickets WHERE expires_at <= ?");
  const endings = db.prepare<null, [number]>("DELETE FROM session_endings WHERE at <= ?");
  const expiry = new SqliteExpiry(db);
  return async ({ nowMs, unnamedBlobMs, welcomeMs, counterMs, conversationMs }) => {
    await db.write(() => {
      packages.run(nowMs);
      uploads.run(nowMs - unnamedBlobMs);
      owners.run(nowMs - unnamedBlobMs);
      welcomes.run(nowMs - welcomeMs);
      failures.run(nowMs - counterMs);
      buckets.run(nowMs);
      tickets.run(nowMs);
      endings.run(nowMs - counterMs);
    });
    const expiredConversations =
      conversationMs === undefined ? 0 : await expiry.expire({ beforeMs: nowMs - conversationMs, nowMs });
    await expiry.deleteRemains();
    while ((await db.write(() => blobs.run(blobsAtOnce).changes)) === blobsAtOnce);
    return { expiredConversations };
  };
}
