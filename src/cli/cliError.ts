/** What the process exits with (docs: README, "Exit codes"). */
export const exitCodes = {
  done: 0,
  refused: 1,
  usage: 2,
  incomplete: 3,
  network: 4,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends a command with one line for the user and an exit code. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** The command line, a file or a variable can't be used as it is. */
export function usageError(message: string, cause?: unknown): CliError {
  return new CliError(exitCodes.usage, message, { cause });
}
