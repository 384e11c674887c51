import { SqliteAccounts } from "./sqliteAccounts.ts";
import { SqliteBlobs } from "./sqliteBlobs.ts";
import { SqliteCertificates } from "./sqliteCertificates.ts";
import { SqliteControl } from "./sqliteControl.ts";
import { SqliteDatabase } from "./sqliteDatabase.ts";
import { SqliteKeyPackages } from "./sqliteKeyPackages.ts";
import { SqliteLog } from "./sqliteLog.ts";
import { SqliteReceipts } from "./sqliteReceipts.ts";
import { SqliteRestoration } from "./sqliteRestoration.ts";
import { SqliteTickets } from "./sqliteTickets.ts";
import type { Store } from "./store.ts";

/**
 * Opens the store in one SQLite file, which is created with mode 0600 if it isn't there, and brings its schema up to
 * date.
 *
 * @throws {StoreError} `CANNOT_OPEN`, `NOT_A_STORE`, `NEWER_SCHEMA`, `UNAVAILABLE`
 */
export async function openSqliteStore({ file }: { readonly file: string }): Promise<Store> {
  const db = new SqliteDatabase(file);
  const certificates = new SqliteCertificates(db);
  return {
    accounts: new SqliteAccounts(db, certificates),
    control: new SqliteControl(db),
    tickets: new SqliteTickets(db),
    keyPackages: new SqliteKeyPackages(db, certificates),
    blobs: new SqliteBlobs(db),
    log: new SqliteLog(db, certificates),
    receipts: new SqliteReceipts(db),
    restoration: new SqliteRestoration(db),
    sweep: sweeper(db),
    close: () => db.close(),
  };
}

function sweeper(db: SqliteDatabase): Store["sweep"] {
  const packages = db.prepare<null, [number]>("DELETE FROM key_packages WHERE expires_at <= ?");
  const uploads = db.prepare<null, [number]>("DELETE FROM blob_uploads WHERE begun_at <= ?");
  const owners = db.prepare<null, [number]>("DELETE FROM blob_owners WHERE at <= ?");
  const welcomes = db.prepare<null, [number]>(
    "DELETE FROM blob_references WHERE role = 'welcome' AND at <= ?",
  );
  const blobs = db.prepare<null, []>(
    `DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM blob_references r WHERE r.sha256 = blobs.sha256)
       AND NOT EXISTS (SELECT 1 FROM blob_owners o WHERE o.sha256 = blobs.sha256)`,
  );
  const failures = db.prepare<null, [number]>("DELETE FROM login_failures WHERE last_at <= ?");
  const buckets = db.prepare<null, [number]>("DELETE FROM token_buckets WHERE full_at <= ?");
  const tickets = db.prepare<null, [number]>("DELETE FROM tickets WHERE expires_at <= ?");
  const endings = db.prepare<null, [number]>("DELETE FROM session_endings WHERE at <= ?");
  return ({ nowMs, unnamedBlobMs, welcomeMs, counterMs }) =>
    db.write(() => {
      packages.run(nowMs);
      uploads.run(nowMs - unnamedBlobMs);
      owners.run(nowMs - unnamedBlobMs);
      welcomes.run(nowMs - welcomeMs);
      blobs.run();
      failures.run(nowMs - counterMs);
      buckets.run(nowMs);
      tickets.run(nowMs);
      endings.run(nowMs - counterMs);
    });
}
