import { describe, expect, test } from "bun:test";
import { type InputLine, linesOf } from "../../src/cli/chatInput.ts";

async function* chunks(...parts: readonly (string | readonly number[])[]): AsyncGenerator<Uint8Array> {
  for (const part of parts)
    yield typeof part === "string" ? new TextEncoder().encode(part) : Uint8Array.from(part);
}

async function read(...parts: readonly (string | readonly number[])[]): Promise<InputLine[]> {
  return await Array.fromAsync(linesOf(chunks(...parts)));
}

describe("linesOf()", () => {
  test("splits at LF and CR LF, keeps empty lines, and counts a last line without its end", async () => {
    expect(await read("one\r\n\ntwo\nthr", "ee")).toEqual(["one", "", "two", "three"]);
    expect(await read("one\n")).toEqual(["one"]);
    expect(await read()).toEqual([]);
  });

  test("puts characters together that two reads cut", async () => {
    expect(await read([0xf0, 0x9f], [0x99, 0x82, 0x0a])).toEqual(["🙂"]);
  });

  test("drops a byte order mark at the beginning only", async () => {
    expect(await read("\ufeff/to bob\n\ufeffx")).toEqual(["/to bob", "\ufeffx"]);
  });

  test("refuses a line that is not UTF-8 and goes on with the next", async () => {
    expect(await read("a\n", [0x67, 0xfc, 0x0a], "b\n")).toEqual([
      "a",
      { refused: "an input line is not UTF-8: it was not sent" },
      "b",
    ]);
  });

  test("accepts 262144 bytes, refuses one more, and goes on with the next line", async () => {
    const longest = "x".repeat(256 * 1024);
    expect(await read(longest, "\n", longest, "x\nafter")).toEqual([
      longest,
      { refused: "an input line has at most 262144 bytes, this has 262145: it was not sent" },
      "after",
    ]);
  });
});
