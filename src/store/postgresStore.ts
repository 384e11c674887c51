import { hashPassword } from "./passwordHash.ts";
import { PostgresAccounts } from "./postgresAccounts.ts";
import type { PostgresAddress } from "./postgresAddress.ts";
import { PostgresBlobs } from "./postgresBlobs.ts";
import { PostgresCertificates } from "./postgresCertificates.ts";
import { PostgresChanges } from "./postgresChanges.ts";
import { type ConnectionOptions, PostgresConnection } from "./postgresConnection.ts";
import { PostgresControl } from "./postgresControl.ts";
import { PostgresCrls } from "./postgresCrls.ts";
import { PostgresDatabase, runTransaction } from "./postgresDatabase.ts";
import { PostgresFailure, sqlStateOf } from "./postgresError.ts";
import { PostgresKeyPackages } from "./postgresKeyPackages.ts";
import { PostgresLog } from "./postgresLog.ts";
import { migratePostgres, unfitReason } from "./postgresMigrations.ts";
import { PostgresReceipts } from "./postgresReceipts.ts";
import { markCopy, PostgresRestoration } from "./postgresRestoration.ts";
import { sweepPostgres } from "./postgresSweep.ts";
import { PostgresTickets } from "./postgresTickets.ts";
import type { Store } from "./store.ts";
import { StoreError } from "./storeError.ts";

export interface PostgresOptions {
  /** See `parsePostgresUrl`. */
  readonly address: PostgresAddress;
  /** Content of the PEM file that `address.sslRootCertificate` names; `undefined`: the well-known CAs. */
  readonly rootCertificates?: string;
  /** What the operator should know, one line each. */
  readonly notice?: (message: string) => void;
  /** Connections for statements; one more listens. */
  readonly maxConnections?: number;
  readonly connectTimeoutMs?: number;
  /** After it the database gives up a statement. */
  readonly statementTimeoutMs?: number;
}

const lockTimeoutMs = 5_000;
const maxWaiting = 16_384;

/**
 * Opens the store in a PostgreSQL database (12 or newer, UTF-8) and brings its schema up to date; a table `users` of the original
 * SecureChat is taken over. Several processes may have it open.
 *
 * @throws {StoreError} `UNAVAILABLE` when the database can't be reached, `CANNOT_OPEN` when it lets us not in or is not fit,
 * `NOT_A_STORE`, `NEWER_SCHEMA`
 */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  const { address, rootCertificates, notice = () => undefined, maxConnections = 10 } = options;
  // A client waits 30 s for an answer: it has to hear before that that the database gives none.
  const { connectTimeoutMs = 5_000, statementTimeoutMs = 8_000 } = options;
  const connection: ConnectionOptions = {
    address,
    rootCertificates,
    connectTimeoutMs,
    statementTimeoutMs,
    lockTimeoutMs,
  };
  await prepare({ ...connection, statementTimeoutMs: 0, lockTimeoutMs: 0 }, notice);
  const db = new PostgresDatabase({
    connection,
    maxConnections,
    maxWaiting,
    waitMs: statementTimeoutMs,
    useMs: 2 * statementTimeoutMs,
  });
  const changes = new PostgresChanges(connection, db);
  return {
    accounts: new PostgresAccounts(db, new PostgresCertificates(db), changes),
    control: new PostgresControl(db),
    tickets: new PostgresTickets(db),
    keyPackages: new PostgresKeyPackages(db),
    blobs: new PostgresBlobs(db),
    log: new PostgresLog(db, changes),
    receipts: new PostgresReceipts(db, changes),
    restoration: new PostgresRestoration(db, changes),
    changes,
    crls: new PostgresCrls(db, changes),
    sweep: (request) => sweepPostgres(db, request),
    close: async () => {
      await Promise.all([db.close(), changes.close()]);
    },
  };
}

/** On a connection of its own: taking over many accounts takes longer than a statement otherwise may. */
async function prepare(options: ConnectionOptions, notice: (message: string) => void): Promise<void> {
  let connection: PostgresConnection | undefined;
  try {
    const opened = await PostgresConnection.open(options);
    connection = opened;
    const [settings] = await opened.query<{ encoding: string; fsync: string; version: number }>(
      `SELECT current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,
              current_setting('server_version_num')::integer AS version`,
    );
    const reason = settings === undefined ? "it does not say what it is" : unfitReason(settings);
    if (reason !== undefined) throw new StoreError("CANNOT_OPEN", `the database can't be used: ${reason}`);
    await runTransaction(opened, (transaction) =>
      migratePostgres(transaction, (sql) => opened.command(sql), { hash: hashPassword, notice }),
    );
    await runTransaction(opened, (transaction) => markCopy(transaction, Date.now()));
    await opened.end();
  } catch (error) {
    connection?.destroy(new StoreError("CLOSED", "the connection is closed"));
    throw openingError(error);
  }
}

/** Here the operator is listening, not a client: what PostgreSQL said becomes part of the message. */
function openingError(error: unknown): unknown {
  if (!(error instanceof StoreError) || !(error.cause instanceof PostgresFailure)) return error;
  const { cause } = error;
  const state = sqlStateOf(error) ?? "";
  if (/^(28|3D|42501)/.test(state) || (error.code === "MISUSE" && state !== ""))
    return new StoreError("CANNOT_OPEN", `the database refuses: ${cause.message}`, { cause });
  return new StoreError(error.code, `${error.message}: ${cause.message}`, { cause });
}
