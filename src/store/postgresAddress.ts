import { isIP } from "node:net";
import { StoreError } from "./storeError.ts";

/** As libpq names them. `allow` and `prefer` are left out: they go on in the clear when somebody in between says so. */
export const sslModes = ["disable", "require", "verify-ca", "verify-full"] as const;
export type SslMode = (typeof sslModes)[number];

/** Where a PostgreSQL database is and who we are there. */
export interface PostgresAddress {
  /** A host name, an IP address, or the folder of a Unix socket, which begins with `/`. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly sslMode: SslMode;
  /** A PEM file with the CAs that the server's certificate may come from; `undefined`: the well-known ones. */
  readonly sslRootCertificate: string | undefined;
}

export const defaultPostgresPort = 5432;

/** @returns `disable` for this machine, `verify-full` for all others: who is not asked must not send passwords in the clear */
export function defaultSslMode(host: string): SslMode {
  const local = host.startsWith("/") || host === "localhost" || host === "::1" || /^127\.[0-9.]+$/.test(host);
  return local ? "disable" : "verify-full";
}

/** @throws {StoreError} `CANNOT_OPEN` */
export function parseSslMode(text: string): SslMode {
  const mode = sslModes.find((one) => one === text);
  if (mode === undefined)
    throw new StoreError("CANNOT_OPEN", `sslmode must be one of ${sslModes.join(", ")}`);
  return mode;
}

/** @throws {StoreError} `CANNOT_OPEN`; where a URL lacks its `@`, this text is a password: no message repeats it */
export function parsePort(text: string): number {
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535)
    throw new StoreError("CANNOT_OPEN", "a database port is a number from 1 to 65535");
  return port;
}

const urlForm =
  /^postgres(?:ql)?:\/\/(?:([^:@/?#]*)(?::([^:@/?#]*))?@)?(\[[0-9A-Fa-f:.]+\]|[^:@/?#[\]]*)(?::([^:@/?#]*))?\/([^/?#]*)(?:\?([^#]*))?$/;

/**
 * Reads `postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?sslmode=MODE&sslrootcert=FILE]`; `postgres://` is the same. For a
 * Unix socket the host is left out and given as `host=/FOLDER` in the query, or is the folder, escaped.
 *
 * @throws {StoreError} `CANNOT_OPEN`; the message never holds the URL, which may hold a password
 */
export function parsePostgresUrl(text: string): PostgresAddress {
  const parts = urlForm.exec(text);
  if (parts === null)
    throw malformed("write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special characters as %XX");
  const part = (index: number) => unescaped(parts[index] ?? "");
  const query = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(parts[6])) {
    if (!["host", "port", "sslmode", "sslrootcert"].includes(name))
      throw malformed("it has a parameter other than host, port, sslmode and sslrootcert");
    if (query.has(name)) throw malformed(`it has the parameter "${name}" twice`);
    query.set(name, value);
  }
  const named = part(3).replace(/^\[(.*)\]$/, "$1");
  if (named !== "" && query.has("host")) throw malformed("it names two hosts");
  const host = named === "" ? (query.get("host") ?? "localhost") : named;
  const port = parts[4] ?? query.get("port");
  const sslMode = query.get("sslmode");
  return checkedAddress({
    host,
    port: port === undefined ? defaultPostgresPort : parsePort(port),
    database: part(5),
    user: part(1),
    password: parts[2] === undefined || parts[2] === "" ? undefined : part(2),
    sslMode: sslMode === undefined ? defaultSslMode(host) : parseSslMode(sslMode),
    sslRootCertificate: query.get("sslrootcert"),
  });
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed("a % in it is not followed by two hex digits of UTF-8; write the character as %25");
  }
}

/** @throws {StoreError} `CANNOT_OPEN` for a part that is missing or can't be sent */
export function checkedAddress(address: PostgresAddress): PostgresAddress {
  const { host, database, user, password } = address;
  const isName = /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?$/.test(host);
  if (!host.startsWith("/") && !isName && isIP(host) === 0)
    throw malformed("its host is not one host name, IP address or folder of a socket");
  if (database === "" || database.includes("/")) throw malformed("it names no database");
  if (user === "") throw malformed("it names no user");
  if ([host, database, user, password ?? ""].some((part) => part.includes("\0") || !part.isWellFormed()))
    throw malformed("it has a character that can't be sent");
  return address;
}

/** @returns how an operator recognises it, without the password */
export function describeAddress({ host, port, database, user }: PostgresAddress): string {
  return `${user}@${host.includes(":") ? `[${host}]` : host}:${port}/${database}`;
}

function malformed(reason: string): StoreError {
  return new StoreError("CANNOT_OPEN", `the address of the database can't be used: ${reason}`);
}
