import { compareBytes, concatBytes, encodeUtf8 } from "../base/bytes.ts";
import { contextConstructed, derTags } from "./der.ts";

/**
 * Writes DER (ITU-T X.690 §8, §10, §11), for the structures that are signed or hashed byte for byte. The values come
 * from our own code: what can't be written is a bug, hence RangeError.
 */
export function encodeTlv(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of content) length += part.length;
  if (length >= 0x1000000) throw new RangeError(`element of ${length} bytes`);
  if (length < 0x80) return concatBytes(Uint8Array.of(tag, length), ...content);
  if (length < 0x100) return concatBytes(Uint8Array.of(tag, 0x81, length), ...content);
  if (length < 0x10000) return concatBytes(Uint8Array.of(tag, 0x82, length >> 8, length & 0xff), ...content);
  return concatBytes(Uint8Array.of(tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff), ...content);
}

export function encodeSequence(...parts: readonly Uint8Array[]): Uint8Array {
  return encodeTlv(derTags.sequence, ...parts);
}

/** SET OF: the encoded elements in ascending order (X.690 §11.6). */
export function encodeSetOf(...elements: readonly Uint8Array[]): Uint8Array {
  return encodeTlv(derTags.set, ...[...elements].sort(compareBytes));
}

/** `[number] EXPLICIT`, or an implicitly tagged constructed type given by its content. */
export function encodeContext(number: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return encodeTlv(contextConstructed(number), ...parts);
}

/** INTEGER from a number or from the big-endian octets of a number that is not negative. */
export function encodeInteger(value: number | bigint | Uint8Array): Uint8Array {
  if (typeof value !== "object") {
    if (value < 0) throw new RangeError("negative INTEGER");
    const digits = BigInt(value).toString(16);
    return encodeInteger(Uint8Array.fromHex(digits.length % 2 === 0 ? digits : `0${digits}`));
  }
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const magnitude = value.subarray(start);
  if (magnitude.length === 0) return Uint8Array.of(derTags.integer, 1, 0);
  return (magnitude[0] ?? 0) >= 0x80
    ? encodeTlv(derTags.integer, Uint8Array.of(0), magnitude)
    : encodeTlv(derTags.integer, magnitude);
}

/** @param dotted a valid OBJECT IDENTIFIER in dotted decimals, two arcs or more */
export function encodeOid(dotted: string): Uint8Array {
  const [root = 0n, second = 0n, ...rest] = dotted.split(".").map(BigInt);
  const octets: number[] = [];
  for (const arc of [root * 40n + second, ...rest]) {
    const groups = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) groups.unshift(Number(left & 0x7fn) | 0x80);
    octets.push(...groups);
  }
  return encodeTlv(derTags.oid, Uint8Array.from(octets));
}

export function encodeOctetString(octets: Uint8Array): Uint8Array {
  return encodeTlv(derTags.octetString, octets);
}

/** BIT STRING of whole octets. */
export function encodeBitString(octets: Uint8Array): Uint8Array {
  return encodeTlv(derTags.bitString, Uint8Array.of(0), octets);
}

export function encodeUtf8String(text: string): Uint8Array {
  return encodeTlv(derTags.utf8String, encodeUtf8(text));
}

export function encodeNull(): Uint8Array {
  return Uint8Array.of(derTags.null, 0);
}

export function encodeBoolean(value: boolean): Uint8Array {
  return Uint8Array.of(derTags.boolean, 1, value ? 0xff : 0x00);
}

/** Time (RFC 5280 §4.1.2.5): UTCTime through 2049, GeneralizedTime from 2050. @param ms whole seconds count, years 1950 to 9999 */
export function encodeTime(ms: number): Uint8Array {
  const date = new Date(ms);
  const year = date.getUTCFullYear();
  if (!(year >= 1950 && year <= 9999)) throw new RangeError(`time ${ms} is outside of 1950 to 9999`);
  const digits = date.toISOString().slice(0, 19).replace(/[-:T]/g, "");
  return year < 2050
    ? encodeTlv(derTags.utcTime, encodeUtf8(`${digits.slice(2)}Z`))
    : encodeTlv(derTags.generalizedTime, encodeUtf8(`${digits}Z`));
}
