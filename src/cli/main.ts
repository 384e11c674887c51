import { CodedError } from "../base/codedError.ts";
import { visible } from "../base/visible.ts";
import { CliError, exitCodes } from "./cliError.ts";
import { type Arguments, type CommandSpec, parseArguments } from "./commandLine.ts";
import { commands, globalFlags } from "./commands.ts";

/**
 * Runs one command.
 *
 * @param argv arguments behind the program's name
 * @returns the exit code
 */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const name = commandNameIn(argv);
    const command = commands.find((spec) => spec.name === name);
    const before = argv.indexOf("--");
    const flags = before === -1 ? argv : argv.slice(0, before);
    if (flags.includes("--help") || flags.includes("-h") || argv.length === 0) {
      const { printHelp } = await import("./help.ts");
      printHelp(command);
      return argv.length === 0 ? exitCodes.usage : exitCodes.done;
    }
    if (command === undefined) {
      const args = parseArguments(argv, "", globalFlags);
      if (args.has("version")) return await printVersion(args);
      process.stderr.write(`securechat: no command "${visible(name ?? "")}"; see "securechat --help"\n`);
      return exitCodes.usage;
    }
    return await run(command, argv);
  } catch (error) {
    return report(error);
  }
}

/** @returns the first argument that is neither a flag nor the value of one that may stand before a command */
function commandNameIn(argv: readonly string[]): string | undefined {
  const takesNext = (argument: string | undefined) =>
    globalFlags.some(({ name, value }) => value !== undefined && argument === `--${name}`);
  return argv.find((argument, at) => !argument.startsWith("-") && !takesNext(argv[at - 1]));
}

async function run(command: CommandSpec, argv: readonly string[]): Promise<number> {
  const rest = [...argv];
  rest.splice(rest.indexOf(command.name), 1);
  const args = parseArguments(rest, command.name, [...command.flags, ...globalFlags]);
  if (args.has("version")) return await printVersion(args);
  const { selectCrypto } = await import("./selectCrypto.ts");
  await selectCrypto(args);
  const action = await command.load();
  return await action(args);
}

async function printVersion(args: Arguments): Promise<number> {
  const { selectCrypto, versionText } = await import("./selectCrypto.ts");
  process.stdout.write(`${versionText(await selectCrypto(args))}\n`);
  return exitCodes.done;
}

/** One line on stderr; a stack trace only for what nobody foresaw, and only when asked for. */
function report(error: unknown): number {
  if (error instanceof CliError) {
    process.stderr.write(`securechat: ${visible(error.message, "\n")}\n`);
    return error.exitCode;
  }
  if (error instanceof CodedError) {
    process.stderr.write(`securechat: ${visible(error.message, "\n")} (${error.code})\n`);
    return exitCodes.refused;
  }
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`securechat: unexpected failure: ${visible(text)}\n`);
  if (process.env.SECURECHAT_DEBUG === "1" && error instanceof Error)
    process.stderr.write(`${error.stack}\n`);
  return exitCodes.refused;
}
