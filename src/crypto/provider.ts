import type { Brand } from "../base/brand.ts";

/** Key types of the certificate profile. */
export const keyTypes = ["p256", "rsa2048", "rsa3072", "ed25519"] as const;
export type KeyType = (typeof keyTypes)[number];

/**
 * How a signature is made, key algorithm and hash together (RFC 5758, RFC 4055, RFC 8410). ECDSA signatures are DER
 * (RFC 3279 §2.2.3). `p384`, `p521` and the larger hashes are verified for certificates by others; the profile
 * itself signs with `ecdsa-p256-sha256`, `rsa-pkcs1-sha256` and `ed25519` only.
 */
export type SignatureScheme =
  | "ecdsa-p256-sha256"
  | "ecdsa-p384-sha384"
  | "ecdsa-p521-sha512"
  | "rsa-pkcs1-sha256"
  | "rsa-pkcs1-sha384"
  | "rsa-pkcs1-sha512"
  | "rsa-pss-sha256"
  | "rsa-pss-sha384"
  | "rsa-pss-sha512"
  | "ed25519";

/** A public key of a certificate, parsed and checked once: on the curve, of an allowed size, not of low order. */
export interface PublicKey {
  readonly kind: "public";
  readonly type: "p256" | "p384" | "p521" | "rsa" | "ed25519";
  /** RSA: bits of the modulus; else the size of the field in bits. */
  readonly bits: number;
  /** SubjectPublicKeyInfo, DER (RFC 5280 §4.1.2.7). */
  readonly spki: Uint8Array;
  /** @returns whether `signature` is one over `message` by this key; `false` too when the scheme is not for this key.
   *  ECDSA: strict DER; a high S is accepted (see `isLowS`). RSA-PSS: MGF1 with the same hash, a salt as long as the
   *  hash. Ed25519: RFC 8032 with canonical R, S and A, cofactorless. */
  verify(scheme: SignatureScheme, message: Uint8Array, signature: Uint8Array): boolean;
}

/** A private key that belongs to a certificate. It can sign and name its public half; it is never exported. */
export interface PrivateKey {
  readonly kind: "private";
  readonly type: KeyType;
  /** The scheme of the profile for this type of key. */
  readonly scheme: "ecdsa-p256-sha256" | "rsa-pkcs1-sha256" | "ed25519";
  /** SubjectPublicKeyInfo of the public half, DER. */
  readonly spki: Uint8Array;
  /** @returns the signature; ECDSA in DER with low S */
  sign(message: Uint8Array): Uint8Array;
  /** @returns 32 bytes = HKDF-Expand-SHA-256(HKDF-Extract(salt = label, secret), label, 32), where secret is the private
   *  scalar (p256: 32 bytes big-endian), the seed (ed25519), or the private exponent (rsa, big-endian, minimal). It does
   *  not depend on how the key file encodes the key. */
  deriveSecret(label: string): Uint8Array;
}

/** The secret half of an ML-KEM-768 key pair as the provider keeps it. */
export type MlKemSecretKey = Brand<object, "MlKemSecretKey">;

export interface Sha256Stream {
  update(data: Uint8Array): void;
  /** 32 bytes; the stream ends with it. */
  digest(): Uint8Array;
}

/**
 * The primitives by role. Two implementations, `noble` (the reference) and `native` (the runtime's), accept and reject
 * exactly the same inputs. Lengths that are wrong for a primitive throw `CryptoError` `WRONG_LENGTH`: they are bugs of
 * the caller, which has checked what came from outside.
 */
export interface CryptoProvider {
  readonly name: "noble" | "native";

  sha256(data: Uint8Array): Uint8Array;
  sha512(data: Uint8Array): Uint8Array;
  sha3_256(data: Uint8Array): Uint8Array;
  /** SHAKE256 (FIPS 202 §6.2). @param length 1 … 65 535 */
  shake256(data: Uint8Array, length: number): Uint8Array;
  sha256Stream(): Sha256Stream;
  hmac(hash: "sha256" | "sha512", key: Uint8Array, data: Uint8Array): Uint8Array;
  /** RFC 5869 §2.2 */
  hkdfExtract(hash: "sha256" | "sha512", salt: Uint8Array, inputKey: Uint8Array): Uint8Array;
  /** RFC 5869 §2.3. @param prk at least as long as the hash. @param length 0 … 255 hashes */
  hkdfExpand(hash: "sha256" | "sha512", prk: Uint8Array, info: Uint8Array, length: number): Uint8Array;

  /** AES-256-GCM, 32-byte key, 12-byte nonce. @returns ciphertext || 16-byte tag */
  aesGcmSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Uint8Array;
  /** @returns the plaintext, or `undefined` when key, nonce, data or AAD are not the sealed ones */
  aesGcmOpen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined;

  /** 32-byte secret (clamped inside) to 32-byte public key (RFC 7748 §6.1). */
  x25519PublicKey(secret: Uint8Array): Uint8Array;
  /** @returns 32 bytes, or `undefined` when the result is all zero (RFC 7748 §6.1: low-order peer key) */
  x25519(secret: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;

  /** ML-KEM-768 key pair from the 64-byte seed d || z (FIPS 203 §7.1); the public key has 1184 bytes. */
  mlKem768Generate(seed: Uint8Array): Promise<{ publicKey: Uint8Array; secretKey: MlKemSecretKey }>;
  /** Checks the encapsulation key (FIPS 203 §7.2) and draws its coins from the system's RNG.
   *  @returns a ciphertext of 1088 bytes and the 32-byte secret, or `undefined` when the key fails the check */
  mlKem768Encapsulate(
    publicKey: Uint8Array,
  ): Promise<{ ciphertext: Uint8Array; sharedSecret: Uint8Array } | undefined>;
  /** @param secretKey of this provider: another's throws `CryptoError` `UNSUPPORTED_KEY`
   *  @returns 32 bytes; for a ciphertext that nobody made for this key, the implicit-rejection secret (FIPS 203 §7.3) */
  mlKem768Decapsulate(secretKey: MlKemSecretKey, ciphertext: Uint8Array): Promise<Uint8Array>;

  /** Ed25519 with raw keys, for MLS leaf keys: 32-byte seed. */
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /** The strict rules: canonical A, R and S, no low-order A, cofactorless equation. @returns `false` too for a key that
   *  is no point, and for a key or signature of another length: peers send both. */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;

  /** @throws {CryptoError} `UNSUPPORTED_KEY` (algorithm, curve, RSA under 2048 or over 8192 bits, an exponent
   *  that is even, under 65537 or not under 2^32, a compressed point),
   *  `MALFORMED_KEY` (not canonical DER, point not on the curve, low order) */
  importPublicKey(spki: Uint8Array): PublicKey;
  /** Unencrypted PKCS#8 (RFC 5958 v1 or v2). @throws {CryptoError} `UNSUPPORTED_KEY`, `MALFORMED_KEY`, and `UNAVAILABLE`
   *  for RSA where the runtime has no RSA operations (a browser) */
  importPrivateKey(pkcs8: Uint8Array): PrivateKey;
  /** A new key from the system's RNG. @returns unencrypted PKCS#8, DER. RSA is made by the runtime under both providers;
   *  where it can't: `CryptoError` `UNAVAILABLE`. */
  generatePrivateKey(type: KeyType): Promise<Uint8Array>;

  /** PBKDF2 (RFC 8018 §5.2). */
  pbkdf2(
    hash: "sha1" | "sha256" | "sha512",
    password: Uint8Array,
    salt: Uint8Array,
    iterations: number,
    length: number,
  ): Promise<Uint8Array>;
  /** AES-CBC with PKCS#7 padding, 16- or 32-byte key; for key files only, which are not authenticated by it. */
  aesCbcEncrypt(key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** @returns `undefined` when the padding is wrong */
  aesCbcDecrypt(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
}
