import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { visible } from "../../src/base/visible.ts";

describe("visible()", () => {
  test("leaves text in any script alone, emoji sequences too", () => {
    for (const text of ["", "plain ASCII ~!", "Grüße, 世界, שלום, नमस्ते", "👩‍👩‍👧‍👦", "می‌خواهم", "e\u0301"])
      expect(visible(text)).toBe(text);
  });

  test("escapes what moves the cursor, ends a line or rings", () => {
    expect(visible("\u001b[2Ja\r\nb\u0007\u0008\u007f\u0000")).toBe(
      "\\u{1b}[2Ja\\u{d}\\u{a}b\\u{7}\\u{8}\\u{7f}\\u{0}",
    );
    expect(visible("\u009b31m\u0085\u2028\u2029")).toBe("\\u{9b}31m\\u{85}\\u{2028}\\u{2029}");
  });

  test("escapes what reorders or hides text", () => {
    const hidden = [
      0xad, 0x61c, 0x180e, 0x200b, 0x200e, 0x200f, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0xfeff, 0xfff9,
    ];
    for (const point of [...hidden, 0xe0001, 0xe007f])
      expect(visible(`a${String.fromCodePoint(point)}b`)).toBe(`a\\u{${point.toString(16)}}b`);
  });

  test("escapes lone surrogates and not pairs", () => {
    expect(visible("\ud800a\udc00")).toBe("\\u{d800}a\\u{dc00}");
    expect(visible("\u{1f600}")).toBe("\u{1f600}");
  });

  test("keeps what the caller allows", () => {
    expect(visible("a\nb\tc", "\n")).toBe("a\nb\\u{9}c");
  });

  test("leaves no control or bidirectional character of any text, and is idempotent", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const shown = visible(text);
        expect(shown).not.toMatch(/[\p{Cc}\p{Bidi_Control}\p{Surrogate}\u2028\u2029]/u);
        expect(visible(shown)).toBe(shown);
      }),
    );
  });
});
