import { describe, expect, test } from "bun:test";
import { bigintFromBytes, bitLength, bytesFromBigint } from "../../src/crypto/bigEndian.ts";
import { derTag, encodeDer, encodeUnsigned, readDer, unsignedInteger } from "../../src/crypto/der.ts";
import { hex } from "./providers.ts";

describe("readDer()", () => {
  test("reads what encodeDer() wrote, for each length of the length", () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65_535]) {
      const content = new Uint8Array(length).fill(7);
      const encoded = encodeDer(derTag.octetString, content);
      expect(readDer(encoded, 0)).toEqual({ tag: derTag.octetString, content, end: encoded.length });
      expect(readDer(encoded.subarray(0, encoded.length - 1), 0)).toBeUndefined();
    }
  });

  test("refuses lengths in more octets than needed, in more than two, indefinite and reserved", () => {
    expect(readDer(hex("04020102"), 0)).toBeDefined();
    for (const text of [
      "0481020102",
      "048200020102",
      `048200ff${"00".repeat(255)}`,
      "04830000020102",
      `0483010000${"00".repeat(65_536)}`,
      "0484000000020102",
      "048001020000",
      "04ff0102",
    ])
      expect(readDer(hex(text), 0)).toBeUndefined();
  });

  test("refuses tags of several octets and input that ends early", () => {
    for (const text of ["", "04", "0401", "0481", "0482", "048201", "1f8101", "3f0100"])
      expect(readDer(hex(text), 0)).toBeUndefined();
    expect(readDer(hex("0400"), 2)).toBeUndefined();
    expect(readDer(hex("0400"), 3)).toBeUndefined();
  });
});

test("unsignedInteger() refuses negative numbers, superfluous octets and no octets", () => {
  expect(unsignedInteger(hex("00"))).toEqual(new Uint8Array(0));
  expect(unsignedInteger(hex("7f"))).toEqual(hex("7f"));
  expect(unsignedInteger(hex("0080"))).toEqual(hex("80"));
  for (const text of ["", "80", "ff", "0000", "007f", "000080"])
    expect(unsignedInteger(hex(text))).toBeUndefined();
});

test("encodeUnsigned() takes the fewest octets and keeps the sign away", () => {
  expect(encodeUnsigned(new Uint8Array(0))).toEqual(hex("020100"));
  expect(encodeUnsigned(hex("0000"))).toEqual(hex("020100"));
  expect(encodeUnsigned(hex("00007f"))).toEqual(hex("02017f"));
  expect(encodeUnsigned(hex("80"))).toEqual(hex("02020080"));
});

test("numbers and bytes are converted both ways, leading zeros included", () => {
  for (const [value, bits] of [
    [0n, 0],
    [1n, 1],
    [2n, 2],
    [7n, 3],
    [8n, 4],
    [255n, 8],
    [256n, 9],
    [2n ** 2047n, 2048],
    [2n ** 2048n - 1n, 2048],
  ] as const) {
    expect(bitLength(value)).toBe(bits);
    expect(bigintFromBytes(bytesFromBigint(value, 257))).toBe(value);
    expect(bytesFromBigint(value, 257)).toHaveLength(257);
  }
  expect(bigintFromBytes(new Uint8Array(0))).toBe(0n);
});
