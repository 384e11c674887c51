import { CodedError } from "../base/codedError.ts";

/**
 * A primitive was handed something that it can't work with. `WRONG_LENGTH` (also for counts out of range) is a bug of the
 * caller; the key codes are about input from outside; `UNAVAILABLE` is about the runtime.
 */
export class CryptoError extends CodedError<
  "WRONG_LENGTH" | "UNSUPPORTED_KEY" | "MALFORMED_KEY" | "UNAVAILABLE"
> {
  override readonly name = "CryptoError";
}
