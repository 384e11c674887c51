import { concatBytes } from "../base/bytes.ts";
import { CryptoError } from "./cryptoError.ts";

/** The few ASN.1 tags that keys and ECDSA signatures consist of (X.690 §8.1.2). */
export const derTag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const;

/** `tag`: one octet. `content` is a view. `end`: the offset behind the value. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly end: number;
}

/**
 * Reads one value at `offset`. Only what DER allows (X.690 §10.1): definite lengths in the fewest octets, at most
 * 65 535 bytes of content; tags in one octet.
 *
 * @returns `undefined` when the bytes are not that or end early
 */
export function readDer(bytes: Uint8Array, offset: number): DerValue | undefined {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined;
  let start = offset + 2;
  let length = first;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets < 1 || octets > 2) return undefined;
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + (bytes[start + i] ?? 0);
    start += octets;
    if (length < (octets === 1 ? 0x80 : 0x100)) return undefined;
  }
  const end = start + length;
  return end > bytes.length ? undefined : { tag, content: bytes.subarray(start, end), end };
}

/**
 * The content of an INTEGER as unsigned big-endian bytes without leading zeros; zero has none.
 *
 * @returns `undefined` for a negative number or more octets than needed (X.690 §8.3.2)
 */
export function unsignedInteger(content: Uint8Array): Uint8Array | undefined {
  const first = content[0];
  if (first === undefined || first >= 0x80) return undefined;
  if (first !== 0) return content;
  const second = content[1];
  return second === undefined || second >= 0x80 ? content.subarray(1) : undefined;
}

/** Reads the values of a key one after the other; whatever is not as asked for throws `MALFORMED_KEY`. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @returns the content of the next value, which has this tag. @throws {CryptoError} */
  read(tag: number, what: string): Uint8Array {
    const value = readDer(this.#bytes, this.#offset);
    if (value === undefined || value.tag !== tag)
      throw new CryptoError("MALFORMED_KEY", `key: ${what} expected`);
    this.#offset = value.end;
    return value.content;
  }

  /** @returns the content of the next value when it has this tag, else `undefined`, and stays where it is */
  readOptional(tag: number): Uint8Array | undefined {
    return this.#bytes[this.#offset] === tag ? this.read(tag, "optional field") : undefined;
  }

  /** @returns a reader over the content of the next value, a SEQUENCE. @throws {CryptoError} */
  sequence(what: string): DerReader {
    return new DerReader(this.read(derTag.sequence, what));
  }

  /** @returns a non-negative INTEGER. @throws {CryptoError} */
  unsigned(what: string): Uint8Array {
    const value = unsignedInteger(this.read(derTag.integer, what));
    if (value === undefined)
      throw new CryptoError("MALFORMED_KEY", `key: ${what} is negative or has superfluous octets`);
    return value;
  }

  /** @returns the octets of a BIT STRING without unused bits. @throws {CryptoError} */
  octetsOfBitString(what: string): Uint8Array {
    return octetsOfBitString(this.read(derTag.bitString, what), what);
  }

  atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  /** @throws {CryptoError} when something follows */
  end(what: string): void {
    if (!this.atEnd()) throw new CryptoError("MALFORMED_KEY", `key: something follows ${what}`);
  }
}

/** @param content of a BIT STRING, its first octet being the number of unused bits. @throws {CryptoError} */
export function octetsOfBitString(content: Uint8Array, what: string): Uint8Array {
  if (content[0] !== 0)
    throw new CryptoError("MALFORMED_KEY", `key: ${what} is not a whole number of octets`);
  return content.subarray(1);
}

/** @returns the DER of a value with this content (at most 65 535 bytes) */
export function encodeDer(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return concatBytes(Uint8Array.from(header), ...content);
}

/** @param value unsigned, big-endian, leading zeros allowed. @returns the DER of an INTEGER */
export function encodeUnsigned(value: Uint8Array): Uint8Array {
  let start = 0;
  while (start < value.length && value[start] === 0) start++;
  const minimal = value.subarray(start);
  return (minimal[0] ?? 0x80) >= 0x80
    ? encodeDer(derTag.integer, new Uint8Array(1), minimal)
    : encodeDer(derTag.integer, minimal);
}
