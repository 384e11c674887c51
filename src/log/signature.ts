import { isLowS } from "../crypto/ecdsaSignature.ts";
import { profileSchemeOf } from "../crypto/profileScheme.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";

/**
 * @param signer whose path the caller has verified for the time in question
 * @returns whether `signature` is one over `message` by the key of `signer`, in the one form that is accepted for texts
 *  of a log and for device keys: the scheme of the profile, ECDSA in strict DER with low S, so that nobody but the signer
 *  can make a second signature out of the first
 */
export function isSignedBy(signer: VerifiedCertificate, message: Uint8Array, signature: Uint8Array): boolean {
  const { publicKey } = signer.certificate;
  const scheme = profileSchemeOf(publicKey);
  if (scheme === undefined || (publicKey.type === "p256" && !isLowS(signature, "p256"))) return false;
  return publicKey.verify(scheme, message, signature);
}
