import { encodeUtf8, equalBytes } from "../base/bytes.ts";
import { bitLength } from "./bigEndian.ts";
import { CryptoError } from "./cryptoError.ts";
import {
  decodeEcdsaSignature,
  type EcdsaCurve,
  type EcdsaSignature,
  normalizeLowS,
} from "./ecdsaSignature.ts";
import {
  type CurvePrivateKeyInfo,
  decodePrivateKeyInfo,
  encodePrivateKeyInfo,
  type PrivateKeyInfo,
} from "./privateKeyInfo.ts";
import type { PrivateKey, PublicKey, SignatureScheme } from "./provider.ts";
import type { RsaPrivateKeyInfo } from "./rsaPrivateKey.ts";
import { rsaRuntime } from "./rsaRuntime.ts";
import {
  curves,
  decodePublicKeyInfo,
  type EcPublicKeyInfo,
  encodePublicKeyInfo,
  type PublicKeyInfo,
  type RsaPublicKeyInfo,
} from "./subjectPublicKeyInfo.ts";

export type SignatureHash = "sha256" | "sha384" | "sha512";

/** A well-formed ECDSA signature with its DER. */
export interface EcdsaInput extends EcdsaSignature {
  readonly hash: SignatureHash;
  readonly message: Uint8Array;
  readonly der: Uint8Array;
}

export interface RsaInput {
  readonly hash: SignatureHash;
  readonly padding: "pkcs1" | "pss";
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * What a provider does with a key that has been decoded. Which keys and signatures are well-formed is decided in this
 * file and in the decoders below it, once for both providers.
 */
export interface SignatureEngine {
  /** @returns `undefined` when the point is not on the curve */
  ecdsaVerifier(key: EcPublicKeyInfo, spki: Uint8Array): ((input: EcdsaInput) => boolean) | undefined;
  rsaVerifier(key: RsaPublicKeyInfo, spki: Uint8Array): (input: RsaInput) => boolean;
  /** @returns `undefined` unless `key` (32 bytes) encodes a point of the curve, canonically, and not of low order */
  ed25519Verifier(
    key: Uint8Array,
    spki: Uint8Array,
  ): ((message: Uint8Array, signature: Uint8Array) => boolean) | undefined;
  /** @returns the public half (p256: the uncompressed point), or `undefined` when the scalar is not in 1 … n-1 */
  publicHalf(key: CurvePrivateKeyInfo): Uint8Array | undefined;
  /** @param pkcs8 as `encodePrivateKeyInfo` writes it. @returns what signs; p256: DER with low or high S */
  signer(key: CurvePrivateKeyInfo, pkcs8: Uint8Array): (message: Uint8Array) => Uint8Array;
  /** HKDF-SHA-256 with `label` as salt and as info (RFC 5869). @returns 32 bytes */
  deriveSecret(secret: Uint8Array, label: Uint8Array): Uint8Array;
}

interface SchemeFacts {
  readonly key: PublicKey["type"];
  readonly hash: SignatureHash;
  /** RSA only. */
  readonly padding?: RsaInput["padding"];
}

const schemes: Record<SignatureScheme, SchemeFacts> = {
  "ecdsa-p256-sha256": { key: "p256", hash: "sha256" },
  "ecdsa-p384-sha384": { key: "p384", hash: "sha384" },
  "ecdsa-p521-sha512": { key: "p521", hash: "sha512" },
  "rsa-pkcs1-sha256": { key: "rsa", hash: "sha256", padding: "pkcs1" },
  "rsa-pkcs1-sha384": { key: "rsa", hash: "sha384", padding: "pkcs1" },
  "rsa-pkcs1-sha512": { key: "rsa", hash: "sha512", padding: "pkcs1" },
  "rsa-pss-sha256": { key: "rsa", hash: "sha256", padding: "pss" },
  "rsa-pss-sha384": { key: "rsa", hash: "sha384", padding: "pss" },
  "rsa-pss-sha512": { key: "rsa", hash: "sha512", padding: "pss" },
  ed25519: { key: "ed25519", hash: "sha512" },
};

type Verifier = (scheme: SignatureScheme, message: Uint8Array, signature: Uint8Array) => boolean;

/** `CryptoProvider.importPublicKey` over the engine of a provider. @throws {CryptoError} */
export function importPublicKeyWith(engine: SignatureEngine, spki: Uint8Array): PublicKey {
  const own = spki.slice();
  const info = decodePublicKeyInfo(own);
  const verify = verifierOf(engine, info, own);
  return {
    kind: "public",
    type: info.type,
    bits: bitsOf(info),
    spki: own,
    verify: (scheme, message, signature) =>
      schemes[scheme].key === info.type && verify(scheme, message, signature),
  };
}

/** `CryptoProvider.importPrivateKey` over the engine of a provider. @throws {CryptoError} */
export function importPrivateKeyWith(engine: SignatureEngine, pkcs8: Uint8Array): PrivateKey {
  const info = decodePrivateKeyInfo(pkcs8.slice());
  const { spki, sign } = usableKey(engine, info);
  const { secret } = info;
  return {
    kind: "private",
    type: info.type,
    scheme: schemeOf(info.type),
    spki,
    sign,
    deriveSecret: (label) => engine.deriveSecret(secret, encodeUtf8(label)),
  };
}

function verifierOf(engine: SignatureEngine, info: PublicKeyInfo, spki: Uint8Array): Verifier {
  switch (info.type) {
    case "rsa": {
      const verify = engine.rsaVerifier(info, spki);
      const length = Math.ceil(bitLength(info.modulus) / 8);
      return (scheme, message, signature) => {
        const { hash, padding } = schemes[scheme];
        return (
          padding !== undefined &&
          signature.length === length &&
          verify({ hash, padding, message, signature })
        );
      };
    }
    case "ed25519": {
      const verify = engine.ed25519Verifier(info.key, spki);
      if (verify === undefined)
        throw new CryptoError(
          "MALFORMED_KEY",
          "Ed25519 key is no canonical point of the curve or one of low order",
        );
      return (_, message, signature) => signature.length === 64 && verify(message, signature);
    }
    default: {
      const verify = engine.ecdsaVerifier(info, spki);
      if (verify === undefined)
        throw new CryptoError("MALFORMED_KEY", `EC key is not a point of ${info.type}`);
      return (scheme, message, der) => {
        const signature = decodeEcdsaSignature(der, info.type);
        return signature !== undefined && verify({ ...signature, der, message, hash: schemes[scheme].hash });
      };
    }
  }
}

function usableKey(engine: SignatureEngine, info: PrivateKeyInfo): Pick<PrivateKey, "spki" | "sign"> {
  switch (info.type) {
    case "p256":
    case "ed25519":
      return curveKey(engine, info);
    default:
      return rsaKey(info);
  }
}

function curveKey(engine: SignatureEngine, info: CurvePrivateKeyInfo): Pick<PrivateKey, "spki" | "sign"> {
  const publicKey = engine.publicHalf(info);
  if (publicKey === undefined) throw new CryptoError("MALFORMED_KEY", "private scalar is not from 1 to n-1");
  if (info.publicKey !== undefined && !equalBytes(info.publicKey, publicKey))
    throw new CryptoError("MALFORMED_KEY", "private key carries the public half of another key");
  const sign = engine.signer(info, encodePrivateKeyInfo({ ...info, publicKey }));
  if (info.type === "ed25519")
    return { spki: encodePublicKeyInfo({ type: "ed25519", key: publicKey }), sign };
  return {
    spki: encodePublicKeyInfo({ type: "p256", point: publicKey }),
    sign: (message) => lowS(sign(message), "p256"),
  };
}

function rsaKey(info: RsaPrivateKeyInfo): Pick<PrivateKey, "spki" | "sign"> {
  return {
    spki: encodePublicKeyInfo({ type: "rsa", modulus: info.modulus, exponent: info.exponent }),
    sign: rsaRuntime().signer(encodePrivateKeyInfo(info)),
  };
}

function lowS(der: Uint8Array, curve: EcdsaCurve): Uint8Array {
  const normalized = normalizeLowS(der, curve);
  if (normalized === undefined)
    throw new CryptoError("UNAVAILABLE", "the provider made a malformed ECDSA signature");
  return normalized;
}

function bitsOf(info: PublicKeyInfo): number {
  switch (info.type) {
    case "rsa":
      return bitLength(info.modulus);
    case "ed25519":
      return 255;
    default:
      return curves[info.type].bits;
  }
}

function schemeOf(type: PrivateKey["type"]): PrivateKey["scheme"] {
  switch (type) {
    case "p256":
      return "ecdsa-p256-sha256";
    case "ed25519":
      return "ed25519";
    default:
      return "rsa-pkcs1-sha256";
  }
}
