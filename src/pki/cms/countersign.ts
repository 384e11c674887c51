import type { Hex } from "../../base/hex.ts";
import type { Certificate } from "../certificate.ts";
import { PkiError } from "../pkiError.ts";
import { makeSignerInfo, type SigningParty } from "./makeSignerInfo.ts";
import { assembleSignedData, decodeSignedData } from "./signedData.ts";
import { verifyCounterSignature } from "./verifySigner.ts";

/**
 * Adds a counter signature (RFC 5652 §11.4) over the signature octets of one signer: "this signature existed at my
 * signingTime". It says nothing about the content, so the caller has run `verifySigner` first. A signer that this
 * certificate has countersigned before stays as it is: the first date counts, and a repeated request is harmless.
 *
 * @param signer fingerprint of the signer to countersign
 * @param party.includeCertificates intermediates of the counter signer
 * @returns ContentInfo, DER
 * @throws {PkiError} `CMS_SIGNER_UNKNOWN` when that signer is not in the file, `CMS_SIGNER_MISMATCH`, `KEY_UNSUPPORTED`,
 *  `CMS_CONFLICT`, `CMS_TOO_LARGE`, `CMS_COUNTERSIGNATURE_INVALID` when the file has a false counter signature in the
 *  name of this certificate, and what `decodeSignedData` throws
 */
export function countersign(
  signedData: Uint8Array,
  signer: Hex,
  party: SigningParty & { readonly includeCertificates?: readonly Certificate[] },
): Uint8Array {
  const { certificates, signers } = decodeSignedData(signedData);
  const target = signers.find(({ fingerprint }) => fingerprint === signer);
  if (target === undefined)
    throw new PkiError("CMS_SIGNER_UNKNOWN", `CMS: no signature by the certificate ${signer}`);

  const { fingerprint } = party.certificate;
  const earlier = target.counterSignatures.find(
    (counterSignature) => counterSignature.fingerprint === fingerprint,
  );
  if (earlier !== undefined) {
    verifyCounterSignature(earlier, target);
    return new Uint8Array(signedData);
  }
  const counterSignature = makeSignerInfo("counterSigner", target.signature, party);
  const countersigned = { ...target, counterSignatures: [...target.counterSignatures, counterSignature] };
  return assembleSignedData(
    signers.map((other) => (other === target ? countersigned : other)),
    [...certificates, ...(party.includeCertificates ?? [])],
  );
}
