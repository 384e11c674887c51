import { backUpSqlite } from "../store/sqliteBackup.ts";
import { StoreError } from "../store/storeError.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import { type Arguments, demandFlagsOf } from "./commandLine.ts";
import { namedDatabase } from "./openStore.ts";

/** `securechat serve backup --out FILE`: copies the SQLite store, also while a server works on it. */
export async function serveBackup(args: Arguments): Promise<number> {
  demandFlagsOf("serve backup", ["db", "out"], args);
  const out = args.text("out");
  if (out === undefined) throw usageError("serve backup needs --out FILE");
  const database = namedDatabase(args);
  if (database.kind !== "sqlite")
    throw usageError("the store is in PostgreSQL: back it up with pg_dump, see the README");
  try {
    backUpSqlite(database.file, out, Date.now());
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const code = error.code === "UNAVAILABLE" ? exitCodes.network : exitCodes.usage;
    throw new CliError(code, error.message, { cause: error });
  }
  process.stdout.write(`Backup of ${database.file} written to ${out}\n`);
  return exitCodes.done;
}
