import { isLowS } from "../crypto/ecdsaSignature.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";

/**
 * The signature schemes of the certificate profile, by type of key.
 *
 * @param signer whose path the caller has verified for the time in question
 * @returns whether `signature` is one over `message` by the key of `signer`, in the one form that is accepted for texts
 *  of a log: ECDSA in strict DER with low S, so that nobody but the signer can make a second signature out of the first
 */
export function isSignedBy(signer: VerifiedCertificate, message: Uint8Array, signature: Uint8Array): boolean {
  const { publicKey } = signer.certificate;
  switch (publicKey.type) {
    case "p256":
      return isLowS(signature, "p256") && publicKey.verify("ecdsa-p256-sha256", message, signature);
    case "rsa":
      return publicKey.verify("rsa-pkcs1-sha256", message, signature);
    case "ed25519":
      return publicKey.verify("ed25519", message, signature);
    case "p384":
    case "p521":
      return false;
  }
}
