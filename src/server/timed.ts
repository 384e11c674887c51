import { CodedError } from "../base/codedError.ts";

/** Runs something, and tells how it ended (`ok`, or the code of what it threw) and how many seconds it took. */
export async function timed<T>(
  run: () => Promise<T> | T,
  tell: (outcome: string, seconds: number) => void,
): Promise<T> {
  const startedMs = performance.now();
  let outcome = "ok";
  try {
    return await run();
  } catch (error) {
    outcome = error instanceof CodedError ? String(error.code) : "INTERNAL";
    throw error;
  } finally {
    tell(outcome, (performance.now() - startedMs) / 1000);
  }
}
