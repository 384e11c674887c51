import { cac } from "cac";
import packageJson from "../../package.json" with { type: "json" };
import type { CommandSpec, Flag } from "./commandLine.ts";
import { commands, globalFlags } from "./commands.ts";

/** Prints the help page of one command, or the overview. */
export function printHelp(command: CommandSpec | undefined): void {
  const cli = cac("securechat");
  for (const flag of globalFlags) if (flag.name !== "version") cli.option(flagText(flag), flag.description);
  for (const spec of commands) {
    const declared = cli.command(`${spec.name} ${spec.positionals}`.trim(), spec.description);
    for (const flag of spec.flags) declared.option(flagText(flag), flag.description);
    // It takes `--no-…` for a switch that is on by default, and says so.
    for (const option of declared.options) if (option.negated) delete option.config.default;
    for (const example of spec.examples) declared.example(`  $ securechat ${example}`);
  }
  cli.help();
  cli.version(packageJson.version, "--version");
  cli.parse(["", "securechat", ...(command === undefined ? [] : [command.name]), "--help"], { run: false });
}

function flagText(flag: Flag): string {
  return flag.value === undefined ? `--${flag.name}` : `--${flag.name} <${flag.value}>`;
}
