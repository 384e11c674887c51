import type { CiphersuiteImpl } from "ts-mls/crypto/ciphersuite.js";
import type { Hpke, PrivateKey, PublicKey } from "ts-mls/crypto/hpke.js";
import { equalBytesConstantTime } from "../base/bytes.ts";
import { crypto } from "../crypto/crypto.ts";
import { GroupError } from "./groupError.ts";
import {
  deriveHpkeKeyPair,
  hpkeKeyPair,
  hpkeOpen,
  hpkeReceiveExport,
  hpkeSeal,
  hpkeSendExport,
  type Random,
} from "./hpke.ts";
import { deviceSeedBytes, hashBytes, hpkeSeedBytes, suiteName } from "./profile.ts";

const empty = new Uint8Array(0);

/**
 * The one MLS ciphersuite, made from our own primitives: the library's providers, which pin other versions of theirs,
 * are never loaded. Signature keys are Ed25519 seeds, HPKE private keys X-Wing seeds.
 *
 * @param random leave it out where nothing may be drawn: reading a message needs no randomness
 */
export function ciphersuite(random: Random = noRandom): CiphersuiteImpl {
  return {
    name: suiteName,
    rng: { randomBytes: random },
    hash: {
      digest: async (data) => crypto().sha512(data),
      mac: async (key, data) => crypto().hmac("sha512", key, data),
      verifyMac: async (key, mac, data) => equalBytesConstantTime(mac, crypto().hmac("sha512", key, data)),
    },
    kdf: {
      size: hashBytes,
      extract: async (salt, inputKey) => crypto().hkdfExtract("sha512", salt, inputKey),
      expand: async (prk, info, length) => crypto().hkdfExpand("sha512", prk, info, length),
    },
    signature: {
      sign: async (seed, message) => crypto().ed25519Sign(seed, message),
      verify: async (publicKey, message, signature) => crypto().ed25519Verify(publicKey, message, signature),
      keygen: async () => {
        const signKey = random(deviceSeedBytes);
        return { signKey, publicKey: crypto().ed25519PublicKey(signKey) };
      },
    },
    hpke: hpke(random),
  };
}

function hpke(random: Random): Hpke {
  return {
    keyLength: 32,
    nonceLength: 12,
    seal: async (publicKey, plaintext, info, aad = empty) => {
      const sealed = await hpkeSeal(bytesOf(publicKey), { info, aad, plaintext, random });
      return { enc: sealed.encapsulated, ct: sealed.ciphertext };
    },
    open: async (privateKey, encapsulated, ciphertext, info, aad = empty) =>
      hpkeOpen(bytesOf(privateKey), { encapsulated, info, aad, ciphertext }),
    exportSecret: async (publicKey, context, length, info) => {
      const { encapsulated, secret } = await hpkeSendExport(bytesOf(publicKey), {
        info,
        context,
        length,
        random,
      });
      return { enc: encapsulated, secret };
    },
    importSecret: async (privateKey, context, encapsulated, length, info) =>
      hpkeReceiveExport(bytesOf(privateKey), { encapsulated, info, context, length }),
    deriveKeyPair: async (inputKey) => keyPair(await deriveHpkeKeyPair(inputKey)),
    generateKeyPair: async () => keyPair(await hpkeKeyPair(random(hpkeSeedBytes))),
    importPrivateKey: async (bytes) => new RawPrivateKey(bytes),
    importPublicKey: async (bytes) => new RawPublicKey(bytes),
    exportPrivateKey: async (key) => bytesOf(key),
    exportPublicKey: async (key) => bytesOf(key),
    encryptAead: async (key, nonce, aad, plaintext) =>
      crypto().aesGcmSeal(key, nonce, plaintext, aad ?? empty),
    decryptAead: async (key, nonce, aad, ciphertext) => {
      const plaintext = crypto().aesGcmOpen(key, nonce, ciphertext, aad ?? empty);
      if (plaintext === undefined) throw new GroupError("INVALID", "AEAD ciphertext does not open");
      return plaintext;
    },
  };
}

/** The library passes keys around as WebCrypto keys and looks at none of their fields; ours are plain bytes. */
class RawKey {
  readonly algorithm = { name: "X-Wing" };
  readonly extractable = true;
  readonly usages: [] = [];
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

class RawPublicKey extends RawKey implements PublicKey {
  readonly type = "public";
}

class RawPrivateKey extends RawKey implements PrivateKey {
  readonly type = "private";
}

function bytesOf(key: PublicKey | PrivateKey): Uint8Array {
  if (!(key instanceof RawKey)) throw new TypeError("a key of another ciphersuite");
  return key.bytes;
}

function keyPair({ privateKey, publicKey }: { privateKey: Uint8Array; publicKey: Uint8Array }) {
  return { privateKey: new RawPrivateKey(privateKey), publicKey: new RawPublicKey(publicKey) };
}

function noRandom(): Uint8Array {
  throw new TypeError("randomness was asked for where none was given");
}
