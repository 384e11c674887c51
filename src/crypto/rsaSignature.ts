import { concatBytes } from "../base/bytes.ts";
import { bigintFromBytes, bitLength, bytesFromBigint } from "./bigEndian.ts";
import type { SignatureHash } from "./signatureKeys.ts";
import type { RsaPublicKeyInfo } from "./subjectPublicKeyInfo.ts";

type Digest = (data: Uint8Array) => Uint8Array;

/** DER of DigestInfo up to the digest: SEQUENCE { AlgorithmIdentifier { hash, NULL }, OCTET STRING … } (RFC 8017 §9.2). */
const digestInfoPrefix: Record<SignatureHash, Uint8Array> = {
  sha256: Uint8Array.fromHex("3031300d060960864801650304020105000420"),
  sha384: Uint8Array.fromHex("3041300d060960864801650304020205000430"),
  sha512: Uint8Array.fromHex("3051300d060960864801650304020305000440"),
};

/** How a signature is judged: key and hash of the scheme, and the hash function to use. */
export interface RsaVerification {
  readonly key: RsaPublicKeyInfo;
  readonly hash: SignatureHash;
  readonly digest: Digest;
}

/**
 * RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2): builds the one encoding that the message has and compares. Nothing is parsed out of
 * the signature, so there is nothing to forge with a small exponent; DigestInfo without NULL is refused.
 */
export function verifyRsaPkcs1(
  { key, hash, digest }: RsaVerification,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const encoded = openSignature(key, signature);
  if (encoded === undefined) return false;
  const info = concatBytes(digestInfoPrefix[hash], digest(message));
  const length = Math.ceil(bitLength(key.modulus) / 8);
  const expected = concatBytes(
    Uint8Array.of(0x00, 0x01),
    new Uint8Array(length - 3 - info.length).fill(0xff),
    Uint8Array.of(0x00),
    info,
  );
  return encoded === bigintFromBytes(expected);
}

/**
 * RSASSA-PSS (RFC 8017 §8.1.2, §9.1.2) with MGF1 over the same hash and a salt as long as the digest, which is what
 * X.509 and CMS signers use.
 */
export function verifyRsaPss(
  { key, digest }: RsaVerification,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const opened = openSignature(key, signature);
  if (opened === undefined) return false;
  const encodedBits = bitLength(key.modulus) - 1;
  if (bitLength(opened) > encodedBits) return false;
  const messageDigest = digest(message);
  const saltLength = messageDigest.length;
  const encoded = bytesFromBigint(opened, Math.ceil(encodedBits / 8));
  const split = encoded.length - messageDigest.length - 1;
  const maskedBlock = encoded.subarray(0, split);
  const seed = encoded.subarray(split, encoded.length - 1);
  if (encoded[encoded.length - 1] !== 0xbc) return false;

  const block = mgf1(digest, seed, split).map((octet, i) => octet ^ (maskedBlock[i] ?? 0));
  // The bits of the first octet above `encodedBits` are zero in `encoded` (checked above) and stand for nothing in `block`.
  block[0] = (block[0] ?? 0) & (0xff >> (8 * encoded.length - encodedBits));
  const start = split - saltLength - 1;
  if (block[start] !== 0x01 || block.subarray(0, start).some((octet) => octet !== 0)) return false;
  const expected = digest(concatBytes(new Uint8Array(8), messageDigest, block.subarray(start + 1)));
  return bigintFromBytes(expected) === bigintFromBytes(seed);
}

/** RSAVP1 (RFC 8017 §5.2.2). @returns `undefined` unless the signature has the length of the modulus and is below it */
function openSignature({ modulus, exponent }: RsaPublicKeyInfo, signature: Uint8Array): bigint | undefined {
  if (signature.length !== Math.ceil(bitLength(modulus) / 8)) return undefined;
  const base = bigintFromBytes(signature);
  if (base >= modulus) return undefined;
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === "1") result = (result * base) % modulus;
  }
  return result;
}

/** MGF1 (RFC 8017 §B.2.1). */
function mgf1(digest: Digest, seed: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let counter = 0, offset = 0; offset < length; counter++) {
    const block = digest(concatBytes(seed, Uint8Array.of(0, 0, counter >> 8, counter & 0xff)));
    out.set(block.subarray(0, length - offset), offset);
    offset += block.length;
  }
  return out;
}
