import { crypto } from "../crypto/crypto.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { type RunningServer, startServer } from "../server/server.ts";
import { ServerError } from "../server/serverError.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, integerFlag } from "./commandLine.ts";
import { readCertificates } from "./credentialFiles.ts";
import { holdFileLock } from "./fileLock.ts";
import { readFile } from "./files.ts";
import { databaseError, namedDatabase, openStore } from "./openStore.ts";
import { serveBackup } from "./serveBackup.ts";
import { serverLogOf } from "./serveLog.ts";
import { startOperations } from "./serveOperations.ts";
import { takeRenewals } from "./serveRenewals.ts";
import { serveRestored } from "./serveRestored.ts";
import { ServerCredential } from "./serverCredential.ts";

const dayMs = 86_400_000;

const actions: Readonly<Record<string, (args: Arguments) => Promise<number>>> = {
  backup: serveBackup,
  restored: serveRestored,
};

/** `securechat serve`, and what is done to a server's store beside it. */
export async function serve(args: Arguments): Promise<number> {
  const [name] = args.positionals;
  if (name === undefined) {
    if (args.has("out")) throw usageError('--out has a meaning with "serve backup" only');
    return await runServer(args);
  }
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined) throw usageError(`unexpected argument "${name}"`);
  return await action(args);
}

/** Runs until SIGTERM or SIGINT; SIGHUP has it read certificate, key and CRL again. */
async function runServer(args: Arguments): Promise<number> {
  const host = args.text("host") ?? "0.0.0.0";
  const port = integerFlag(args, "port", { min: 0, max: 65_535, fallback: 5000 });
  const registration = args.text("registration") ?? "open";
  if (registration !== "open" && registration !== "closed")
    throw usageError(`--registration must be open or closed, not "${registration}"`);
  const anchors = readCertificates(args.text("ca") ?? "certs/ca_cert.pem", "CA certificate");
  const crlFile = args.text("crl");
  const crlPolicy = {
    graceMs: integerFlag(args, "crl-grace", { min: 0, max: 3650, fallback: 7 }) * dayMs,
    required: args.has("crl-required"),
    source: crlFile ?? "the CRL",
  };
  const log = serverLogOf(args);
  // What is being read now needs no signal to be read.
  process.on("SIGHUP", () => {});
  const credential = await ServerCredential.open(
    { cert: args.text("cert") ?? "certs/server_cert.pem", key: args.text("key") ?? "certs/server_key.pem" },
    args,
  );
  const { chain, key } = credential.first;
  const stopped = stopSignal();
  log("INFO", `Cryptography by the ${crypto().name} provider`);
  const unlock = lockStore(args);
  const operations = await startOperations(args, log);
  try {
    const store = await openStore(args, (message) => log("INFO", message));
    let server: RunningServer;
    try {
      server = await startServer({
        host,
        port,
        chain: chain.map(({ der }) => der),
        key,
        anchors,
        ...(crlFile === undefined ? {} : { crl: readFile(crlFile, "revocation list") }),
        crlPolicy,
        store,
        registration,
        random: systemRandom,
        now: Date.now,
        log,
        meter: operations.meter,
      });
    } catch (error) {
      await store.close();
      if (!(error instanceof ServerError)) throw databaseError(error, namedDatabase(args));
      const file = error.code === "CRL_REFUSED" ? crlFile : isOwn(error) ? credential.certFile : undefined;
      throw usageError(file === undefined ? error.message : `${file}: ${error.message}`, error);
    }
    operations.watch(server);
    const endRenewals = takeRenewals(server, { credential, crlFile, log });
    log("INFO", `${await stopped}: closing sessions`);
    endRenewals();
    await server.stop();
    return exitCodes.done;
  } finally {
    await operations.stop();
    unlock();
  }
}

/**
 * Two servers on one SQLite file would not hear of each other's entries, and their clients wait for what is there already.
 *
 * @returns what ends it @throws {CliError} exit code 2 when another server is on this file
 */
function lockStore(args: Arguments): () => void {
  const database = namedDatabase(args);
  if (database.kind !== "sqlite") return () => undefined;
  const unlock = holdFileLock(`${database.file}.lock`);
  if (unlock === undefined)
    throw usageError(
      `another server is using ${database.file}; stop it, or give each a database of its own (several servers share one in PostgreSQL)`,
    );
  return unlock;
}

function isOwn({ code }: ServerError): boolean {
  return (
    code === "CERTIFICATE_EXPIRED" || code === "CERTIFICATE_REFUSED" || code === "NOT_A_SERVER_CERTIFICATE"
  );
}

/** A second signal while the first is being obeyed ends the process at once, as people expect. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve(signal));
  });
}
