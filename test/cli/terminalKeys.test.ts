import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Key, KeyDecoder } from "../../src/cli/terminalKeys.ts";
import { PasteGuard } from "../../src/cli/terminalPaste.ts";

const text = (characters: string): Key => ({ kind: "text", text: characters });
const press = (name: string): Key => ({ kind: "press", name });
const paste = (characters: string): Key => ({ kind: "paste", text: characters });

function decode(input: string): Key[] {
  const decoder = new KeyDecoder();
  return [...decoder.push(Buffer.from(input)), ...decoder.flush()];
}

describe("KeyDecoder", () => {
  test.each([
    ["plain text", "hé你👍", [text("hé你👍")]],
    [
      "Enter, Tab, Backspace and control letters",
      "\r\t\u007f\u0001\u001a",
      ["enter", "tab", "backspace", "C-a", "C-z"].map(press),
    ],
    [
      "cursor keys in both forms",
      "\u001b[A\u001bOB\u001b[H\u001bOF\u001b[3~",
      ["up", "down", "home", "end", "delete"].map(press),
    ],
    ["modifiers", "\u001b[1;5C\u001b[1;3D\u001b[3;5~", ["C-right", "M-left", "C-delete"].map(press)],
    [
      "Alt as a prefix",
      "\u001bb\u001b\u007f\u001b\r\u001bF",
      ["M-b", "M-backspace", "M-enter", "M-f"].map(press),
    ],
    [
      "Shift-Enter and a letter as code points",
      "\u001b[13;2u\u001b[97;5u\u001b[228u",
      [press("S-enter"), press("C-a"), text("ä")],
    ],
    ["a paste with its line ends", "a\u001b[200~x\r\ny\u001b[201~b", [text("a"), paste("x\r\ny"), text("b")]],
    ["escape alone", "\u001b", [press("escape")]],
  ])("reads %s", (_, input, keys) => {
    expect(decode(input)).toEqual(keys);
  });

  test("swallows what is no key: answers to queries, unknown and broken sequences", () => {
    expect(
      decode("a\u001b]11;rgb:ffff/ffff/ffff\u0007b\u001bP1$r0m\u001b\\c\u001b[?62;4c\u001b[99~d"),
    ).toEqual(["a", "b", "c", "d"].map(text));
    expect(decode("\u001b[1\u0003")).toEqual([press("C-c")]);
  });

  test("gives up on a sequence that never ends", () => {
    expect(decode(`\u001b]${"x".repeat(1000)}`)).toEqual([]);
    const decoder = new KeyDecoder();
    decoder.push(Buffer.from(`\u001b[${"1;".repeat(1000)}`));
    expect(decoder.push(Buffer.from("a"))).toEqual([text("a")]);
  });

  test("lets Ctrl-C through after a paste that lost its end", () => {
    const decoder = new KeyDecoder();
    expect(decoder.push(Buffer.from("\u001b[200~lost"))).toEqual([]);
    expect(decoder.isPasting).toBe(true);
    expect(decoder.flush()).toEqual([paste("lost")]);
    expect(decoder.push(Buffer.from("\u0003"))).toEqual([press("C-c")]);
  });

  test("reads the same keys however the bytes are cut", () => {
    const pieces = [
      "a",
      "你",
      "👨‍👩‍👧",
      "\r",
      "\u001b[1;5C",
      "\u001bb",
      "\u001b[200~p\u001b[x\r\n\u001b[201~",
      "\u001bOA",
      "\u0003",
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces)), fc.array(fc.nat(200)), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(""));
        const decoder = new KeyDecoder();
        const keys: Key[] = [];
        const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
        for (const [i, end] of ends.entries())
          keys.push(...decoder.push(bytes.subarray(ends[i - 1] ?? 0, end)));
        expect(joinTexts(keys)).toEqual(joinTexts(decode(parts.join(""))));
      }),
    );
  });
});

describe("PasteGuard", () => {
  test("leaves typed lines alone", () => {
    const guard = new PasteGuard();
    expect(guard.judge([text("hello"), press("enter")], 0)).toEqual([text("hello"), press("enter")]);
    expect(guard.judge([press("enter"), press("enter")], 1)).toEqual([press("enter"), press("enter")]);
  });

  test("takes lines that come at once for a paste, its last line end included", () => {
    const lines = [text("one"), press("enter"), text("two"), press("enter")];
    const guard = new PasteGuard();
    expect(guard.judge(lines, 0)).toEqual([paste("one\ntwo\n")]);
    expect(guard.judge([text("three"), press("enter")], 50)).toEqual([paste("three\n")]);
    expect(guard.judge([press("enter")], 1000)).toEqual([press("enter")]);
  });

  test("keeps other keys in their places", () => {
    expect(new PasteGuard().judge([text("a"), press("enter"), press("C-c"), text("b")], 0)).toEqual([
      paste("a\n"),
      press("C-c"),
      paste("b"),
    ]);
  });
});

function joinTexts(keys: readonly Key[]): Key[] {
  const joined: Key[] = [];
  for (const key of keys) {
    const last = joined.at(-1);
    if (key.kind === "text" && last?.kind === "text") joined[joined.length - 1] = text(last.text + key.text);
    else joined.push(key);
  }
  return joined;
}
