import { crypto } from "../crypto/crypto.ts";
import { systemRandom } from "../crypto/systemRandom.ts";
import { type RunningServer, startServer } from "../server/server.ts";
import { ServerError } from "../server/serverError.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, demandFlagsOf, integerFlag } from "./commandLine.ts";
import { readCertificates } from "./credentialFiles.ts";
import { holdFileLock } from "./fileLock.ts";
import { readFile } from "./files.ts";
import { parseLimits } from "./limitFlags.ts";
import { databaseError, namedDatabase, openStore, requireSharedStore } from "./openStore.ts";
import { OperatorConsole, operatorWish } from "./operatorConsole.ts";
import { serverLogOf } from "./serveLog.ts";
import { startOperations } from "./serveOperations.ts";
import { takeRenewals } from "./serveRenewals.ts";
import { ServerCredential } from "./serverCredential.ts";
import { stopSignal } from "./stopSignal.ts";

const dayMs = 86_400_000;

/** What is of no meaning to a server that runs, but to what is done beside it. */
const otherFlags: readonly string[] = ["email", "allow-new-key", "out"];

/** `securechat serve`, and what is done to a server's store beside it. */
export async function serve(args: Arguments): Promise<number> {
  const [first, ...operands] = args.positionals;
  switch (first) {
    case undefined:
      return await runServer(args);
    case "users":
      return await (await import("./serveUsers.ts")).serveUsers(operands, args);
    case "export":
      return await (await import("./serveExport.ts")).exportEvidence(args);
    case "backup":
      return await (await import("./serveBackup.ts")).serveBackup(operands, args);
    case "restored":
      return await (await import("./serveRestored.ts")).serveRestored(operands, args);
    default:
      throw usageError(`unexpected argument "${first}"`);
  }
}

/** Runs until SIGTERM or SIGINT, or until its operator ends it; SIGHUP has it read certificate, key and CRL again. */
async function runServer(args: Arguments): Promise<number> {
  demandFlagsOf(
    "serve",
    args.flags.filter((flag) => !otherFlags.includes(flag)),
    args,
  );
  const limits = parseLimits(args);
  // What is being read now needs no signal to be read.
  process.on("SIGHUP", () => {});
  const retentionDays = args.has("retention")
    ? integerFlag(args, "retention", { min: 1, max: 36_500, fallback: 0 })
    : undefined;
  const workers = integerFlag(args, "workers", { min: 1, max: 64, fallback: 0 });
  if (workers > 0) return await (await import("./serveWorkers.ts")).serveWorkers(args, workers);
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
  const reusePort = args.has("reuse-port");
  if (reusePort) requireSharedStore(args, "--reuse-port");
  const wish = operatorWish(args);
  let operator: OperatorConsole | undefined;
  const log = serverLogOf(args, (line) => {
    if (operator === undefined) (args.has("json") ? process.stderr : process.stdout).write(`${line}\n`);
    else operator.notice(line);
  });
  const credential = await ServerCredential.open(
    { cert: args.text("cert") ?? "certs/server_cert.pem", key: args.text("key") ?? "certs/server_key.pem" },
    args,
  );
  const { key } = credential.first;
  const chain = credential.first.chain.map(({ der }) => der);
  const { stopped, stop, fail } = stopSignal();
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
        reusePort,
        chain,
        key,
        anchors,
        ...(crlFile === undefined ? {} : { crl: readFile(crlFile, "revocation list") }),
        crlPolicy,
        store,
        registration,
        ...(retentionDays === undefined ? {} : { retentionDays }),
        offersOperator: !args.has("no-operator"),
        random: systemRandom,
        now: Date.now,
        log,
        meter: operations.meter,
        limits,
      });
    } catch (error) {
      await store.close();
      if (!(error instanceof ServerError)) throw databaseError(error, namedDatabase(args));
      const file = error.code === "CRL_REFUSED" ? crlFile : isOwn(error) ? credential.certFile : undefined;
      throw usageError(file === undefined ? error.message : `${file}: ${error.message}`, error);
    }
    operations.watch(server);
    try {
      if (wish !== "none") {
        const onInterrupt = () => stop("Ctrl-C");
        const { keyFile } = credential;
        operator = new OperatorConsole({ args, anchors, crlFile, keyFile, onInterrupt });
        if (await operator.open(server, { chain, key }, { log, isRequired: wish === "required" }))
          void operator.run().then(() => stop("quit"), fail);
      }
      const renewed = operator?.renewing(server, log) ?? server;
      const endRenewals = takeRenewals(renewed, { credential, crlFile, log });
      log("INFO", `${await stopped}: closing sessions`);
      endRenewals();
    } finally {
      operator?.close();
      await server.stop();
    }
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
