import { CryptoError } from "./cryptoError.ts";

/** @throws {CryptoError} `WRONG_LENGTH` unless `bytes` has one of the lengths */
export function requireLength(what: string, bytes: Uint8Array, ...lengths: readonly number[]): void {
  if (!lengths.includes(bytes.length))
    throw new CryptoError(
      "WRONG_LENGTH",
      `${what} of ${bytes.length} bytes, it must have ${lengths.join(" or ")}`,
    );
}

/** @throws {CryptoError} `WRONG_LENGTH` unless `value` is an integer in `min … max`, both inclusive */
export function requireInteger(what: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new CryptoError("WRONG_LENGTH", `${what} is ${value}, it must be an integer from ${min} to ${max}`);
}
