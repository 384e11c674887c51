import packageJson from "../../package.json" with { type: "json" };
import type { RunningServer } from "../server/server.ts";
import { ServerError } from "../server/serverError.ts";
import type { ServerGauges } from "../server/serverGauges.ts";
import type { ServerLog } from "../server/serverLog.ts";
import { noMeter, type ServerMeter } from "../server/serverMeter.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { formatHostPort, type HostPort, parseHostPort } from "./hostPort.ts";

/** What `serve` offers to whoever watches it. */
export interface Operations {
  readonly meter: ServerMeter;
  /** From now on the endpoint speaks of this server; until then it says that it is starting. */
  watch(server: RunningServer): void;
  stop(): Promise<void>;
}

/** Before there is a server. */
const nothingYet: ServerGauges = {
  connections: 0,
  sessions: 0,
  postsWaiting: 0,
  certificateEndsMs: 0,
  crlNextUpdateMs: undefined,
};

/**
 * Starts the endpoint of `--metrics`; without the flag nothing is counted and nothing listens.
 *
 * @throws {CliError} exit code 2
 */
export async function startOperations(args: Arguments, log: ServerLog): Promise<Operations> {
  const address = metricsAddress(args);
  if (address === undefined) return { meter: noMeter, watch() {}, async stop() {} };
  const [{ PrometheusMeter }, { startOperationsEndpoint }] = await Promise.all([
    import("../server/prometheus.ts"),
    import("../server/operationsEndpoint.ts"),
  ]);
  let server: RunningServer | undefined;
  const meter = new PrometheusMeter(packageJson.version, () => server ?? nothingYet);
  try {
    const endpoint = startOperationsEndpoint({
      ...address,
      metrics: meter,
      unready: async () => (server === undefined ? "starting" : await server.unready()),
    });
    log("INFO", `Metrics on http://${formatHostPort({ ...address, port: endpoint.port })}/metrics`);
    return {
      meter,
      watch(running) {
        server = running;
      },
      stop: () => endpoint.stop(),
    };
  } catch (error) {
    if (error instanceof ServerError) throw usageError(`--metrics: ${error.message}`, error);
    throw error;
  }
}

/** @returns where `--metrics` wants them @throws {CliError} exit code 2 */
export function metricsAddress(args: Arguments): HostPort | undefined {
  const text = args.text("metrics");
  if (text === undefined) return undefined;
  const address = parseHostPort(text, undefined);
  if (address === undefined) throw usageError(`--metrics must be HOST:PORT or [IPv6]:PORT, not "${text}"`);
  return address;
}
