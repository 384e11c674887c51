import {
  checkedAddress,
  defaultPostgresPort,
  defaultSslMode,
  describeAddress,
  type PostgresAddress,
  parsePort,
  parsePostgresUrl,
  parseSslMode,
} from "../store/postgresAddress.ts";
import { StoreError } from "../store/storeError.ts";
import { usageError } from "./cliError.ts";

/** Which store `serve` keeps everything in. */
export type DatabaseOptions =
  | { readonly kind: "sqlite"; readonly file: string }
  | {
      readonly kind: "postgres";
      readonly address: PostgresAddress;
      /** For messages: without the password. */
      readonly name: string;
    };

/** A variable's value in the environment or a file; an empty one counts as absent. */
type Variables = (name: string) => string | undefined;

const defaultFile = "securechat.db";
/** The original SecureChat's variables, and two for TLS that it did not have. */
const partNames = ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"] as const;

/**
 * `--db`, else the environment, else `.env`, else a SQLite file in the working folder. In each of the two places `DATABASE_URL`
 * counts before the original's `DB_…`; a part that the environment does not have comes from `.env`. A URL in `--db` has its
 * password from `DB_PASSWORD`.
 *
 * @param db the flag's value
 * @throws {CliError} exit code 2; no message holds a password
 */
export function databaseOptions(
  db: string | undefined,
  environment: Variables,
  dotEnv: Variables,
): DatabaseOptions {
  const either: Variables = (name) => set(environment, name) ?? set(dotEnv, name);
  if (db !== undefined) return ofFlag(db, set(either, "DB_PASSWORD"));
  for (const place of [environment, dotEnv]) {
    const url = set(place, "DATABASE_URL");
    if (url !== undefined) return postgres("DATABASE_URL", () => parsePostgresUrl(url));
    if (partNames.some((name) => set(place, name) !== undefined)) return ofParts(either);
  }
  return { kind: "sqlite", file: defaultFile };
}

function ofFlag(db: string, password: string | undefined): DatabaseOptions {
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(db)) return { kind: "sqlite", file: db };
  // Whatever stands between the slashes and the first @ may hold one, well-formed or not.
  if (/^[^/]*\/\/[^@]*:.*@/.test(db))
    throw usageError(
      "--db can't take a URL with a password, which everybody on this machine could read; use DATABASE_URL or DB_PASSWORD",
    );
  return postgres("--db", () => ({ ...parsePostgresUrl(db), password }));
}

function ofParts(variables: Variables): DatabaseOptions {
  const required = (name: string): string => {
    const value = set(variables, name);
    if (value === undefined) throw usageError(`${name} is not set, but other settings of a database are`);
    return value;
  };
  const host = set(variables, "DB_HOST") ?? "localhost";
  const port = set(variables, "DB_PORT");
  const sslMode = set(variables, "DB_SSLMODE");
  return postgres("DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD", () =>
    checkedAddress({
      host,
      port: port === undefined ? defaultPostgresPort : parsePort(port),
      database: required("DB_NAME"),
      user: required("DB_USER"),
      password: set(variables, "DB_PASSWORD"),
      sslMode: sslMode === undefined ? defaultSslMode(host) : parseSslMode(sslMode),
      sslRootCertificate: set(variables, "DB_SSLROOTCERT"),
    }),
  );
}

function postgres(source: string, read: () => PostgresAddress): DatabaseOptions {
  try {
    const address = read();
    return { kind: "postgres", address, name: describeAddress(address) };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw usageError(`${source}: ${error.message}`, error);
  }
}

function set(variables: Variables, name: string): string | undefined {
  const value = variables(name);
  return value === "" ? undefined : value;
}
