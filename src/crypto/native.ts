import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  pbkdf2,
  sign,
  verify,
} from "node:crypto";
import { promisify } from "node:util";
import { concatBytes } from "../base/bytes.ts";
import { isCanonicalEd25519PublicKey } from "./ed25519PublicKey.ts";
import { nativeMlKem } from "./nativeMlKem.ts";
import { nativeRsa } from "./nativeRsa.ts";
import { nativeSignatureEngine } from "./nativeSignatures.ts";
import { checkAesCbc, checkAesGcm, checkHkdfExpand, checkPbkdf2 } from "./parameterChecks.ts";
import { plainBytes } from "./plainBytes.ts";
import { encodePrivateKeyInfo } from "./privateKeyInfo.ts";
import type { CryptoProvider, KeyType } from "./provider.ts";
import { requireInteger, requireLength } from "./requireLength.ts";
import { registerRsaRuntime } from "./rsaRuntime.ts";
import { importPrivateKeyWith, importPublicKeyWith } from "./signatureKeys.ts";
import { systemRandom } from "./systemRandom.ts";

// Wherever this file is loaded, the reference has RSA private-key operations as well.
registerRsaRuntime(nativeRsa);

const pbkdf2Async = promisify(pbkdf2);
const tagBytes = 16;

/** The runtime's own primitives, BoringSSL in Bun: synchronous where it has them so, WebCrypto for ML-KEM alone. */
export const native: CryptoProvider = {
  name: "native",

  // Bun's own call takes a third of the time of node:crypto's on a few hundred bytes.
  sha256: (data) => plainBytes(Bun.CryptoHasher.hash("sha256", data)),
  sha512: (data) => plainBytes(Bun.CryptoHasher.hash("sha512", data)),
  sha3_256: (data) => plainBytes(Bun.CryptoHasher.hash("sha3-256", data)),
  shake256(data, length) {
    requireInteger("SHAKE256 output length", length, 1, 0xffff);
    return plainBytes(createHash("shake256", { outputLength: length }).update(data).digest());
  },
  sha256Stream() {
    const state = createHash("sha256");
    return {
      update: (data) => void state.update(data),
      digest: () => plainBytes(state.digest()),
    };
  },
  hmac,
  hkdfExtract: (hash, salt, inputKey) => hmac(hash, salt, inputKey),
  hkdfExpand(hash, prk, info, length) {
    checkHkdfExpand(hash, prk, length);
    const out = new Uint8Array(length);
    let block = new Uint8Array(0);
    for (let offset = 0, counter = 1; offset < length; offset += block.length, counter++) {
      block = createHmac(hash, prk).update(block).update(info).update(Uint8Array.of(counter)).digest();
      out.set(block.subarray(0, length - offset), offset);
    }
    return out;
  },

  aesGcmSeal(key, nonce, plaintext, aad) {
    checkAesGcm(key, nonce);
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad);
    const body = cipher.update(plaintext);
    return concatBytes(body, cipher.final(), cipher.getAuthTag());
  },
  aesGcmOpen(key, nonce, sealed, aad) {
    checkAesGcm(key, nonce);
    if (sealed.length < tagBytes) return undefined;
    const split = sealed.length - tagBytes;
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes }).setAAD(aad);
    decipher.setAuthTag(sealed.subarray(split));
    const body = decipher.update(sealed.subarray(0, split));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return plainBytes(body);
  },

  x25519PublicKey(secret) {
    requireLength("X25519 secret", secret, 32);
    const key = rawPrivateKey(x25519Prefix.pkcs8, secret);
    return plainBytes(createPublicKey(key).export({ format: "der", type: "spki" })).slice(-32);
  },
  x25519(secret, publicKey) {
    requireLength("X25519 secret", secret, 32);
    requireLength("X25519 public key", publicKey, 32);
    const keys = {
      privateKey: rawPrivateKey(x25519Prefix.pkcs8, secret),
      publicKey: rawPublicKey(x25519Prefix.spki, publicKey),
    };
    let shared: Uint8Array;
    try {
      shared = plainBytes(diffieHellman(keys));
    } catch {
      // The keys have been parsed: what is left to refuse is the all-zero result.
      return undefined;
    }
    return shared.every((octet) => octet === 0) ? undefined : shared;
  },

  ...nativeMlKem,

  ed25519PublicKey(seed) {
    requireLength("Ed25519 seed", seed, 32);
    const key = rawPrivateKey(ed25519Prefix.pkcs8, seed);
    return plainBytes(createPublicKey(key).export({ format: "der", type: "spki" })).slice(-32);
  },
  ed25519Sign(seed, message) {
    requireLength("Ed25519 seed", seed, 32);
    return plainBytes(sign(null, message, rawPrivateKey(ed25519Prefix.pkcs8, seed)));
  },
  ed25519Verify(publicKey, message, signature) {
    if (publicKey.length !== 32 || signature.length !== 64) return false;
    // A key that is not on the curve verifies nothing; the rest the runtime would take.
    if (!isCanonicalEd25519PublicKey(publicKey)) return false;
    return verify(null, message, rawPublicKey(ed25519Prefix.spki, publicKey), signature);
  },

  importPublicKey: (spki) => importPublicKeyWith(nativeSignatureEngine, spki),
  importPrivateKey: (pkcs8) => importPrivateKeyWith(nativeSignatureEngine, pkcs8),
  generatePrivateKey: generate,

  async pbkdf2(hash, password, salt, iterations, length) {
    checkPbkdf2(iterations, length);
    return plainBytes(await pbkdf2Async(password, salt, iterations, length, hash));
  },
  aesCbcEncrypt(key, iv, plaintext) {
    checkAesCbc(key, iv);
    const cipher = createCipheriv(`aes-${8 * key.length}-cbc`, key, iv);
    return concatBytes(cipher.update(plaintext), cipher.final());
  },
  aesCbcDecrypt(key, iv, ciphertext) {
    checkAesCbc(key, iv);
    const decipher = createDecipheriv(`aes-${8 * key.length}-cbc`, key, iv);
    try {
      return concatBytes(decipher.update(ciphertext), decipher.final());
    } catch {
      return undefined;
    }
  },
};

/** What stands before the 32 bytes of a key in PKCS#8 and SubjectPublicKeyInfo (RFC 8410 §7, §4). */
const x25519Prefix = {
  pkcs8: Uint8Array.fromHex("302e020100300506032b656e04220420"),
  spki: Uint8Array.fromHex("302a300506032b656e032100"),
};
const ed25519Prefix = {
  pkcs8: Uint8Array.fromHex("302e020100300506032b657004220420"),
  spki: Uint8Array.fromHex("302a300506032b6570032100"),
};

function rawPrivateKey(prefix: Uint8Array, key: Uint8Array) {
  return createPrivateKey({ key: Buffer.concat([prefix, key]), format: "der", type: "pkcs8" });
}

function rawPublicKey(prefix: Uint8Array, key: Uint8Array) {
  return createPublicKey({ key: Buffer.concat([prefix, key]), format: "der", type: "spki" });
}

function hmac(hash: "sha256" | "sha512", key: Uint8Array, data: Uint8Array): Uint8Array {
  return plainBytes(createHmac(hash, key).update(data).digest());
}

async function generate(type: KeyType): Promise<Uint8Array> {
  switch (type) {
    case "p256":
      return generateP256();
    case "ed25519":
      return encodePrivateKeyInfo({ type, secret: systemRandom(32), publicKey: undefined });
    case "rsa2048":
      return nativeRsa.generate(2048);
    case "rsa3072":
      return nativeRsa.generate(3072);
  }
}

function generateP256(): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  generateKeyPair("ec", { namedCurve: "P-256" }, (error, _, privateKey) => {
    if (error) reject(error);
    else resolve(plainBytes(privateKey.export({ format: "der", type: "pkcs8" })));
  });
  return promise;
}
