import { existsSync } from "node:fs";
import { openPostgresStore } from "../store/postgresStore.ts";
import { openSqliteStore } from "../store/sqliteStore.ts";
import type { Store } from "../store/store.ts";
import { StoreError } from "../store/storeError.ts";
import { CliError, type ExitCode, exitCodes, usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { type DatabaseOptions, databaseOptions } from "./databaseOptions.ts";
import { readDotEnv } from "./dotEnv.ts";
import { readText } from "./files.ts";

/** @returns the database that `--db`, the environment or `.env` name @throws {CliError} exit code 2 */
export function namedDatabase(args: Arguments): DatabaseOptions {
  const dotEnv = readDotEnv(".env");
  return databaseOptions(
    args.text("db"),
    (name) => process.env[name],
    (name) => dotEnv.get(name),
  );
}

/**
 * Opens the store that `--db`, the environment or `.env` name.
 *
 * @param notice gets what the operator should know about it
 * @throws {CliError} exit code 4 when the database can't be reached, 2 when it can't be used
 */
export async function openStore(args: Arguments, notice: (message: string) => void): Promise<Store> {
  return await open(namedDatabase(args), notice);
}

/**
 * As `openStore`, for whoever works beside a server: a file that is not there is not made. The store is closed behind `use`.
 *
 * @throws {CliError} as `openStore`, also for what the database says later; whatever else `use` throws
 */
export async function withExistingStore<T>(args: Arguments, use: (store: Store) => Promise<T>): Promise<T> {
  const options = namedDatabase(args);
  if (options.kind === "sqlite" && !existsSync(options.file))
    throw usageError(`there is no database ${options.file}; name it with --db`);
  const store = await open(options, (message) => process.stderr.write(`${message}\n`));
  try {
    return await use(store);
  } catch (error) {
    throw databaseError(error, options);
  } finally {
    await store.close();
  }
}

async function open(options: DatabaseOptions, notice: (message: string) => void): Promise<Store> {
  try {
    if (options.kind === "sqlite") return await openSqliteStore({ file: options.file });
    const { address } = options;
    const file = address.sslRootCertificate;
    const rootCertificates =
      file === undefined ? {} : { rootCertificates: readText(file, "CA of the database") };
    const store = await openPostgresStore({ address, notice, ...rootCertificates });
    notice(`storing in PostgreSQL: ${options.name}`);
    return store;
  } catch (error) {
    throw databaseError(error, options);
  }
}

/** @returns what ends a command whose database has failed; any other error as it is */
export function databaseError(error: unknown, database: DatabaseOptions): unknown {
  if (!(error instanceof StoreError)) return error;
  const code: ExitCode = error.code === "UNAVAILABLE" ? exitCodes.network : exitCodes.usage;
  const name = database.kind === "sqlite" ? database.file : database.name;
  return new CliError(code, `database ${name}: ${error.message}`, { cause: error });
}

/**
 * Demands a database in which several processes hear of each other.
 *
 * @param flag what asks for it
 * @throws {CliError} exit code 2
 */
export function requireSharedStore(args: Arguments, flag: string): void {
  const options = namedDatabase(args);
  if (options.kind === "sqlite")
    throw usageError(
      `${flag} needs PostgreSQL: the SQLite file ${options.file} is for one process; set DATABASE_URL`,
    );
}
