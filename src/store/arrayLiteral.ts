import type { Parameter } from "./postgresConnection.ts";

/**
 * @returns PostgreSQL's text for an array of one dimension (documentation §8.15.2): `{"a","b"}`, every element quoted, so none
 * means NULL or a brace. Bytes are written as `\x` and hex.
 */
export function arrayLiteral(values: readonly Exclude<Parameter, null>[]): string {
  const elements = values.map((value) =>
    value instanceof Uint8Array
      ? `"\\\\x${value.toHex()}"`
      : `"${String(value).replace(/[\\"]/g, (one) => `\\${one}`)}"`,
  );
  return `{${elements.join(",")}}`;
}
