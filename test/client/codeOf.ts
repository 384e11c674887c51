import { CodedError } from "../../src/base/codedError.ts";

/** @returns the code of the error that `action` throws */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof CodedError) return String(error.code);
    throw error;
  }
  throw new Error("nothing was thrown");
}
