import { PkiError } from "./pkiError.ts";

/**
 * The content octets of DER's universal primitive types (X.690 §8, §11): each function refuses every form but the one
 * that DER allows, with `DER_MALFORMED`.
 */
export function checkBoolean(content: Uint8Array): void {
  if (content.length !== 1 || (content[0] !== 0x00 && content[0] !== 0xff)) throw malformedDer("BOOLEAN");
}

export function checkMinimalInteger(content: Uint8Array): void {
  const first = content[0];
  if (first === undefined) throw malformedDer("empty INTEGER");
  const second = content[1];
  if (second !== undefined && ((first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80)))
    throw malformedDer("INTEGER not minimal");
}

export function checkBitString(content: Uint8Array): void {
  const unused = content[0];
  if (unused === undefined || unused > 7 || (unused > 0 && content.length === 1))
    throw malformedDer("BIT STRING");
  if (((content[content.length - 1] ?? 0) & ((1 << unused) - 1)) !== 0 && unused > 0)
    throw malformedDer("BIT STRING padding");
}

export function checkOid(content: Uint8Array): void {
  if (content.length === 0 || content.length > 64 || (content[content.length - 1] ?? 0) >= 0x80)
    throw malformedDer("OBJECT IDENTIFIER");
  let first = true;
  for (const byte of content) {
    if (first && byte === 0x80) throw malformedDer("OBJECT IDENTIFIER not minimal");
    first = byte < 0x80;
  }
}

/** @param content the content octets of an OBJECT IDENTIFIER. @returns dotted decimals */
export function decodeOid(content: Uint8Array): string {
  checkOid(content);
  let text = "";
  let arc = 0n;
  let small = 0;
  let digits = 0;
  for (const byte of content) {
    digits++;
    if (digits <= 4) small = small * 128 + (byte & 0x7f);
    else arc = (digits === 5 ? BigInt(small) : arc) * 128n + BigInt(byte & 0x7f);
    if (byte >= 0x80) continue;
    if (text !== "") text += `.${digits <= 4 ? small : arc}`;
    else {
      const value = digits <= 4 ? BigInt(small) : arc;
      const root = value < 40n ? 0n : value < 80n ? 1n : 2n;
      text = `${root}.${value - root * 40n}`;
    }
    small = 0;
    digits = 0;
  }
  return text;
}

/**
 * @param content the content octets of a Time
 * @param yearDigits 2: UTCTime, 4: GeneralizedTime
 * @returns ms since the epoch
 */
export function decodeTime(content: Uint8Array, yearDigits: 2 | 4): number {
  if (content.length !== yearDigits + 11 || content[content.length - 1] !== 0x5a)
    throw malformedDer("time form");
  for (let i = 0; i < content.length - 1; i++) {
    const byte = content[i] ?? 0;
    if (byte < 0x30 || byte > 0x39) throw malformedDer("time digits");
  }
  const two = (at: number) => ((content[at] ?? 0) - 0x30) * 10 + (content[at + 1] ?? 0) - 0x30;
  let year = two(0);
  // RFC 5280 §4.1.2.5.1: 50 to 99 are 19xx, 00 to 49 are 20xx.
  if (yearDigits === 2) year += year >= 50 ? 1900 : 2000;
  else year = year * 100 + two(2);
  const [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map((at) => two(yearDigits + at));
  const ms = Date.UTC(2000, (month ?? 0) - 1, day, hour, minute, second);
  const date = new Date(ms);
  date.setUTCFullYear(year, (month ?? 0) - 1, day);
  if (
    date.getUTCFullYear() !== year ||
    date.getUTCMonth() + 1 !== month ||
    date.getUTCDate() !== day ||
    date.getUTCHours() !== hour ||
    date.getUTCMinutes() !== minute ||
    date.getUTCSeconds() !== second
  )
    throw malformedDer("time that does not exist");
  return date.getTime();
}

export function malformedDer(what: string): PkiError {
  return new PkiError("DER_MALFORMED", `not DER: ${what}`);
}
