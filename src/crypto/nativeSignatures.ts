import { constants, createHmac, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { concatBytes } from "../base/bytes.ts";
import { isEd25519PublicKey } from "./nobleSignatures.ts";
import { plainBytes } from "./plainBytes.ts";
import { encodePrivateKeyInfo } from "./privateKeyInfo.ts";
import type { SignatureEngine } from "./signatureKeys.ts";

const digestBytes = { sha256: 32, sha384: 48, sha512: 64 } as const;

/** Keys are parsed here once; each operation after that hands a `KeyObject` to the runtime. */
export const nativeSignatureEngine: SignatureEngine = {
  ecdsaVerifier(_, spki) {
    const key = orUndefined(() => publicKeyObject(spki));
    return key && (({ hash, message, der }) => verify(hash, message, key, der));
  },
  rsaVerifier(_, spki) {
    const key = publicKeyObject(spki);
    const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING } = constants;
    return ({ hash, padding, message, signature }) =>
      padding === "pkcs1"
        ? verify(hash, message, { key, padding: RSA_PKCS1_PADDING }, signature)
        : verify(
            hash,
            message,
            { key, padding: RSA_PKCS1_PSS_PADDING, saltLength: digestBytes[hash] },
            signature,
          );
  },
  ed25519Verifier(raw, spki) {
    // The runtime takes any 32 bytes for a key, and verifies with it.
    if (!isEd25519PublicKey(raw)) return undefined;
    const key = publicKeyObject(spki);
    return (message, signature) => verify(null, message, key, signature);
  },
  publicHalf(info) {
    const key = orUndefined(() => privateKeyObject(encodePrivateKeyInfo({ ...info, publicKey: undefined })));
    if (key === undefined) return undefined;
    const spki = createPublicKey(key).export({ format: "der", type: "spki" });
    // Both forms end with the bare key: the point of p256 (65 bytes), the Ed25519 key (32 bytes).
    return plainBytes(spki).slice(info.type === "p256" ? -65 : -32);
  },
  signer(info, pkcs8) {
    const key = privateKeyObject(pkcs8);
    const hash = info.type === "p256" ? "sha256" : null;
    return (message) => plainBytes(sign(hash, message, key));
  },
  deriveSecret(secret, label) {
    const prk = createHmac("sha256", label).update(secret).digest();
    return plainBytes(
      createHmac("sha256", prk)
        .update(concatBytes(label, Uint8Array.of(1)))
        .digest(),
    );
  },
};

function publicKeyObject(spki: Uint8Array) {
  return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
}

function privateKeyObject(pkcs8: Uint8Array) {
  return createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
}

function orUndefined<T>(operation: () => T): T | undefined {
  try {
    return operation();
  } catch {
    return undefined;
  }
}
