import { cbc, gcm } from "@noble/ciphers/aes.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { pbkdf2Async } from "@noble/hashes/pbkdf2.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { sha3_256, shake256 } from "@noble/hashes/sha3.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { CryptoError } from "./cryptoError.ts";
import { generateP256Scalar, nobleSignatureEngine, verifyEd25519 } from "./nobleSignatures.ts";
import {
  checkAesCbc,
  checkAesGcm,
  checkHkdfExpand,
  checkPbkdf2,
  mlKem768,
  passesModulusCheck,
} from "./parameterChecks.ts";
import { encodePrivateKeyInfo } from "./privateKeyInfo.ts";
import type { CryptoProvider, KeyType, MlKemSecretKey } from "./provider.ts";
import { requireInteger, requireLength } from "./requireLength.ts";
import { rsaRuntime } from "./rsaRuntime.ts";
import { importPrivateKeyWith, importPublicKeyWith } from "./signatureKeys.ts";
import { systemRandom } from "./systemRandom.ts";

const hashes = { sha1, sha256, sha512 };

/** The decapsulation keys (2400 bytes, FIPS 203 §7.1), out of reach for whoever holds the handle. */
const mlKemSecretKeys = new WeakMap<MlKemSecretKey, Uint8Array>();

/** The reference: pure TypeScript, without anything of a particular runtime except its random numbers. */
export const noble: CryptoProvider = {
  name: "noble",

  sha256: (data) => sha256(data),
  sha512: (data) => sha512(data),
  sha3_256: (data) => sha3_256(data),
  shake256(data, length) {
    requireInteger("SHAKE256 output length", length, 1, 0xffff);
    return shake256(data, { dkLen: length });
  },
  sha256Stream() {
    const state = sha256.create();
    return {
      update: (data) => void state.update(data),
      digest: () => state.digest(),
    };
  },
  hmac: (hash, key, data) => hmac(hashes[hash], key, data),
  hkdfExtract: (hash, salt, inputKey) => extract(hashes[hash], inputKey, salt),
  hkdfExpand(hash, prk, info, length) {
    checkHkdfExpand(hash, prk, length);
    return expand(hashes[hash], prk, info, length);
  },

  aesGcmSeal(key, nonce, plaintext, aad) {
    checkAesGcm(key, nonce);
    return gcm(key, nonce, aad).encrypt(plaintext);
  },
  aesGcmOpen(key, nonce, sealed, aad) {
    checkAesGcm(key, nonce);
    if (sealed.length < 16) return undefined;
    return orUndefined(() => gcm(key, nonce, aad).decrypt(sealed));
  },

  x25519PublicKey(secret) {
    requireLength("X25519 secret", secret, 32);
    return x25519.getPublicKey(secret);
  },
  x25519(secret, publicKey) {
    requireLength("X25519 secret", secret, 32);
    requireLength("X25519 public key", publicKey, 32);
    // With both lengths right, an all-zero result is all that it throws for.
    return orUndefined(() => x25519.getSharedSecret(secret, publicKey));
  },

  async mlKem768Generate(seed) {
    requireLength("ML-KEM-768 seed", seed, mlKem768.seed);
    const pair = ml_kem768.keygen(seed);
    const secretKey = Object.freeze({}) as MlKemSecretKey;
    mlKemSecretKeys.set(secretKey, pair.secretKey);
    return { publicKey: pair.publicKey, secretKey };
  },
  async mlKem768Encapsulate(publicKey) {
    requireLength("ML-KEM-768 encapsulation key", publicKey, mlKem768.publicKey);
    if (!passesModulusCheck(publicKey)) return undefined;
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, systemRandom(32));
    return { ciphertext: cipherText, sharedSecret };
  },
  async mlKem768Decapsulate(secretKey, ciphertext) {
    requireLength("ML-KEM-768 ciphertext", ciphertext, mlKem768.ciphertext);
    const key = mlKemSecretKeys.get(secretKey);
    if (key === undefined) throw new CryptoError("UNSUPPORTED_KEY", "ML-KEM-768 key of another provider");
    return ml_kem768.decapsulate(ciphertext, key);
  },

  ed25519PublicKey(seed) {
    requireLength("Ed25519 seed", seed, 32);
    return ed25519.getPublicKey(seed);
  },
  ed25519Sign(seed, message) {
    requireLength("Ed25519 seed", seed, 32);
    return ed25519.sign(message, seed);
  },
  ed25519Verify: verifyEd25519,

  importPublicKey: (spki) => importPublicKeyWith(nobleSignatureEngine, spki),
  importPrivateKey: (pkcs8) => importPrivateKeyWith(nobleSignatureEngine, pkcs8),
  generatePrivateKey: generate,

  async pbkdf2(hash, password, salt, iterations, length) {
    checkPbkdf2(iterations, length);
    return pbkdf2Async(hashes[hash], password, salt, { c: iterations, dkLen: length });
  },
  aesCbcEncrypt(key, iv, plaintext) {
    checkAesCbc(key, iv);
    return cbc(key, iv).encrypt(plaintext);
  },
  aesCbcDecrypt(key, iv, ciphertext) {
    checkAesCbc(key, iv);
    return orUndefined(() => cbc(key, iv).decrypt(ciphertext));
  },
};

async function generate(type: KeyType): Promise<Uint8Array> {
  switch (type) {
    case "p256": {
      const secret = generateP256Scalar();
      const publicKey = nobleSignatureEngine.publicHalf({ type, secret, publicKey: undefined });
      return encodePrivateKeyInfo({ type, secret, publicKey });
    }
    case "ed25519":
      return encodePrivateKeyInfo({ type, secret: systemRandom(32), publicKey: undefined });
    case "rsa2048":
      return rsaRuntime().generate(2048);
    case "rsa3072":
      return rsaRuntime().generate(3072);
  }
}

/** The library throws for what it refuses; the lengths that are the caller's business were checked before. */
function orUndefined(operation: () => Uint8Array): Uint8Array | undefined {
  try {
    return operation();
  } catch {
    return undefined;
  }
}
