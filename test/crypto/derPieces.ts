import { bytesFromBigint } from "../../src/crypto/bigEndian.ts";
import { derTag, encodeDer, encodeUnsigned } from "../../src/crypto/der.ts";
import { hex } from "./providers.ts";

/** Pieces to build keys from, right ones and wrong ones. */

export const sequence = (...parts: Uint8Array[]) => encodeDer(derTag.sequence, ...parts);
export const octets = (...parts: Uint8Array[]) => encodeDer(derTag.octetString, ...parts);
export const bits = (content: Uint8Array, unused = 0) =>
  encodeDer(derTag.bitString, Uint8Array.of(unused), content);
export const oid = (text: string) => encodeDer(derTag.objectIdentifier, hex(text));
export const integer = (value: bigint) =>
  encodeUnsigned(bytesFromBigint(value, Math.ceil(value.toString(16).length / 2)));
export const nullValue = encodeDer(derTag.null);

export const ec = oid("2a8648ce3d0201");
export const prime256v1 = oid("2a8648ce3d030107");
export const secp384r1 = oid("2b81040022");
export const secp521r1 = oid("2b81040023");
export const rsa = oid("2a864886f70d010101");
export const ed25519 = oid("2b6570");

export const ecSpki = (key: Uint8Array, curve = prime256v1) => sequence(sequence(ec, curve), bits(key));
export const rsaSpki = (modulus: bigint, exponent: bigint) =>
  sequence(sequence(rsa, nullValue), bits(sequence(integer(modulus), integer(exponent))));
/** Odd, of exactly so many bits. */
export const modulusOf = (size: number) => (1n << BigInt(size - 1)) + 0x10001n;
export const p256Algorithm = sequence(ec, prime256v1);
export const ed25519Algorithm = sequence(ed25519);
export const rsaAlgorithm = sequence(rsa, nullValue);
