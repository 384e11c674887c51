import type { PrivateKey, PublicKey } from "./provider.ts";

/**
 * The one scheme that a key of the certificate profile signs with, so that a peer has no choice to make.
 *
 * @returns `undefined` for keys that only certificates by others have (p384, p521): they have no part in the protocol
 */
export function profileSchemeOf({ type }: PublicKey): PrivateKey["scheme"] | undefined {
  switch (type) {
    case "p256":
      return "ecdsa-p256-sha256";
    case "rsa":
      return "rsa-pkcs1-sha256";
    case "ed25519":
      return "ed25519";
    case "p384":
    case "p521":
      return undefined;
  }
}
