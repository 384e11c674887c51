import { expect } from "bun:test";
import { PkiError, type PkiErrorCode } from "../../../src/pki/pkiError.ts";

/** @returns the error, for those who look at its cause */
export function expectPkiError(code: PkiErrorCode, action: () => unknown): PkiError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(PkiError);
    if (!(error instanceof PkiError)) throw error;
    expect(error.code).toBe(code);
    return error;
  }
  throw new Error(`expected ${code}, nothing was thrown`);
}
