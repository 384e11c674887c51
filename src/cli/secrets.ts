import { usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { readText } from "./files.ts";
import { promptSecret } from "./prompt.ts";

/** Longest password or passphrase, in UTF-8 bytes. */
const maxSecretBytes = 1024;

interface SecretPlace {
  /** Name of the flag that names a file; its first line is the secret. */
  readonly flag: string;
  readonly variable: string;
}

interface SecretSource extends SecretPlace {
  readonly args: Arguments;
  /** Where to look next. */
  readonly otherwise?: SecretPlace;
  /** Asked on a terminal, without echo. */
  readonly prompt: string;
  readonly confirm?: boolean;
}

/**
 * Reads a secret from a file, the environment or the terminal, in this order; never from the command line, which
 * other users of the machine can read.
 *
 * @throws {CliError} exit code 2 when there is none and nobody to ask
 */
export async function readSecret(source: SecretSource): Promise<string> {
  const { args, flag, variable, otherwise, prompt } = source;
  for (const place of [source, ...(otherwise === undefined ? [] : [otherwise])]) {
    const file = args.text(place.flag);
    if (file !== undefined) return checkSecret(firstLine(file), `file ${file}`);
    const value = process.env[place.variable];
    if (value !== undefined && value !== "") return checkSecret(value, place.variable);
  }
  if (!process.stdin.isTTY)
    throw usageError(
      `nobody is here to answer "${prompt}": set ${variable}, or use --${flag} FILE, or run on a terminal to be asked`,
    );
  const secret = checkSecret(await promptSecret(`${prompt}: `), "the input");
  if (source.confirm === true && (await promptSecret(`${prompt} (again): `)) !== secret)
    throw usageError("the two inputs differ, nothing was done");
  return secret;
}

/** Whether it is given where nobody has to be asked. */
export function hasSecret({ args, flag, variable }: SecretPlace & { readonly args: Arguments }): boolean {
  return args.has(flag) || (process.env[variable] ?? "") !== "";
}

function firstLine(file: string): string {
  return readText(file, "secret file").split(/\r?\n/, 1)[0] ?? "";
}

function checkSecret(secret: string, where: string): string {
  if (secret === "") throw usageError(`the secret from ${where} is empty`);
  if (Buffer.byteLength(secret) > maxSecretBytes)
    throw usageError(`the secret from ${where} is longer than ${maxSecretBytes} bytes`);
  return secret;
}
