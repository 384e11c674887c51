import { compareBytes } from "../base/bytes.ts";
import {
  checkBitString,
  checkBoolean,
  checkMinimalInteger,
  checkOid,
  decodeOid,
  decodeTime,
  malformedDer,
} from "./derScalars.ts";

/**
 * A strict reader of DER (ITU-T X.690 §8, §10, §11) of our own instead of asn1js's: asn1js accepts BER (indefinite
 * and padded lengths, constructed strings, non-minimal integers, any non-zero BOOLEAN) and builds an object tree, at
 * some 250 certificates a second. This one refuses what is not DER while it reads and builds nothing: it is a cursor,
 * and certificates are parsed on every connection and entry. The input is hostile; every refusal is `DER_MALFORMED`.
 *
 * Only single-byte tags exist here: no structure of RFC 5280, 5652 or 5958 has a tag number above 30.
 */
export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The tag byte of `[number]`, for explicit tags and implicitly tagged SEQUENCE or SET. */
export function contextConstructed(number: number): number {
  return 0xa0 | number;
}

/** The tag byte of `[number]` for implicitly tagged primitive types. */
export function contextPrimitive(number: number): number {
  return 0x80 | number;
}

/**
 * A cursor over the content of one element (or over a whole buffer). `next` reads one element and returns a cursor
 * over its content; the scalar methods (`integer`, `oid`, …) read one element and return its value.
 */
export class DerReader {
  /** The tag of the element that this cursor is the content of; 0 for a whole buffer. */
  readonly tag: number;
  readonly #source: Uint8Array;
  readonly #start: number;
  readonly #contentStart: number;
  readonly #end: number;
  #offset: number;

  constructor(source: Uint8Array, tag = 0, start = 0, contentStart = 0, end = source.length) {
    this.#source = source;
    this.tag = tag;
    this.#start = start;
    this.#contentStart = contentStart;
    this.#end = end;
    this.#offset = contentStart;
  }

  get atEnd(): boolean {
    return this.#offset === this.#end;
  }

  /** The tag of the next element; `undefined` at the end. */
  get nextTag(): number | undefined {
    return this.#offset < this.#end ? this.#source[this.#offset] : undefined;
  }

  /** The bytes of the whole element, tag and length included; a view, not a copy. */
  get encoded(): Uint8Array {
    return this.#source.subarray(this.#start, this.#end);
  }

  /** The content bytes, read or not; a view, not a copy. */
  get content(): Uint8Array {
    return this.#source.subarray(this.#contentStart, this.#end);
  }

  /** @throws {PkiError} unless everything has been read */
  finish(): void {
    if (this.#offset !== this.#end) throw malformedDer("bytes after the end of a value");
  }

  /** Reads one element. @param tag the tag that it must have; any, when left out */
  next(tag?: number): DerReader {
    const source = this.#source;
    const start = this.#offset;
    const end = this.#end;
    if (start + 2 > end) throw malformedDer("element cut short");
    const found = source[start] ?? 0;
    if (tag !== undefined && found !== tag)
      throw malformedDer(`tag ${hexByte(found)} instead of ${hexByte(tag)}`);
    if ((found & 0x1f) === 0x1f || found === 0) throw malformedDer(`tag ${hexByte(found)}`);
    let length = source[start + 1] ?? 0;
    let offset = start + 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      // 0x80 is BER's indefinite length; four octets and more would exceed every limit above this floor.
      if (octets === 0 || octets > 3 || offset + octets > end) throw malformedDer("length");
      length = 0;
      for (let i = 0; i < octets; i++) length = (length << 8) | (source[offset + i] ?? 0);
      if (length < 0x80 || length >>> (8 * (octets - 1)) === 0) throw malformedDer("length not minimal");
      offset += octets;
    }
    if (offset + length > end) throw malformedDer("element longer than what holds it");
    this.#offset = offset + length;
    return new DerReader(source, found, start, offset, offset + length);
  }

  /** Reads one element if it has this tag. */
  optional(tag: number): DerReader | undefined {
    return this.nextTag === tag ? this.next(tag) : undefined;
  }

  sequence(): DerReader {
    return this.next(derTags.sequence);
  }

  /** BOOLEAN. A value that equals the type's DEFAULT must be absent in DER: the caller checks that. */
  boolean(tag: number = derTags.boolean): boolean {
    const content = this.next(tag).content;
    checkBoolean(content);
    return content[0] === 0xff;
  }

  /** INTEGER. @returns its two's complement, minimal, at least one byte; a view */
  integer(tag: number = derTags.integer): Uint8Array {
    const content = this.next(tag).content;
    checkMinimalInteger(content);
    return content;
  }

  /** INTEGER from 0 to `max`, which is at most 2^31 - 1. */
  smallInteger(max: number, tag: number = derTags.integer): number {
    const content = this.integer(tag);
    if (content.length > 4 || (content[0] ?? 0) >= 0x80) throw malformedDer("INTEGER out of range");
    let value = 0;
    for (const byte of content) value = value * 256 + byte;
    if (value > max) throw malformedDer("INTEGER out of range");
    return value;
  }

  /** OBJECT IDENTIFIER in dotted decimals. */
  oid(tag: number = derTags.oid): string {
    return decodeOid(this.next(tag).content);
  }

  octetString(tag: number = derTags.octetString): Uint8Array {
    return this.next(tag).content;
  }

  /** BIT STRING: the octets, and how many bits of the last one are unused (0 to 7; they are zero). */
  bitString(tag: number = derTags.bitString): { unusedBits: number; octets: Uint8Array } {
    const content = this.next(tag).content;
    checkBitString(content);
    return { unusedBits: content[0] ?? 0, octets: content.subarray(1) };
  }

  /** BIT STRING of whole octets. */
  bitStringOctets(tag: number = derTags.bitString): Uint8Array {
    const { unusedBits, octets } = this.bitString(tag);
    if (unusedBits !== 0) throw malformedDer("BIT STRING with unused bits");
    return octets;
  }

  null(): void {
    if (this.next(derTags.null).content.length !== 0) throw malformedDer("NULL");
  }

  /** UTCTime or GeneralizedTime in the only form RFC 5280 §4.1.2.5 allows: seconds, `Z`, no fraction. @returns ms */
  time(): number {
    const element = this.next();
    if (element.tag !== derTags.utcTime && element.tag !== derTags.generalizedTime)
      throw malformedDer("Time");
    return decodeTime(element.content, element.tag === derTags.utcTime ? 2 : 4);
  }
}

/**
 * Reads one element that is all of `der`.
 *
 * @param tag the tag that it must have; any, when left out
 * @throws {PkiError} `DER_MALFORMED`
 */
export function readDer(der: Uint8Array, tag?: number): DerReader {
  const whole = new DerReader(der);
  const element = whole.next(tag);
  whole.finish();
  return element;
}

const maxDepth = 32;

/**
 * Walks one element with everything in it, also parts that no caller understands, and refuses what DER does not
 * allow for the universal types: so two different byte strings never decode to one value. The content of
 * OCTET STRING and BIT STRING is not entered. Iterative, at most 32 levels deep.
 *
 * @throws {PkiError} `DER_MALFORMED`
 */
export function checkDer(der: Uint8Array): void {
  const whole = new DerReader(der);
  const open: DerReader[] = [whole];
  // SET OF is sorted (X.690 §11.6): the element before, per level.
  const before: (Uint8Array | undefined)[] = [undefined];
  whole.next();
  whole.finish();
  open[0] = new DerReader(der);
  while (open.length > 0) {
    const level = open.length - 1;
    const reader = open[level];
    if (reader === undefined || reader.atEnd) {
      open.pop();
      before.pop();
      continue;
    }
    const element = reader.next();
    if (reader.tag === derTags.set) {
      const last = before[level];
      if (last !== undefined && compareBytes(last, element.encoded) > 0)
        throw malformedDer("SET OF not sorted");
      before[level] = element.encoded;
    }
    if ((element.tag & 0x20) !== 0) {
      const universal = (element.tag & 0xc0) === 0;
      if (universal && element.tag !== derTags.sequence && element.tag !== derTags.set)
        throw malformedDer(`constructed tag ${hexByte(element.tag)}`);
      if (open.length > maxDepth) throw malformedDer("nested too deeply");
      open.push(element);
      before.push(undefined);
    } else checkPrimitive(element);
  }
}

function checkPrimitive(element: DerReader): void {
  const content = element.content;
  switch (element.tag) {
    case derTags.boolean:
      checkBoolean(content);
      return;
    case derTags.integer:
    case derTags.enumerated:
      checkMinimalInteger(content);
      return;
    case derTags.bitString:
      checkBitString(content);
      return;
    case derTags.null:
      if (content.length !== 0) throw malformedDer("NULL");
      return;
    case derTags.oid:
      checkOid(content);
      return;
    case 0x10:
    case 0x11:
      throw malformedDer("primitive SEQUENCE or SET");
  }
}

function hexByte(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}
