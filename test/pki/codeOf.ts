import { PkiError } from "../../src/pki/pkiError.ts";

/** @returns the code that `action` is refused with; `"accepted"` when it isn't. Any other error fails the test. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof PkiError) return error.code;
    throw error;
  }
  return "accepted";
}

/** As `codeOf`, for promises. */
export async function codeOfAsync(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof PkiError) return error.code;
    throw error;
  }
  return "accepted";
}
