import { describe, expect, test } from "bun:test";
import { type Hex, isHex } from "../../src/base/hex.ts";
import { comparisonCode } from "../../src/evidence/comparisonCode.ts";
import { digest } from "../log/conversation.ts";

function hex(text: string): Hex {
  if (!isHex(text)) throw new Error("no hex");
  return text;
}

describe("comparisonCode()", () => {
  // Computed with Python's hashlib and integers.
  test.each([
    ["00".repeat(16), 1, "00".repeat(32), "03032 00210 15060 18849 88104 35066 29991 33483"],
    [
      "000102030405060708090a0b0c0d0e0f",
      5,
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "81369 99696 79436 37943 61064 86154 31235 64273",
    ],
    [
      "ff".repeat(16),
      Number.MAX_SAFE_INTEGER,
      "ff".repeat(32),
      "65010 83305 00934 96413 87419 98081 83312 26204",
    ],
    // Leading zeros are kept.
    [
      "00".repeat(16),
      841,
      "7125e777a6b199fc4e8c2a0d024215e393c06bf775c217a5f2d8d1a6a7c98d96",
      "00029 02767 52164 65577 24793 25201 63465 95424",
    ],
  ])("is what the specification says for %s at %d", (conversation, size, root, code) => {
    expect(comparisonCode({ conversation: hex(conversation), size, root: hex(root) })).toBe(code);
  });

  test("is another one for another conversation, size or root", () => {
    const prefix = { conversation: digest("a"), size: 7, root: digest("root") };
    const codes = [
      prefix,
      { ...prefix, conversation: digest("b") },
      { ...prefix, size: 8 },
      { ...prefix, root: digest("other") },
    ].map(comparisonCode);
    expect(new Set(codes).size).toBe(4);
    for (const code of codes) expect(code).toMatch(/^[0-9]{5}( [0-9]{5}){7}$/);
  });
});
