import { backUpSqlite } from "../store/sqliteBackup.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, demandFlagsOf } from "./commandLine.ts";
import { databaseError, namedDatabase } from "./openStore.ts";

/** `securechat serve backup --out FILE`: copies the SQLite store, also while a server works on it. */
export async function serveBackup([extra]: readonly string[], args: Arguments): Promise<number> {
  if (extra !== undefined) throw usageError(`unexpected argument "${extra}"`);
  demandFlagsOf("serve backup", ["db", "out"], args);
  const out = args.text("out");
  if (out === undefined) throw usageError("serve backup needs --out FILE");
  const database = namedDatabase(args);
  if (database.kind !== "sqlite")
    throw usageError("the store is in PostgreSQL: back it up with pg_dump, see the README");
  try {
    backUpSqlite(database.file, out, Date.now());
  } catch (error) {
    throw databaseError(error, database);
  }
  process.stdout.write(`Backup of ${database.file} written to ${out}\n`);
  return exitCodes.done;
}
