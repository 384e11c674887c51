import { concatBytes } from "../base/bytes.ts";
import { decodeJson, encodeJson, type Schema } from "../base/schema.ts";

const lineEnd = Uint8Array.of(0x0a);

/** @returns the canonical JSON of `value` as the one line of a file */
export function encodeJsonFile<T>(schema: Schema<T>, value: T): Uint8Array {
  return concatBytes(encodeJson(schema, value), lineEnd);
}

/**
 * Reads a file that holds one line of canonical JSON and its LF.
 *
 * @param maxBytes inclusive, with the LF
 * @throws {SchemaError}
 */
export function decodeJsonFile<T>(schema: Schema<T>, bytes: Uint8Array, maxBytes: number): T {
  // Without its line end a file would be cut short, so nothing is taken off it: what remains can't be canonical JSON.
  const json = bytes.at(-1) === lineEnd[0] ? bytes.subarray(0, -1) : bytes.subarray(0, 0);
  return decodeJson(schema, json, maxBytes - 1);
}
