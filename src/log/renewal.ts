import { encodeUtf8 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { labels } from "../crypto/labels.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { isSignedBy } from "./signature.ts";

/** Fingerprints of the certificate that an account is bound to, and of the one that is to take its place. */
export interface Renewal {
  readonly from: Hex;
  readonly to: Hex;
}

/** @param key of the certificate `from` @returns its word that `to` is of the same owner */
export function signRenewal(renewal: Renewal, key: PrivateKey): Uint8Array {
  return key.sign(renewalBytes(renewal));
}

/** @param from whose path the caller has verified for now */
export function isRenewal(from: VerifiedCertificate, to: Hex, signature: Uint8Array): boolean {
  return isSignedBy(from, renewalBytes({ from: from.certificate.fingerprint, to }), signature);
}

function renewalBytes({ from, to }: Renewal): Uint8Array {
  return encodeUtf8(`${labels.renewal}\n${from}\n${to}\n`);
}
