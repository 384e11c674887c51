import { ClientError } from "../client/clientError.ts";
import { CliError, type ExitCode, exitCodes } from "./cliError.ts";
import { withCode } from "./errorText.ts";

/** By the code of a `ClientError`; every other is a refusal. */
export const exitCodeOf: Readonly<Record<string, ExitCode>> = {
  CONNECT_FAILED: exitCodes.network,
  HANDSHAKE_FAILED: exitCodes.network,
  CONNECTION_LOST: exitCodes.network,
  NOT_CONNECTED: exitCodes.network,
  TIMEOUT: exitCodes.network,
  VAULT_IN_USE: exitCodes.usage,
  VAULT_UNUSABLE: exitCodes.usage,
  VAULT_WRONG_KEY: exitCodes.usage,
  TRANSCRIPT_UNUSABLE: exitCodes.usage,
  CRL_REFUSED: exitCodes.usage,
  NOT_COUNTERSIGNED: exitCodes.incomplete,
};

/** Runs what a client is asked for. @throws {CliError} where the client could not do it */
export async function attempt<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const message = withCode(error.message, error.refusal ?? error.code);
    throw new CliError(exitCodeOf[error.code] ?? exitCodes.refused, message, { cause: error });
  }
}
