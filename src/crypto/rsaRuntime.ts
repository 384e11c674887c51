import { CryptoError } from "./cryptoError.ts";

/**
 * The RSA operations that need a secret. They have no implementation in pure TypeScript here: BigInt arithmetic
 * takes a time that depends on the numbers. Verification needs no secret; see `rsaSignature.ts`.
 */
export interface RsaRuntime {
  /** A new key pair with the public exponent 65537. @returns unencrypted PKCS#8, DER */
  generate(bits: 2048 | 3072): Promise<Uint8Array>;
  /** @param pkcs8 checked by `decodePrivateKeyInfo`. @returns what makes RSASSA-PKCS1-v1_5 signatures with SHA-256 */
  signer(pkcs8: Uint8Array): (message: Uint8Array) => Uint8Array;
}

let registered: RsaRuntime | undefined;

/** Importing `native.ts` does it. A browser has none: RSA keys are verified there and not used. */
export function registerRsaRuntime(runtime: RsaRuntime): void {
  registered = runtime;
}

/** @throws {CryptoError} `UNAVAILABLE` where the runtime has registered none */
export function rsaRuntime(): RsaRuntime {
  if (registered === undefined)
    throw new CryptoError(
      "UNAVAILABLE",
      "this runtime has no RSA private-key operations, use a p256 or ed25519 key",
    );
  return registered;
}
