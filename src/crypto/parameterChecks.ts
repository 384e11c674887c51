import { requireInteger, requireLength } from "./requireLength.ts";

// What both providers refuse before they start, so that neither depends on what its library makes of it.

const hashBytes = { sha256: 32, sha512: 64 } as const;

/** RFC 5869 §2.3: a key of at least one hash output, at most 255 blocks of output. @throws {CryptoError} */
export function checkHkdfExpand(hash: "sha256" | "sha512", prk: Uint8Array, length: number): void {
  requireInteger("bytes of the HKDF pseudorandom key", prk.length, hashBytes[hash], Number.MAX_SAFE_INTEGER);
  requireInteger("HKDF output length", length, 0, 255 * hashBytes[hash]);
}

/** @throws {CryptoError} */
export function checkAesGcm(key: Uint8Array, nonce: Uint8Array): void {
  requireLength("AES-256-GCM key", key, 32);
  requireLength("AES-256-GCM nonce", nonce, 12);
}

/** @throws {CryptoError} */
export function checkAesCbc(key: Uint8Array, iv: Uint8Array): void {
  requireLength("AES-CBC key", key, 16, 32);
  requireLength("AES-CBC IV", iv, 16);
}

/** Counts up to 2^31 - 1, which every implementation takes. @throws {CryptoError} */
export function checkPbkdf2(iterations: number, length: number): void {
  requireInteger("PBKDF2 iteration count", iterations, 1, 0x7fff_ffff);
  requireInteger("PBKDF2 output length", length, 1, 0x7fff_ffff);
}

/** Bytes of ML-KEM-768 (FIPS 203 §8). */
export const mlKem768 = { seed: 64, publicKey: 1184, ciphertext: 1088 } as const;

/**
 * The modulus check of FIPS 203 §7.2 on a key from a peer: each of its 3 · 256 coefficients of 12 bits is below
 * q = 3329.
 *
 * @param publicKey 1184 bytes: 1152 of coefficients, then the 32-byte seed of the matrix
 */
export function passesModulusCheck(publicKey: Uint8Array): boolean {
  for (let i = 0; i < 1152; i += 3) {
    const [a = 0, b = 0, c = 0] = [publicKey[i], publicKey[i + 1], publicKey[i + 2]];
    if ((a | ((b & 0x0f) << 8)) >= 3329 || ((b >> 4) | (c << 4)) >= 3329) return false;
  }
  return true;
}
