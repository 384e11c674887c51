import { systemRandom } from "../crypto/systemRandom.ts";
import { type RunningServer, startServer } from "../server/server.ts";
import { ServerError } from "../server/serverError.ts";
import { formatLogLine, type LogLevel } from "../server/serverLog.ts";
import { openSqliteStore } from "../store/sqliteStore.ts";
import type { Store } from "../store/store.ts";
import { StoreError } from "../store/storeError.ts";
import { CliError, type ExitCode, exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { readCertificates, readCredential } from "./credentialFiles.ts";
import { readFile } from "./files.ts";

/** `securechat serve`: runs until SIGTERM or SIGINT. */
export async function serve(args: Arguments): Promise<number> {
  if (args.positionals.length > 0) throw usageError(`unexpected argument "${args.positionals[0]}"`);
  const host = args.text("host") ?? "0.0.0.0";
  const port = integerFlag(args, "port", { min: 0, max: 65_535, fallback: 5000 });
  const registration = args.text("registration") ?? "open";
  if (registration !== "open" && registration !== "closed")
    throw usageError(`--registration must be open or closed, not "${registration}"`);
  const anchors = readCertificates(args.text("ca") ?? "certs/ca_cert.pem", "CA certificate");
  const { chain, key } = await readCredential(
    {
      cert: args.text("cert") ?? "certs/server_cert.pem",
      key: args.text("key") ?? "certs/server_key.pem",
      who: "server",
    },
    args,
  );
  const crlFile = args.text("crl");
  const stopped = stopSignal();
  const store = await openStore(args.text("db") ?? "securechat.db");
  let server: RunningServer;
  try {
    server = await startServer({
      host,
      port,
      chain: chain.map(({ der }) => der),
      key,
      anchors,
      ...(crlFile === undefined ? {} : { crl: readFile(crlFile, "revocation list") }),
      store,
      registration,
      random: systemRandom,
      now: Date.now,
      log,
    });
  } catch (error) {
    await store.close();
    if (!(error instanceof ServerError)) throw error;
    throw usageError(error.message, error);
  }
  log("INFO", `${await stopped}: closing sessions`);
  await server.stop();
  return exitCodes.done;
}

function log(level: LogLevel, message: string): void {
  process.stdout.write(`${formatLogLine(Date.now(), level, message)}\n`);
}

/** A second signal while the first is being obeyed ends the process at once, as people expect. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve(signal));
  });
}

async function openStore(file: string): Promise<Store> {
  if (/^[a-z]+:\/\/[^/]*:[^/]*@/i.test(file))
    throw usageError("--db can't take a URL with a password, which everybody on this machine could read");
  if (/^[a-z]+:\/\//i.test(file)) throw usageError(`--db ${file}: this version stores in a SQLite file only`);
  try {
    return await openSqliteStore({ file });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const code: ExitCode = error.code === "UNAVAILABLE" ? exitCodes.network : exitCodes.usage;
    throw new CliError(code, `database ${file}: ${error.message}`, { cause: error });
  }
}
