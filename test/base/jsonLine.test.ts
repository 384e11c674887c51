import { expect, test } from "bun:test";
import { jsonLine } from "../../src/base/jsonLine.ts";

test("jsonLine() escapes what ends a line or drives a terminal, and keeps the value", () => {
  const value = {
    text: "a\u0085b\u2028c\u2029d\u009b31m\u007f\u202e\u2066\ufeff\n\u001b[2J",
    emoji: "👩‍👩‍👧 ü",
  };
  const line = jsonLine(value);
  expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/);
  expect(line).toContain("\\u0085b\\u2028c\\u2029d\\u009b31m\\u007f\\u202e\\u2066\\ufeff\\n\\u001b[2J");
  expect(line).toContain("👩‍👩‍👧 ü");
  expect(JSON.parse(line)).toEqual(value);
});
