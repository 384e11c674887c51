import { describe, expect, test } from "bun:test";
import { checkDer, DerReader, readDer } from "../../src/pki/der.ts";
import { decodeOid } from "../../src/pki/derScalars.ts";
import {
  encodeInteger,
  encodeOid,
  encodeSequence,
  encodeSetOf,
  encodeTime,
  encodeTlv,
} from "../../src/pki/derWriter.ts";
import { codeOf } from "./codeOf.ts";

const bytes = (hex: string) => Uint8Array.fromHex(hex.replaceAll(" ", ""));
const reader = (hex: string) => new DerReader(bytes(hex));

describe("DerReader", () => {
  test.each([
    ["an indefinite length", "30 80 05 00 00 00"],
    ["a length in long form that fits the short one", "04 81 01 00"],
    ["a length with a leading zero octet", "04 82 00 80"],
    ["a length of four octets", "04 84 00 00 00 01 00"],
    ["an element that is cut short", "04 02 00"],
    ["a length that is cut short", "04 82 01"],
    ["a tag alone", "04"],
    ["nothing", ""],
    ["tag zero", "00 00"],
    ["a tag number of more than one octet", "1f 21 00"],
    ["bytes after the end", "05 00 00"],
  ])("readDer() rejects %s", (_what, hex) => {
    expect(codeOf(() => readDer(bytes(hex)))).toBe("DER_MALFORMED");
  });

  test("readDer() rejects another tag than the one asked for", () => {
    expect(codeOf(() => readDer(bytes("0500"), 0x30))).toBe("DER_MALFORMED");
  });

  test.each([
    ["an empty INTEGER", "02 00"],
    ["a padded INTEGER", "02 02 00 7f"],
    ["a padded negative INTEGER", "02 02 ff 80"],
  ])("integer() rejects %s", (_what, hex) => {
    expect(codeOf(() => reader(hex).integer())).toBe("DER_MALFORMED");
  });

  test("smallInteger() takes 0 to its maximum, no more and nothing negative", () => {
    expect(reader("020100").smallInteger(5)).toBe(0);
    expect(reader("020105").smallInteger(5)).toBe(5);
    expect(reader("0204 7fffffff").smallInteger(0x7fffffff)).toBe(0x7fffffff);
    for (const hex of ["020106", "0201ff", "02050100000000"])
      expect(codeOf(() => reader(hex).smallInteger(5))).toBe("DER_MALFORMED");
  });

  test("boolean() takes 00 and ff only", () => {
    expect(reader("010100").boolean()).toBe(false);
    expect(reader("0101ff").boolean()).toBe(true);
    for (const hex of ["010101", "0100", "0102ffff"])
      expect(codeOf(() => reader(hex).boolean())).toBe("DER_MALFORMED");
  });

  test.each([
    ["no count of unused bits", "03 00"],
    ["more than seven unused bits", "03 02 08 00"],
    ["unused bits of nothing", "03 01 01"],
    ["unused bits that are set", "03 02 01 01"],
  ])("bitString() rejects %s", (_what, hex) => {
    expect(codeOf(() => reader(hex).bitString())).toBe("DER_MALFORMED");
  });

  test("bitStringOctets() rejects unused bits", () => {
    expect(reader("0302 00aa").bitStringOctets()).toEqual(bytes("aa"));
    expect(codeOf(() => reader("0302 01aa").bitStringOctets())).toBe("DER_MALFORMED");
  });

  test.each([
    ["2.5.4.3", "55 04 03"],
    ["1.2.840.113549.1.1.11", "2a 86 48 86 f7 0d 01 01 0b"],
    ["2.999.3", "88 37 03"],
    ["0.39", "27"],
    ["1.39", "4f"],
    [
      "2.25.340282366920938463463374607431768211455",
      "69 83 ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff 7f",
    ],
  ])("decodeOid() and encodeOid() agree on %s", (dotted, hex) => {
    expect(decodeOid(bytes(hex))).toBe(dotted);
    expect(encodeOid(dotted).subarray(2)).toEqual(bytes(hex));
  });

  test.each([
    ["nothing", ""],
    ["an arc cut short", "55 84"],
    ["a padded arc", "55 80 04"],
    ["a padded first arc", "80 55"],
    ["65 octets", "01".repeat(65)],
  ])("decodeOid() rejects %s", (_what, hex) => {
    expect(codeOf(() => decodeOid(bytes(hex)))).toBe("DER_MALFORMED");
  });
});

describe("time()", () => {
  const time = (tag: number, text: string) =>
    new DerReader(encodeTlv(tag, new TextEncoder().encode(text))).time();

  test("reads UTCTime with the century of RFC 5280, and GeneralizedTime", () => {
    expect(time(0x17, "500101000000Z")).toBe(Date.UTC(1950, 0, 1));
    expect(time(0x17, "491231235959Z")).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
    expect(time(0x18, "20500101000000Z")).toBe(Date.UTC(2050, 0, 1));
    expect(time(0x18, "20240229120000Z")).toBe(Date.UTC(2024, 1, 29, 12));
    expect(time(0x18, "99991231235959Z")).toBe(Date.UTC(9999, 11, 31, 23, 59, 59));
  });

  test.each([
    [0x17, "2601010000Z"],
    [0x17, "260101000000+0100"],
    [0x17, "260101000000"],
    [0x17, "260230000000Z"],
    [0x17, "250229000000Z"],
    [0x17, "260101240000Z"],
    [0x17, "260101006000Z"],
    [0x17, "260101000060Z"],
    [0x17, "261301000000Z"],
    [0x17, "260001000000Z"],
    [0x17, "26010100000 Z"],
    [0x18, "20260101000000.5Z"],
    [0x18, "260101000000Z"],
    [0x04, "260101000000Z"],
  ])("rejects tag %d with %s", (tag, text) => {
    expect(codeOf(() => time(tag, text))).toBe("DER_MALFORMED");
  });

  test("encodeTime() writes UTCTime through 2049 and GeneralizedTime from 2050", () => {
    for (const ms of [
      Date.UTC(1950, 0, 1),
      Date.UTC(2049, 11, 31, 23, 59, 59),
      Date.UTC(2050, 0, 1),
      Date.UTC(9999, 0, 1),
    ])
      expect(new DerReader(encodeTime(ms)).time()).toBe(ms);
    expect(encodeTime(Date.UTC(2049, 11, 31))[0]).toBe(0x17);
    expect(encodeTime(Date.UTC(2050, 0, 1))[0]).toBe(0x18);
    expect(() => encodeTime(Date.UTC(1949, 0, 1))).toThrow(RangeError);
  });
});

describe("checkDer()", () => {
  test("accepts what the writer writes", () => {
    checkDer(
      encodeSequence(encodeSetOf(encodeInteger(300), encodeInteger(2)), encodeOid("1.2.3"), encodeSequence()),
    );
  });

  test.each([
    ["a SET OF that is not sorted", "31 06 02 01 02 02 01 01"],
    ["a constructed OCTET STRING", "24 03 04 01 00"],
    ["a primitive SEQUENCE", "10 00"],
    ["a BOOLEAN of 01, deep inside", "30 05 30 03 01 01 01"],
    ["a NULL with content", "05 01 00"],
    ["a padded INTEGER inside of a context tag", "a0 04 02 02 00 01"],
    ["bytes after the end", "05 00 05 00"],
    ["an element that leaves its parent", "30 02 04 02 00 00"],
  ])("rejects %s", (_what, hex) => {
    expect(codeOf(() => checkDer(bytes(hex)))).toBe("DER_MALFORMED");
  });

  test("rejects deep nesting without running out of stack", () => {
    let nested = encodeSequence();
    for (let i = 0; i < 40; i++) nested = encodeSequence(nested);
    expect(codeOf(() => checkDer(nested))).toBe("DER_MALFORMED");
  });
});

test("encodeTlv() writes minimal lengths", () => {
  for (const length of [0, 127, 128, 255, 256, 65_535, 65_536])
    expect(readDer(encodeTlv(0x04, new Uint8Array(length))).content.length).toBe(length);
});
