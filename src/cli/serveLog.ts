import { formatJsonLogLine, formatLogLine, type ServerLog } from "../server/serverLog.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { workerNumber } from "./worker.ts";

/**
 * The log of `serve`, in the form of `--log-format`. Lines of a worker say which one it is.
 *
 * @param write takes each line, without its end
 * @throws {CliError} exit code 2
 */
export function serverLogOf(args: Arguments, write: (line: string) => void): ServerLog {
  const format = args.text("log-format") ?? "text";
  if (format !== "text" && format !== "json")
    throw usageError(`--log-format must be text or json, not "${format}"`);
  const line = format === "json" ? formatJsonLogLine : formatLogLine;
  const worker = workerNumber();
  const tag = worker === undefined ? "" : `[WORKER-${worker}] `;
  return (level, message) => write(line(Date.now(), level, `${tag}${message}`));
}
