import { selfCommand } from "./childProcess.ts";
import { exitCodes, usageError } from "./cliError.ts";
import { type Arguments, formatFlags, integerFlag } from "./commandLine.ts";
import { readKeyFile } from "./credentialFiles.ts";
import { formatHostPort } from "./hostPort.ts";
import { requireSharedStore } from "./openStore.ts";
import { serverLogOf } from "./serveLog.ts";
import { metricsAddress } from "./serveOperations.ts";
import { stopSignal } from "./stopSignal.ts";
import { workerVariable } from "./worker.ts";
import { WorkerSupervisor } from "./workerSupervisor.ts";

/**
 * `securechat serve --workers N`: N processes that share the port and the database. The kernel deals out the connections; a worker
 * that ends is replaced. Settings that no worker could use are refused here, once.
 */
export async function serveWorkers(args: Arguments, count: number): Promise<number> {
  if (process.platform !== "linux")
    throw usageError("--workers needs Linux, which spreads connections over processes; start one server");
  if (integerFlag(args, "port", { min: 0, max: 65_535, fallback: 5000 }) === 0)
    throw usageError("--workers needs a --port that all workers can share, not 0");
  requireSharedStore(args, "--workers");
  if (args.has("operator"))
    throw usageError("--operator has no meaning with --workers: nobody can type to all of them");
  // Asked for here, since nobody is at the workers' input. It goes to them in the environment, which others can't read.
  const { passphrase } = await readKeyFile(
    args.text("key") ?? "certs/server_key.pem",
    "server private key",
    args,
  );
  const secrets = passphrase === undefined ? {} : { SECURECHAT_PASSPHRASE: passphrase };
  const command = [
    ...selfCommand(),
    "serve",
    ...formatFlags(args, ["workers", "reuse-port", "metrics"]),
    "--reuse-port",
  ];
  const metrics = metricsOf(args, count);
  const log = serverLogOf(args, (line) => process.stdout.write(`${line}\n`));
  const { stopped } = stopSignal();
  const supervisor = new WorkerSupervisor({
    count,
    log,
    // Its input is a pipe that ends when this process does, however it does.
    spawn: (worker) =>
      Bun.spawn([...command, ...metrics(worker)], {
        env: { ...process.env, ...secrets, [workerVariable]: String(worker) },
        stdin: "pipe",
        stdout: "inherit",
        stderr: "inherit",
      }),
  });
  process.on("SIGHUP", () => supervisor.signal("SIGHUP"));
  const ended = await Promise.race([stopped, supervisor.unusable]);
  if (typeof ended === "string") log("INFO", `${ended}: stopping the workers`);
  await supervisor.stop();
  return typeof ended === "string" ? exitCodes.done : ended;
}

/** Each worker has metrics of its own: one port for all of them would give those of any. @returns the flag of a worker */
function metricsOf(args: Arguments, count: number): (worker: number) => readonly string[] {
  const address = metricsAddress(args);
  if (address === undefined) return () => [];
  const { host, port } = address;
  if (port === 0 || port + count - 1 > 65_535)
    throw usageError(
      "--workers needs --metrics HOST:PORT with a port for each worker, counting up from PORT",
    );
  return (worker) => [`--metrics=${formatHostPort({ host, port: port + worker - 1 })}`];
}
