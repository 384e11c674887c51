import { CryptoError, type CryptoProvider, crypto, type PublicKey, sha256 } from "../crypto/crypto.ts";
import { readDer } from "./der.ts";
import { PkiError } from "./pkiError.ts";

/**
 * Imports the key of a certificate or a request for one.
 *
 * @param spki SubjectPublicKeyInfo, DER, from anyone
 * @throws {PkiError} `KEY_UNSUPPORTED`, `KEY_MALFORMED`
 */
export function importSubjectKey(spki: Uint8Array, provider: CryptoProvider = crypto()): PublicKey {
  try {
    return provider.importPublicKey(spki);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new PkiError(
      cause.code === "UNSUPPORTED_KEY" ? "KEY_UNSUPPORTED" : "KEY_MALFORMED",
      `the public key can't be used: ${cause.message}`,
      { cause },
    );
  }
}

/** The key identifier of RFC 7093 §2 method 1: the first 160 bits of SHA-256 over the subjectPublicKey bits. */
export function subjectKeyIdOf({ spki }: { readonly spki: Uint8Array }): Uint8Array {
  const info = readDer(spki, 0x30);
  info.sequence();
  return sha256(info.bitStringOctets()).slice(0, 20);
}
