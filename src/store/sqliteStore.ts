import { SqliteAccounts } from "./sqliteAccounts.ts";
import { SqliteBlobs } from "./sqliteBlobs.ts";
import { SqliteCertificates } from "./sqliteCertificates.ts";
import { SqliteControl } from "./sqliteControl.ts";
import { SqliteDatabase } from "./sqliteDatabase.ts";
import { SqliteKeyPackages } from "./sqliteKeyPackages.ts";
import { SqliteLog } from "./sqliteLog.ts";
import { SqliteReceipts } from "./sqliteReceipts.ts";
import { SqliteRestoration } from "./sqliteRestoration.ts";
import { sqliteSweeper } from "./sqliteSweep.ts";
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
    sweep: sqliteSweeper(db),
    close: () => db.close(),
  };
}
