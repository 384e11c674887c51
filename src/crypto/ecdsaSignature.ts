import { compareBytes, concatBytes } from "../base/bytes.ts";
import { bigintFromBytes, bytesFromBigint } from "./bigEndian.ts";
import { derTag, encodeDer, encodeUnsigned, readDer, unsignedInteger } from "./der.ts";

export type EcdsaCurve = "p256" | "p384" | "p521";

/** The orders n of the base points, big-endian (FIPS 186-4 §D.1.2), and floor(n / 2). */
const orders: Record<EcdsaCurve, { readonly order: Uint8Array; readonly half: Uint8Array }> = {
  p256: orderOf("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
  p384: orderOf(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
  ),
  p521: orderOf(`01ff${"f".repeat(62)}fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409`),
};

/** `r` and `s` in the full length of the order: 32, 48 or 66 bytes, 1 … n-1. */
export interface EcdsaSignature {
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

/**
 * Reads ECDSA-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER } (RFC 3279 §2.2.3), which a peer made.
 *
 * @returns `undefined` unless it is DER, ends with the SEQUENCE, and 1 <= r, s < n
 */
export function decodeEcdsaSignature(der: Uint8Array, curve: EcdsaCurve): EcdsaSignature | undefined {
  const outer = readDer(der, 0);
  if (outer === undefined || outer.tag !== derTag.sequence || outer.end !== der.length) return undefined;
  const first = readDer(outer.content, 0);
  if (first === undefined || first.tag !== derTag.integer) return undefined;
  const second = readDer(outer.content, first.end);
  if (second === undefined || second.tag !== derTag.integer || second.end !== outer.content.length)
    return undefined;
  const r = scalarOf(first.content, curve);
  const s = scalarOf(second.content, curve);
  return r === undefined || s === undefined ? undefined : { r, s };
}

/** @returns the DER of ECDSA-Sig-Value */
export function encodeEcdsaSignature({ r, s }: EcdsaSignature): Uint8Array {
  return encodeDer(derTag.sequence, concatBytes(encodeUnsigned(r), encodeUnsigned(s)));
}

/**
 * Of the two signatures (r, s) and (r, n - s), which are valid together, one has the low S. Whatever is identified by
 * its bytes demands that one.
 *
 * @returns whether `der` is a well-formed signature with s <= n / 2
 */
export function isLowS(der: Uint8Array, curve: EcdsaCurve): boolean {
  const signature = decodeEcdsaSignature(der, curve);
  return signature !== undefined && compareBytes(signature.s, orders[curve].half) <= 0;
}

/** @returns the signature with the low S, or `undefined` when `der` is not a well-formed one */
export function normalizeLowS(der: Uint8Array, curve: EcdsaCurve): Uint8Array | undefined {
  const signature = decodeEcdsaSignature(der, curve);
  if (signature === undefined) return undefined;
  const { r, s } = signature;
  const { order, half } = orders[curve];
  if (compareBytes(s, half) <= 0) return der;
  return encodeEcdsaSignature({
    r,
    s: bytesFromBigint(bigintFromBytes(order) - bigintFromBytes(s), s.length),
  });
}

function scalarOf(content: Uint8Array, curve: EcdsaCurve): Uint8Array | undefined {
  const { order } = orders[curve];
  const minimal = unsignedInteger(content);
  if (minimal === undefined || minimal.length === 0 || minimal.length > order.length) return undefined;
  const scalar = new Uint8Array(order.length);
  scalar.set(minimal, order.length - minimal.length);
  return compareBytes(scalar, order) < 0 ? scalar : undefined;
}

function orderOf(hex: string): { order: Uint8Array; half: Uint8Array } {
  const order = Uint8Array.fromHex(hex);
  return { order, half: bytesFromBigint(bigintFromBytes(order) >> 1n, order.length) };
}
