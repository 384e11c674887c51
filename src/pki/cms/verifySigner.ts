import { equalBytes } from "../../base/bytes.ts";
import { isLowS } from "../../crypto/ecdsaSignature.ts";
import { PkiError } from "../pkiError.ts";
import { cmsOids } from "./oids.ts";
import { encodeSigningCertificate } from "./signedAttributes.ts";
import type { CounterSignature, Signer, SignerInfo } from "./signerInfo.ts";

/**
 * Verifies one signer over `content`, and each of its counter signatures over its signature octets. That the
 * certificates may be trusted, and were valid, is for the caller to ask `verifyPath`, whose results `uncoveredParts`
 * compares with what is in the file. Time-stamp tokens are not judged here.
 *
 * @param signer from `decodeSignedData`
 * @throws {PkiError} `CMS_CONTENT_TYPE_WRONG`, `ALGORITHM_MISMATCH`, `CMS_SIGNER_MISMATCH`, `CMS_DIGEST_MISMATCH`,
 *  `CMS_SIGNATURE_INVALID`, `CMS_SIGNATURE_NOT_CANONICAL`; `CMS_COUNTERSIGNATURE_INVALID` with one of these as its cause
 */
export function verifySigner(signer: Signer, content: Uint8Array): void {
  if (signer.signedAttributes.contentType !== cmsOids.data)
    throw new PkiError(
      "CMS_CONTENT_TYPE_WRONG",
      `CMS: signed content type is not id-data: ${nameOf(signer)}`,
    );
  verifySignerInfo(signer, content);
  for (const counterSignature of signer.counterSignatures) verifyCounterSignature(counterSignature, signer);
}

/** @throws {PkiError} `CMS_COUNTERSIGNATURE_INVALID` with the reason as its cause */
export function verifyCounterSignature(counterSignature: CounterSignature, signer: SignerInfo): void {
  try {
    verifySignerInfo(counterSignature, signer.signature);
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    throw new PkiError(
      "CMS_COUNTERSIGNATURE_INVALID",
      `CMS: counter signature by ${nameOf(counterSignature)} on ${nameOf(signer)}`,
      { cause },
    );
  }
}

/** RFC 5652 §5.4, §5.6 and RFC 5035 §5. */
function verifySignerInfo(signer: SignerInfo, message: Uint8Array): void {
  const { certificate, suite, signedAttributes, signature } = signer;
  const { publicKey } = certificate;
  if (suite.keyType !== publicKey.type)
    throw new PkiError(
      "ALGORITHM_MISMATCH",
      `CMS: the algorithms are not for a ${publicKey.type} key: ${nameOf(signer)}`,
    );
  // The attribute names the certificate by its hash: without it the file would only name an issuer and a number.
  if (!equalBytes(signedAttributes.signingCertificate, encodeSigningCertificate(certificate)))
    throw new PkiError(
      "CMS_SIGNER_MISMATCH",
      `CMS: signed with another certificate than this one: ${nameOf(signer)}`,
    );
  if (!equalBytes(signedAttributes.messageDigest, suite.digest(message)))
    throw new PkiError(
      "CMS_DIGEST_MISMATCH",
      `CMS: signature over other bytes than these: ${nameOf(signer)}`,
    );
  if (!publicKey.verify(suite.scheme, signedAttributes.der, signature))
    throw new PkiError("CMS_SIGNATURE_INVALID", `CMS: signature does not verify: ${nameOf(signer)}`);
  // Anybody can turn a valid (r, s) into (r, n - s): one of the two is enough.
  if (suite.keyType === "p256" && !isLowS(signature, "p256"))
    throw new PkiError(
      "CMS_SIGNATURE_NOT_CANONICAL",
      `CMS: ECDSA signature with a high S: ${nameOf(signer)}`,
    );
}

function nameOf(signer: SignerInfo): string {
  return signer.certificate.subjectText;
}
