import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { concatBytes, equalBytes } from "../base/bytes.ts";
import { bigintFromBytes } from "./bigEndian.ts";
import { verifyRsaPkcs1, verifyRsaPss } from "./rsaSignature.ts";
import type { SignatureEngine } from "./signatureKeys.ts";
import { systemRandom } from "./systemRandom.ts";

const ecdsaCurves = { p256, p384, p521 };
const hashes = { sha256, sha384, sha512 };
type EdwardsPoint = ReturnType<typeof ed25519.Point.fromBytes>;

export const nobleSignatureEngine: SignatureEngine = {
  ecdsaVerifier({ type, point }) {
    const curve = ecdsaCurves[type];
    if (!curve.utils.isValidPublicKey(point, false)) return undefined;
    // High S is valid here: see `isLowS`.
    return ({ hash, message, r, s }) =>
      curve.verify(concatBytes(r, s), hashes[hash](message), point, { prehash: false, lowS: false });
  },
  rsaVerifier: (key) => (input) => {
    const verification = { key, hash: input.hash, digest: (data: Uint8Array) => hashes[input.hash](data) };
    const verify = input.padding === "pss" ? verifyRsaPss : verifyRsaPkcs1;
    return verify(verification, input.message, input.signature);
  },
  ed25519Verifier(key) {
    const point = ed25519Point(key);
    return point && ((message, signature) => verifyWithPoint(key, point, message, signature));
  },
  publicHalf({ type, secret }) {
    if (type === "ed25519") return ed25519.getPublicKey(secret);
    return p256.utils.isValidSecretKey(secret) ? p256.getPublicKey(secret, false) : undefined;
  },
  // ECDSA with the nonce of RFC 6979.
  signer({ type, secret }) {
    if (type === "ed25519") return (message) => ed25519.sign(message, secret);
    return (message) => p256.sign(message, secret, { lowS: true, format: "der" });
  },
  deriveSecret: (secret, label) => expand(sha256, extract(sha256, secret, label), label, 32),
};

/** FIPS 186-5 §A.2.1: 384 random bits reduced, so that no scalar is noticeably likelier. @returns 32 bytes */
export function generateP256Scalar(): Uint8Array {
  return p256.utils.randomSecretKey(systemRandom(48));
}

/** `CryptoProvider.ed25519Verify`. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const point = ed25519Point(publicKey);
  return point !== undefined && verifyWithPoint(publicKey, point, message, signature);
}

/** @returns whether 32 bytes encode a point, canonically (RFC 8032 §5.1.3), whose order is not 1, 2, 4 or 8 */
export function isEd25519PublicKey(key: Uint8Array): boolean {
  return ed25519Point(key) !== undefined;
}

function ed25519Point(key: Uint8Array): EdwardsPoint | undefined {
  try {
    const point = ed25519.Point.fromBytes(key, false);
    return point.isSmallOrder() ? undefined : point;
  } catch {
    return undefined;
  }
}

/**
 * RFC 8032 §5.1.7 without the cofactor: S < L, and the encoding of [S]B - [k]A is R to the byte. The library's own
 * `verify` multiplies by 8 and so accepts signatures with a component of low order, which the runtime refuses.
 */
function verifyWithPoint(
  key: Uint8Array,
  point: EdwardsPoint,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { Fn, BASE } = ed25519.Point;
  const r = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  if (s >= Fn.ORDER) return false;
  const k = littleEndian(sha512(concatBytes(r, key, message))) % Fn.ORDER;
  return equalBytes(BASE.multiplyUnsafe(s).subtract(point.multiplyUnsafe(k)).toBytes(), r);
}

function littleEndian(bytes: Uint8Array): bigint {
  return bigintFromBytes(bytes.toReversed());
}
