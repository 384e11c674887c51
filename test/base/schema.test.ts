import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import {
  base64,
  boolean,
  decodeJson,
  encodeJson,
  formatJson,
  hex,
  integer,
  list,
  literal,
  nullable,
  object,
  oneOf,
  parseJson,
  type Schema,
  SchemaError,
  tagged,
  text,
} from "../../src/base/schema.ts";

const wrong = (code: string) => expect.objectContaining({ name: "SchemaError", code });
const point = object({ x: integer(), y: integer() });

/** Every text must be refused with this code. */
function refuses(schema: Schema<unknown>, code: string, texts: readonly string[]): void {
  for (const each of texts) expect(() => parseJson(schema, each), each).toThrow(wrong(code));
}

describe("canonical JSON", () => {
  test("is taken and written in one form", () => {
    expect(parseJson(point, '{"x":1,"y":2}')).toEqual({ x: 1, y: 2 });
    expect(formatJson(point, { y: 2, x: 1 })).toBe('{"x":1,"y":2}');
    expect(encodeJson(point, { x: 1, y: 2 })).toEqual(encodeUtf8('{"x":1,"y":2}'));
  });

  test("decodeJson() rejects text that is too long, not UTF-8 or not JSON", () => {
    const octets = encodeUtf8('{"x":1,"y":2}');
    expect(decodeJson(point, octets, octets.length)).toEqual({ x: 1, y: 2 });
    expect(() => decodeJson(point, octets, octets.length - 1)).toThrow(wrong("TOO_LONG"));
    expect(() => decodeJson(point, Uint8Array.of(0x22, 0xff, 0x22), 10)).toThrow(wrong("NOT_UTF8"));
    refuses(point, "NOT_JSON", [
      "",
      " ",
      "{",
      '{"x":1,"y":2}x',
      '{"x":1,"y":2}{}',
      "{'x':1}",
      '{"x":01,"y":2}',
      "\ufeff{}",
    ]);
  });

  test("rejects another order, white space, a trailing line end and needless escapes", () => {
    refuses(point, "NOT_CANONICAL", [
      '{"y":2,"x":1}',
      '{"x":1, "y":2}',
      ' {"x":1,"y":2}',
      '{"x":1,"y":2}\n',
      '{"\\u0078":1,"y":2}',
    ]);
  });

  test("rejects a field that stands twice, whichever comes last", () => {
    refuses(point, "NOT_CANONICAL", ['{"x":1,"x":1,"y":2}', '{"x":9,"x":1,"y":2}', '{"x":1,"y":2,"y":2}']);
  });

  test("rejects unknown fields, also those with names of the language", () => {
    refuses(point, "WRONG_FIELD", [
      '{"x":1,"y":2,"z":3}',
      '{"x":1,"y":2,"__proto__":3}',
      '{"x":1,"y":2,"constructor":{}}',
      '{"x":1,"y":2,"":0}',
    ]);
  });

  test("rejects missing fields, also where the language would supply one", () => {
    refuses(point, "WRONG_FIELD", ["{}", '{"x":1}', "[]", "null", '"x"', "1", '{"__proto__":{"x":1,"y":2}}']);
    refuses(object({ toString: integer() }), "WRONG_FIELD", ["{}"]);
  });

  test("rejects numbers in any other form, minus zero and what is no safe integer", () => {
    const n = object({ n: integer() });
    refuses(n, "NOT_CANONICAL", ['{"n":1.0}', '{"n":1e0}', '{"n":10e-1}', '{"n":0.0}', '{"n":1E2}']);
    refuses(n, "WRONG_FIELD", [
      '{"n":-0}',
      '{"n":-0.0}',
      '{"n":1.5}',
      '{"n":-1}',
      '{"n":9007199254740992}',
      '{"n":1e999}',
      '{"n":"1"}',
      '{"n":null}',
      '{"n":true}',
    ]);
    expect(parseJson(n, '{"n":9007199254740991}')).toEqual({ n: Number.MAX_SAFE_INTEGER });
    // Rounds to a safe integer, but is another text.
    refuses(n, "NOT_CANONICAL", ['{"n":1.00000000000000001}']);
  });

  test("rejects lone surrogates, escaped as well", () => {
    const t = object({ t: text({ max: 10 }) });
    refuses(t, "WRONG_FIELD", ['{"t":"\\ud800"}', '{"t":"\\udc00\\ud800"}', '{"t":"\ud800"}']);
    refuses(t, "NOT_CANONICAL", [
      '{"t":"\\ud83d\\ude00"}',
      '{"t":"\\u00e9"}',
      '{"t":"\\/"}',
      '{"t":"\\u000a"}',
      '{"t":"\\u001F"}',
    ]);
    expect(parseJson(t, '{"t":"😀\\n\\u001f"}')).toEqual({ t: "😀\n\u001f" });
  });

  test("rejects deep nesting without trouble", () => {
    for (const depth of [100, 10_000, 130_000])
      for (const deep of [
        "[".repeat(depth) + "]".repeat(depth),
        '{"x":'.repeat(depth) + 1 + "}".repeat(depth),
      ])
        expect(() => parseJson(point, deep)).toThrow(SchemaError);
  });

  test("anything else than a SchemaError never comes out, and what comes out goes back in", () => {
    const schema = tagged("type", {
      a: object({ type: literal("a"), list: list(nullable(integer(-5, 5)), 3) }),
      b: object({ type: literal("b"), text: text({ max: 8 }), flag: boolean }),
    });
    const near = fc.oneof(
      fc.json(),
      fc
        .record({
          type: fc.constantFrom("a", "b", "c"),
          list: fc.array(fc.integer({ min: -6, max: 6 }), { maxLength: 4 }),
        })
        .map((value) => JSON.stringify(value)),
      fc
        .record({ type: fc.constant("b"), text: fc.string({ maxLength: 9 }), flag: fc.boolean() })
        .map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(near, (json) => {
        try {
          expect(formatJson(schema, parseJson(schema, json))).toBe(json);
        } catch (error) {
          expect(error).toBeInstanceOf(SchemaError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("schemas", () => {
  test("integer() has inclusive limits", () => {
    const n = integer(1, 3);
    for (const good of ["1", "2", "3"]) expect(parseJson(n, good)).toBe(Number(good));
    refuses(n, "WRONG_FIELD", ["0", "4"]);
  });

  test("text() counts bytes of UTF-8, inclusive, and applies the pattern", () => {
    const t = text({ min: 2, max: 4 });
    expect(parseJson(t, '"éé"')).toBe("éé");
    expect(parseJson(t, '"😀"')).toBe("😀");
    refuses(t, "WRONG_FIELD", ['"a"', '"ééa"', '"abcde"', "7"]);
    refuses(text({ max: 4, pattern: /^[a-z]+$/ }), "WRONG_FIELD", ['"aB"', '""', '"a\\n"']);
  });

  test("list() has an inclusive limit and is no object", () => {
    const l = list(boolean, 2);
    expect(parseJson(l, "[true,false]")).toEqual([true, false]);
    refuses(l, "WRONG_FIELD", ["[true,true,true]", "[1]", '{"length":0}', "null", '{"0":true}']);
  });

  test("hex() and base64() take exactly their length and form", () => {
    expect<string>(parseJson(hex(2), '"00ff"')).toBe("00ff");
    refuses(hex(2), "WRONG_FIELD", ['"00FF"', '"00f"', '"00ff00"', "0", "null"]);
    expect(parseJson(base64({ min: 1, max: 2 }), '"AAA="')).toEqual(new Uint8Array(2));
    refuses(base64({ min: 1, max: 2 }), "WRONG_FIELD", ['""', '"AAAA"', '"AAB="', '"AA"', "[0]"]);
  });

  test("literal(), oneOf(), boolean and nullable() take nothing near", () => {
    refuses(literal("a"), "WRONG_FIELD", ['"b"', "null", '["a"]']);
    refuses(literal(0), "WRONG_FIELD", ["false", '""', "null"]);
    refuses(oneOf(["a", "b"]), "WRONG_FIELD", ['"c"', '"toString"', "0"]);
    refuses(boolean, "WRONG_FIELD", ["0", "1", '"true"', "null"]);
    expect(parseJson(nullable(boolean), "null")).toBeNull();
    refuses(nullable(boolean), "WRONG_FIELD", ["0", '"null"']);
  });

  test("tagged() rejects unknown tags, also those with names of the language", () => {
    const t = tagged("type", { a: object({ type: literal("a") }) });
    expect(parseJson(t, '{"type":"a"}')).toEqual({ type: "a" });
    refuses(t, "WRONG_FIELD", [
      '{"type":"b"}',
      '{"type":"constructor"}',
      '{"type":["a"]}',
      "{}",
      "null",
      '"a"',
      "[]",
    ]);
  });

  test("errors name the field and show nothing of a peer's text unescaped", () => {
    const nested = object({ a: list(object({ b: integer() }), 2) });
    expect(() => parseJson(nested, '{"a":[{"b":1},{"b":"x"}]}')).toThrow("a[1].b");
    const message = (() => {
      try {
        parseJson(point, `{"x":1,"y":2,"\\u001b[2J\u007f\u009b\u202e${"long".repeat(100)}":1}`);
      } catch (error) {
        return error instanceof Error ? error.message : "";
      }
      return "";
    })();
    expect(message).toContain("must be absent");
    expect(message).not.toMatch(/[\u001b\u007f\u009b\u202e]/);
    expect(message.length).toBeLessThan(100);
  });
});
