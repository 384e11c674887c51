import { usageError } from "./cliError.ts";

/** One flag of a command. Without `value` it is a switch; with it, it takes the next argument or what follows `=`. */
export interface Flag {
  readonly name: string;
  readonly value?: string;
  readonly many?: boolean;
  readonly description: string;
}

export interface CommandSpec {
  readonly name: string;
  /** Names of the positional arguments for the help text, e.g. `<action> [file]`. */
  readonly positionals: string;
  readonly description: string;
  readonly flags: readonly Flag[];
  readonly examples: readonly string[];
  /** Loads the command only when it runs: the others then cost no start-up time. */
  readonly load: () => Promise<(args: Arguments) => Promise<number>>;
}

/** What stood on the command line, as text: nothing is coerced to a number on the way. */
export interface Arguments {
  readonly positionals: readonly string[];
  /** Names of the flags that were given. */
  readonly flags: readonly string[];
  /** The value of a flag, `undefined` when it is absent. */
  text(name: string): string | undefined;
  all(name: string): readonly string[];
  has(name: string): boolean;
}

/**
 * Reads arguments strictly against the flags of a command: unknown flags, missing or empty values, and a flag given
 * twice are errors. Our own, because the parser that writes the help text turns `--cn 007` into the number 7.
 *
 * @throws {CliError} exit code 2
 */
export function parseArguments(argv: readonly string[], command: string, flags: readonly Flag[]): Arguments {
  const known = new Map(flags.map((flag) => [flag.name, flag]));
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? "";
    if (argument === "--") {
      positionals.push(...argv.slice(i + 1));
      break;
    }
    if (!argument.startsWith("-") || argument === "-") {
      positionals.push(argument);
      continue;
    }
    const equals = argument.indexOf("=");
    const name = argument.slice(2, equals === -1 ? undefined : equals);
    const flag = argument.startsWith("--") ? known.get(name) : undefined;
    if (flag === undefined)
      throw usageError(
        `unknown option ${argument.split("=")[0]}; see "${["securechat", command, "--help"].filter(Boolean).join(" ")}"`,
      );
    const seen = values.get(name) ?? [];
    if (seen.length > 0 && flag.many !== true) throw usageError(`option --${name} was given twice`);
    if (flag.value === undefined) {
      if (equals !== -1) throw usageError(`option --${name} takes no value`);
      values.set(name, [""]);
      continue;
    }
    const value = equals !== -1 ? argument.slice(equals + 1) : argv[++i];
    if (value === undefined || value === "" || (equals === -1 && value.startsWith("--")))
      throw usageError(`option --${name} needs a value: --${name} ${flag.value}`);
    values.set(name, [...seen, value]);
  }
  return {
    positionals,
    flags: [...values.keys()],
    text: (name) => values.get(name)?.[0],
    all: (name) => values.get(name) ?? [],
    has: (name) => values.has(name),
  };
}

/** @returns the flags as they were given, for another process. @param without these */
export function formatFlags(args: Arguments, without: readonly string[]): readonly string[] {
  return args.flags
    .filter((name) => !without.includes(name))
    .flatMap((name) => args.all(name).map((value) => (value === "" ? `--${name}` : `--${name}=${value}`)));
}

/**
 * Of a command that does several things, each with flags of its own: demands that the others were not given.
 *
 * @param what the thing, as it stands on the command line: `ca crl`
 * @throws {CliError} exit code 2
 */
export function demandFlagsOf(what: string, allowed: readonly string[], args: Arguments): void {
  const global = ["crypto", "version"];
  const other = args.flags.find((flag) => !allowed.includes(flag) && !global.includes(flag));
  if (other !== undefined) throw usageError(`--${other} has no meaning with "${what}"`);
}

/** @throws {CliError} exit code 2 unless the flag is absent or a decimal integer in `min … max` */
export function integerFlag(
  args: Arguments,
  name: string,
  limits: { min: number; max: number; fallback: number },
): number {
  const text = args.text(name);
  if (text === undefined) return limits.fallback;
  const value = /^(?:0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= limits.min && value <= limits.max))
    throw usageError(
      `option --${name} must be a whole number from ${limits.min} to ${limits.max}, not "${text}"`,
    );
  return value;
}

/**
 * A moment in the form of RFC 3339 with a zone (`2026-11-15T12:00:00Z`, `2026-11-15T13:00:00+01:00`), or a day in UTC
 * (`2026-11-15`).
 *
 * @returns ms since the epoch, whole seconds; `undefined` when the flag is absent
 * @throws {CliError} exit code 2
 */
export function timeFlag(args: Arguments, name: string): number | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  const match =
    /^(\d{4}-\d{2}-\d{2})(?:T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))?$/.exec(
      text,
    );
  const day = Date.parse(`${match?.[1]}T00:00:00Z`);
  // Date.parse() takes 31 February for a day in March.
  const exists = Number.isFinite(day) && new Date(day).toISOString().slice(0, 10) === match?.[1];
  if (!exists)
    throw usageError(
      `option --${name} must be a time like 2026-11-15T12:00:00Z or a day like 2026-11-15, not "${text}"`,
    );
  return Date.parse(text);
}
