import { formatJsonLogLine, formatLogLine, type ServerLog } from "../server/serverLog.ts";
import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";

/**
 * Where the log of `serve` goes: standard output, in the form of `--log-format`.
 *
 * @throws {CliError} exit code 2
 */
export function serverLogOf(args: Arguments): ServerLog {
  const format = args.text("log-format") ?? "text";
  if (format !== "text" && format !== "json")
    throw usageError(`--log-format must be text or json, not "${format}"`);
  const line = format === "json" ? formatJsonLogLine : formatLogLine;
  return (level, message) => {
    process.stdout.write(`${line(Date.now(), level, message)}\n`);
  };
}
