import { CodedError } from "../base/codedError.ts";
import { visible } from "../base/visible.ts";

/** @returns an error with its causes in one line for the log; our own errors carry no secrets */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let one: unknown = error; one instanceof Error && parts.length < 4; one = one.cause)
    parts.push(
      one instanceof CodedError ? `${one.message} (${String(one.code)})` : `${one.name}: ${one.message}`,
    );
  return visible(parts.length === 0 ? String(error) : parts.join(": "));
}
