import { existsSync } from "node:fs";
import { usageError } from "./cliError.ts";
import { readText } from "./files.ts";

/**
 * Reads a file of `NAME=value` lines, as the original SecureChat's `.env` is: `export` may stand before a name, a value may be in
 * single quotes (taken as it is) or double quotes (with `\n`, `\"` and `\\`), a `#` after white space begins a comment. Nothing
 * is substituted. The file may be missing.
 *
 * @throws {CliError} exit code 2 for a line that is none of this; the message never repeats it, for it may hold a password
 */
export function readDotEnv(file: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  if (!existsSync(file)) return values;
  const lines = readText(file, "settings")
    .replace(/^\ufeff/, "")
    .split(/\r?\n/);
  for (const [i, line] of lines.entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const match =
      /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?:'([^']*)'|"((?:[^"\\]|\\.)*)"|([^\s'"#][^'"]*?|))(?:\s+#.*|\s*)$/.exec(
        line,
      );
    const name = match?.[1];
    if (match === null || name === undefined)
      throw usageError(`${file}, line ${i + 1}: write NAME=value, or NAME='value' when it has quotes or "#"`);
    const [, , single, double, bare = ""] = match;
    values.set(name, single ?? (double === undefined ? bare : unescaped(double)));
  }
  return values;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character));
}
