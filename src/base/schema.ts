import { decodeBase64, encodeBase64 } from "./base64.ts";
import { decodeUtf8, encodeUtf8 } from "./bytes.ts";
import { CodedError } from "./codedError.ts";
import { type Hex, isHex } from "./hex.ts";
import { visible } from "./visible.ts";

/** A JSON text or one of its fields is not what the specification says. */
export class SchemaError extends CodedError<
  "TOO_LONG" | "NOT_UTF8" | "NOT_JSON" | "WRONG_FIELD" | "NOT_CANONICAL"
> {
  override readonly name = "SchemaError";
}

/** Two ways between a JSON value and the type that the code works with. */
export interface Schema<T> {
  /** @throws {SchemaError} naming `path` */
  read(value: unknown, path: string): T;
  /** The JSON value for `value`; objects have their fields in the order of the schema. */
  write(value: T): unknown;
}

export type SchemaType<S> = S extends Schema<infer T> ? T : never;

/**
 * Reads one canonical JSON text: UTF-8, the fields in the order of the schema, none missing, unknown or twice, no
 * white space, strings and numbers in the form of RFC 8785 §3.2.2. So one value has one text, and whoever hashes or
 * signs the text has hashed the value.
 *
 * @param maxBytes inclusive
 * @throws {SchemaError}
 */
export function decodeJson<T>(schema: Schema<T>, bytes: Uint8Array, maxBytes: number): T {
  if (bytes.length > maxBytes)
    throw new SchemaError("TOO_LONG", `JSON of ${bytes.length} bytes, at most ${maxBytes} are allowed`);
  const text = decodeUtf8(bytes);
  if (text === undefined) throw new SchemaError("NOT_UTF8", "JSON text is not UTF-8");
  return parseJson(schema, text);
}

/** As `decodeJson`, over text whose length the caller has checked. @throws {SchemaError} */
export function parseJson<T>(schema: Schema<T>, text: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new SchemaError("NOT_JSON", "not a JSON text", { cause });
  }
  const value = schema.read(json, "");
  if (formatJson(schema, value) !== text)
    throw new SchemaError(
      "NOT_CANONICAL",
      "JSON is not in its canonical form (order, white space, escapes, duplicates)",
    );
  return value;
}

/** @returns the canonical JSON text of `value`, without a line end */
export function formatJson<T>(schema: Schema<T>, value: T): string {
  return JSON.stringify(schema.write(value));
}

/** @returns the canonical JSON text of `value` in UTF-8, without a line end */
export function encodeJson<T>(schema: Schema<T>, value: T): Uint8Array {
  return encodeUtf8(formatJson(schema, value));
}

type Fields = Record<string, Schema<unknown>>;
type ObjectOf<F extends Fields> = { readonly [K in keyof F]: SchemaType<F[K]> };

/** An object with exactly these fields, written in this order. */
export function object<F extends Fields>(fields: F): Schema<ObjectOf<F>> {
  const entries = Object.entries(fields);
  return {
    read(value, path) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "an object");
      const source = value as Record<string, unknown>;
      const out: Record<string, unknown> = {};
      for (const [name, schema] of entries) {
        if (!Object.hasOwn(source, name)) throw wrong(join(path, name), "present");
        out[name] = schema.read(source[name], join(path, name));
      }
      for (const name in source)
        if (!Object.hasOwn(fields, name)) throw wrong(join(path, short(name)), "absent");
      return out as ObjectOf<F>;
    },
    write(value) {
      const source = value as Record<string, unknown>;
      const out: Record<string, unknown> = {};
      for (const [name, schema] of entries) out[name] = schema.write(source[name]);
      return out;
    },
  };
}

/** A union of objects told apart by the text in their field `tag`. */
export function tagged<M extends Record<string, Schema<unknown>>>(
  tag: string,
  variants: M,
): Schema<SchemaType<M[keyof M]>> {
  type T = SchemaType<M[keyof M]>;
  const variantOf = (value: unknown): Schema<unknown> | undefined => {
    if (typeof value !== "object" || value === null) return undefined;
    const name = (value as Record<string, unknown>)[tag];
    return typeof name === "string" && Object.hasOwn(variants, name) ? variants[name] : undefined;
  };
  return {
    read(value, path) {
      const variant = variantOf(value);
      if (variant === undefined) throw wrong(join(path, tag), `one of ${Object.keys(variants).join(", ")}`);
      return variant.read(value, path) as T;
    },
    write(value) {
      const variant = variantOf(value);
      if (variant === undefined) throw wrong(tag, `one of ${Object.keys(variants).join(", ")}`);
      return variant.write(value);
    },
  };
}

/** An array of at most `max` items. */
export function list<T>(item: Schema<T>, max: number): Schema<readonly T[]> {
  return {
    read(value, path) {
      if (!Array.isArray(value) || value.length > max) throw wrong(path, `an array of at most ${max} items`);
      return value.map((element, index) => item.read(element, `${path}[${index}]`));
    },
    write: (value) => value.map((element) => item.write(element)),
  };
}

/** Text of `min` to `max` bytes in UTF-8, without lone surrogates; with `pattern` also of that form. */
export function text(limits: { min?: number; max: number; pattern?: RegExp }): Schema<string> {
  const { min = 0, max, pattern } = limits;
  return {
    read(value, path) {
      if (typeof value !== "string" || value.length > max || !value.isWellFormed())
        throw wrong(path, `text of at most ${max} bytes`);
      const bytes = encodeUtf8(value).length;
      if (bytes < min || bytes > max) throw wrong(path, `text of ${min} to ${max} bytes`);
      if (pattern !== undefined && !pattern.test(value)) throw wrong(path, `of the form ${pattern.source}`);
      return value;
    },
    write: (value) => value,
  };
}

/** An integer in `min … max`, both inclusive and safe. */
export function integer(min = 0, max = Number.MAX_SAFE_INTEGER): Schema<number> {
  return {
    read(value, path) {
      if (
        !Number.isSafeInteger(value) ||
        (value as number) < min ||
        (value as number) > max ||
        Object.is(value, -0)
      )
        throw wrong(path, `an integer from ${min} to ${max}`);
      return value as number;
    },
    write: (value) => value,
  };
}

export const boolean: Schema<boolean> = {
  read(value, path) {
    if (typeof value !== "boolean") throw wrong(path, "true or false");
    return value;
  },
  write: (value) => value,
};

/** Exactly this value. */
export function literal<const V extends string | number | boolean | null>(expected: V): Schema<V> {
  return {
    read(value, path) {
      if (value !== expected) throw wrong(path, JSON.stringify(expected));
      return expected;
    },
    write: () => expected,
  };
}

/** One of these texts. */
export function oneOf<const V extends readonly string[]>(values: V): Schema<V[number]> {
  return {
    read(value, path) {
      if (typeof value !== "string" || !values.includes(value))
        throw wrong(path, `one of ${values.join(", ")}`);
      return value;
    },
    write: (value) => value,
  };
}

/** `null` or the inner form. */
export function nullable<T>(inner: Schema<T>): Schema<T | null> {
  return {
    read: (value, path) => (value === null ? null : inner.read(value, path)),
    write: (value) => (value === null ? null : inner.write(value)),
  };
}

/** Lower-case hex of exactly `bytes` bytes; stays text. */
export function hex(bytes: number): Schema<Hex> {
  return {
    read(value, path) {
      if (typeof value !== "string" || !isHex(value, bytes))
        throw wrong(path, `${2 * bytes} lower-case hex digits`);
      return value;
    },
    write: (value) => value,
  };
}

/** Strict base64 of `min` to `max` bytes. */
export function base64(limits: { min?: number; max: number }): Schema<Uint8Array> {
  const { min = 0, max } = limits;
  return {
    read(value, path) {
      const bytes =
        typeof value === "string" && value.length <= 4 * Math.ceil(max / 3) ? decodeBase64(value) : undefined;
      if (bytes === undefined || bytes.length < min || bytes.length > max)
        throw wrong(path, min === max ? `base64 of ${max} bytes` : `base64 of ${min} to ${max} bytes`);
      return bytes;
    },
    write: encodeBase64,
  };
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** A name that whoever wrote the text has chosen, for a message. */
function short(name: string): string {
  return visible(name.slice(0, 32));
}

function wrong(path: string, expected: string): SchemaError {
  return new SchemaError("WRONG_FIELD", `${path === "" ? "value" : path} must be ${expected}`);
}
