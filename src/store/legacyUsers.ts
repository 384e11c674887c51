import { decodeBase64 } from "../base/base64.ts";
import { encodeHex } from "../base/hex.ts";
import type { Transaction } from "./postgresDatabase.ts";
import { StoreError } from "./storeError.ts";

export interface LegacyUsersOptions {
  /** As `hashPassword` does. */
  readonly hash: (text: string) => Promise<string>;
  /** What the operator should know. */
  readonly notice: (message: string) => void;
}

/** The types that a column of the original's table may have; the drivers of the time stored digests in several ways. */
const columns: Readonly<Record<string, readonly string[]>> = {
  id: ["smallint", "integer", "bigint"],
  email: ["text", "character varying", "character"],
  username: ["text", "character varying", "character"],
  salt: ["bytea", "text", "character varying", "character"],
  pwd_hash: ["bytea", "text", "character varying", "character"],
  created_at: ["timestamp without time zone", "timestamp with time zone", "date"],
};
/** What we add to the table, for good or for the while. */
const ownColumns: readonly string[] = [
  ...["certificate", "disabled", "last_login_at", "one_time_until", "allows_new_key"],
  ...["legacy_salt", "legacy_hash"],
];
const rowsAtOnce = 256;
const hashesAtOnce = 4;

/**
 * Makes the table `users` of the original SecureChat ours, with its rows. Each password hash there is one SHA-256 of salt and
 * password, which whoever steals the table tries by the billion; it is wrapped at once in Argon2id over its hex. The
 * owner's next login replaces that by Argon2id over the password itself. All of it is part of the caller's transaction.
 *
 * @throws {StoreError} `NOT_A_STORE` when the table is of some other program
 */
export async function takeOverUsers(
  transaction: Transaction,
  command: (sql: string) => Promise<string>,
  { hash, notice }: LegacyUsersOptions,
): Promise<void> {
  await command("LOCK TABLE users IN ACCESS EXCLUSIVE MODE");
  await checkColumns(transaction);
  await checkRows(transaction);
  const [count] = await transaction.query<{ n: number }>("SELECT count(*) AS n FROM users");
  if (count !== undefined && count.n > 0)
    notice(`taking over ${count.n} accounts of the original SecureChat, which takes up to 0.1 s each`);
  // The old columns stay aside until every row has its new ones.
  await command(`
    ALTER TABLE users ALTER COLUMN email TYPE TEXT, ALTER COLUMN email SET NOT NULL,
                      ALTER COLUMN username TYPE TEXT, ALTER COLUMN username SET NOT NULL,
                      ALTER COLUMN created_at TYPE TIMESTAMPTZ, ALTER COLUMN created_at SET DEFAULT now();
    ALTER TABLE users RENAME COLUMN salt TO legacy_salt;
    ALTER TABLE users RENAME COLUMN pwd_hash TO legacy_hash;
    ALTER TABLE users ADD COLUMN salt BYTEA, ADD COLUMN pwd_hash TEXT;
    UPDATE users SET created_at = now() WHERE created_at IS NULL;
    ALTER TABLE users ALTER COLUMN created_at SET NOT NULL`);
  const unusable = await wrapHashes(transaction, hash);
  // A dropped column stays in the rows' bytes; only writing the table anew takes the old hashes off the disk.
  await command(`
    ALTER TABLE users DROP COLUMN legacy_salt, DROP COLUMN legacy_hash;
    ALTER TABLE users ALTER COLUMN pwd_hash TYPE TEXT USING pwd_hash || '', ALTER COLUMN pwd_hash SET NOT NULL`);
  if (unusable.length > 0)
    notice(
      `${unusable.length} of them have no password hash that the original could have checked, and can't log in until it is reset: ${unusable
        .slice(0, 20)
        .join(", ")}`,
    );
}

/** @returns the usernames whose hashes nobody's password can match */
async function wrapHashes(
  transaction: Transaction,
  hash: (text: string) => Promise<string>,
): Promise<readonly string[]> {
  const unusable: string[] = [];
  for (let after = Number.MIN_SAFE_INTEGER; ; ) {
    const rows = await transaction.query<LegacyRow>(
      "SELECT id::bigint AS id, username, legacy_salt, legacy_hash FROM users WHERE id > $1::bigint ORDER BY id LIMIT $2",
      [after, rowsAtOnce],
    );
    const last = rows.at(-1);
    if (last === undefined) return unusable;
    after = last.id;
    for (let i = 0; i < rows.length; i += hashesAtOnce)
      await Promise.all(
        rows.slice(i, i + hashesAtOnce).map(async (row) => {
          const salt = bytesOf(row.legacy_salt, undefined);
          const digest = bytesOf(row.legacy_hash, 32);
          const usable = salt !== undefined && digest !== undefined;
          if (!usable) unusable.push(row.username);
          // What nobody's password leads to: it is not 64 hex digits.
          const wrapped = await hash(usable ? encodeHex(digest) : "no password");
          await transaction.query("UPDATE users SET salt = $1, pwd_hash = $2 WHERE id = $3::bigint", [
            salt ?? new Uint8Array(0),
            wrapped,
            row.id,
          ]);
        }),
      );
  }
}

interface LegacyRow {
  readonly id: number;
  readonly username: string;
  readonly legacy_salt: Uint8Array | string | null;
  readonly legacy_hash: Uint8Array | string | null;
}

/** @returns bytes that are kept as such, in hex or in base64, if they have the length that they must have */
function bytesOf(value: Uint8Array | string | null, length: number | undefined): Uint8Array | undefined {
  if (value === null) return undefined;
  const bytes = typeof value === "string" ? decodeText(value.trimEnd(), length ?? 16) : value;
  return length === undefined || bytes?.length === length ? bytes : undefined;
}

/** Sixteen bytes are 32 digits in hex and 24 characters in base64, so the expected length tells them apart. */
function decodeText(text: string, length: number): Uint8Array | undefined {
  const hex = text.startsWith("\\x") ? text.slice(2) : text;
  if (hex.length === 2 * length && /^[0-9a-fA-F]*$/.test(hex)) return Uint8Array.fromHex(hex);
  return decodeBase64(text);
}

async function checkColumns(transaction: Transaction): Promise<void> {
  const rows = await transaction.query<{ name: string; type: string; required: boolean }>(
    `SELECT column_name::text AS name, data_type::text AS type,
            is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AS required
     FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = 'users'`,
  );
  const found = new Map(rows.map((row) => [row.name, row]));
  for (const [name, types] of Object.entries(columns)) {
    const column = found.get(name);
    if (column === undefined) throw foreign(`it has no column ${name}`);
    if (!types.includes(column.type)) throw foreign(`its column ${name} is of type ${column.type}`);
  }
  const [own] = await transaction.query<{ automatic: boolean }>(
    `SELECT column_default IS NOT NULL OR is_identity = 'YES' AS automatic
     FROM information_schema.columns
     WHERE table_schema = current_schema() AND table_name = 'users' AND column_name = 'id'`,
  );
  if (own?.automatic !== true) throw foreign("its column id is not filled by itself");
  const other = rows.find(({ name, required }) => required && columns[name] === undefined);
  if (other !== undefined) throw foreign(`its column ${other.name} has to be filled`);
  const taken = rows.find(({ name }) => ownColumns.includes(name));
  if (taken !== undefined) throw foreign(`it has a column ${taken.name}`);
}

async function checkRows(transaction: Transaction): Promise<void> {
  const [row] = await transaction.query<{ incomplete: number; repeated: number }>(
    `SELECT count(*) FILTER (WHERE id IS NULL OR email IS NULL OR username IS NULL) AS incomplete,
            greatest(count(*) - count(DISTINCT email::text), count(*) - count(DISTINCT username::text),
                     count(*) - count(DISTINCT id)) AS repeated
     FROM users`,
  );
  if (row === undefined || row.incomplete > 0)
    throw foreign("it has rows without id, email or username; delete or complete them");
  if (row.repeated > 0)
    throw foreign("two of its rows have the same id, email or username; delete those that are not used");
}

function foreign(reason: string): StoreError {
  return new StoreError(
    "NOT_A_STORE",
    `the table "users" in the database is not one of the original SecureChat: ${reason}`,
  );
}
