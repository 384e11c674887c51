import { CodedError } from "../../src/base/codedError.ts";

/** @returns the code that `action` was refused with, or `undefined` when it was not; any other error goes on */
export function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error.code;
    throw error;
  }
}
