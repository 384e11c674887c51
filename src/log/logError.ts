import { CodedError } from "../base/codedError.ts";
import { visible } from "../base/visible.ts";

/**
 * One code per rule of a log; docs/PROTOCOL.md says which rule each stands for. A server answers with the same code.
 * Only `TIME_ORDER` never travels: the server itself gives `at`.
 */
export const logErrorCodes = [
  "MALFORMED",
  "BAD_BODY",
  "UNKNOWN_SENDER",
  "FORBIDDEN",
  "CLOSED",
  "REPLAY",
  "GAP",
  "TIME_ORDER",
  "CLOCK",
  "STALE_EPOCH",
  "BAD_VIEW",
  "REKEY_NEEDED",
  "CERTIFICATE_INVALID",
  "BAD_SIGNATURE",
] as const;
export type LogErrorCode = (typeof logErrorCodes)[number];

/** An entry, checkpoint or transcript was refused. */
export class LogError extends CodedError<LogErrorCode> {
  override readonly name = "LogError";
  /** Where in a transcript: the index that the refused entry has or should have had. */
  readonly index: number | undefined;

  constructor(code: LogErrorCode, message: string, options: { cause?: unknown; index?: number } = {}) {
    super(code, message, options);
    this.index = options.index;
  }
}

/** @returns why a text could not be read, safe to print: it may quote the text */
export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? visible(cause.message) : "";
}
