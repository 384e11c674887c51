import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "../../src/base/base64.ts";
import {
  compareBytes,
  concatBytes,
  decodeUint32,
  decodeUtf8,
  encodeUint32,
  encodeUtf8,
  equalBytes,
  equalBytesConstantTime,
} from "../../src/base/bytes.ts";
import { decodeHex, encodeHex, isHex } from "../../src/base/hex.ts";

const bytes = (...octets: number[]) => Uint8Array.from(octets);

describe("hex", () => {
  test("encodeHex() writes two lower-case digits a byte", () => {
    expect<string>(encodeHex(bytes(0x00, 0x0a, 0xff))).toBe("000aff");
    expect<string>(encodeHex(bytes())).toBe("");
  });

  test("decodeHex() takes back what encodeHex() gives", () => {
    fc.assert(fc.property(fc.uint8Array(), (octets) => expect(decodeHex(encodeHex(octets))).toEqual(octets)));
  });

  test("decodeHex() rejects capitals, odd lengths, prefixes, separators, white space and other digits", () => {
    for (const text of ["0A", "aB", "0", "abc", "0x00", "00:11", " 00", "00 ", "00\n", "0g", "٠٠", "００"])
      expect(decodeHex(text)).toBeUndefined();
  });

  test("decodeHex() rejects another length than the one asked for", () => {
    expect(decodeHex("0011", 2)).toEqual(bytes(0, 0x11));
    expect(decodeHex("0011", 1)).toBeUndefined();
    expect(decodeHex("0011", 3)).toBeUndefined();
    expect(decodeHex("", 1)).toBeUndefined();
    expect(isHex("", 0)).toBe(true);
  });
});

describe("base64", () => {
  test("encodeBase64() gives the values of RFC 4648 §10", () => {
    const values = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
    for (const [length, expected] of values.entries()) {
      const octets = encodeUtf8("foobar".slice(0, length));
      expect(encodeBase64(octets)).toBe(expected);
      expect(decodeBase64(expected)).toEqual(octets);
    }
  });

  test("decodeBase64() takes back what encodeBase64() gives", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (octets) => expect(decodeBase64(encodeBase64(octets))).toEqual(octets)),
    );
  });

  test("decodeBase64() rejects missing and superfluous padding", () => {
    for (const text of ["Zg", "Zg=", "Zg===", "Zm9v=", "Zm9v====", "=", "====", "Zg==Zg=="])
      expect(decodeBase64(text)).toBeUndefined();
  });

  test("decodeBase64() rejects unused bits that are not zero", () => {
    for (const text of ["Zh==", "Zm9=", "//==", "AAB="]) expect(decodeBase64(text)).toBeUndefined();
  });

  test("decodeBase64() rejects white space, line breaks, the URL alphabet and everything else", () => {
    for (const text of ["Zm9v\n", " Zm9v", "Zm 9v", "Zm9\n", "-_-_", "Zm9*", "Zm9\u0000", "Zm9é", "Ｚｍ９ｖ"])
      expect(decodeBase64(text)).toBeUndefined();
  });

  test("decodeBase64() accepts one text for each value", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ABgwZ/+="), maxLength: 12 }), (text) => {
        const octets = decodeBase64(text);
        if (octets !== undefined) expect(encodeBase64(octets)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("bytes", () => {
  test("concatBytes() joins any number of parts", () => {
    expect(concatBytes()).toEqual(bytes());
    expect(concatBytes(bytes(1), bytes(), bytes(2, 3))).toEqual(bytes(1, 2, 3));
  });

  test("equalBytes() and equalBytesConstantTime() agree with the bytes", () => {
    for (const equal of [equalBytes, equalBytesConstantTime]) {
      expect(equal(bytes(), bytes())).toBe(true);
      expect(equal(bytes(1, 2), bytes(1, 2))).toBe(true);
      expect(equal(bytes(1, 2), bytes(1, 3))).toBe(false);
      expect(equal(bytes(0, 2), bytes(1, 2))).toBe(false);
      expect(equal(bytes(1), bytes(1, 0))).toBe(false);
      expect(equal(bytes(1, 0), bytes(1))).toBe(false);
    }
  });

  test("compareBytes() orders unsigned, a prefix first", () => {
    const sorted = [
      bytes(),
      bytes(0),
      bytes(0, 0),
      bytes(1),
      bytes(0x7f),
      bytes(0x80),
      bytes(0xff),
      bytes(0xff, 0),
    ];
    expect(sorted.toReversed().sort(compareBytes)).toEqual(sorted);
  });

  test("encodeUint32() and decodeUint32() are big-endian and unsigned", () => {
    expect(encodeUint32(0x01020304)).toEqual(bytes(1, 2, 3, 4));
    expect(encodeUint32(0xffff_ffff)).toEqual(bytes(255, 255, 255, 255));
    expect(decodeUint32(bytes(9, 0xff, 0, 0, 1).subarray(1))).toBe(0xff00_0001);
    expect(decodeUint32(bytes(9, 0, 0, 0, 5), 1)).toBe(5);
  });

  test("decodeUtf8() rejects what is not UTF-8 and keeps a byte order mark", () => {
    for (const octets of [
      bytes(0xff),
      bytes(0xc0, 0x80),
      bytes(0xc1, 0xbf),
      bytes(0xe0, 0x80, 0x80),
      bytes(0xed, 0xa0, 0x80),
      bytes(0xf4, 0x90, 0x80, 0x80),
      bytes(0xe2, 0x82),
      bytes(0x80),
    ])
      expect(decodeUtf8(octets)).toBeUndefined();
    expect(decodeUtf8(bytes(0xef, 0xbb, 0xbf, 0x61))).toBe("\ufeffa");
    expect(decodeUtf8(encodeUtf8("ü€😀"))).toBe("ü€😀");
  });
});
