import { equalBytes } from "../../base/bytes.ts";
import { encodeHex } from "../../base/hex.ts";
import { assembleSignedData, decodeSignedData } from "./signedData.ts";
import type { Signer } from "./signerInfo.ts";

/**
 * Joins two files over the same content: all signers of both, each once, with the certificates that they need. When
 * both have a signer, the SignerInfo of `a` stays. Counter signatures and time-stamp tokens that only `b` has are
 * taken over where they are over the same signature; one by the same counter signer stays as in `a`.
 *
 * Nothing is verified: the caller has verified both files (`verifySigner`, `verifyPath`, `uncoveredParts`), else one
 * bad signer from outside spoils the joint file.
 *
 * @returns ContentInfo, DER
 * @throws {PkiError} `CMS_CONFLICT` when the two disagree on a certificate of one issuer and serial number,
 *  `CMS_TOO_LARGE`, and what `decodeSignedData` throws
 */
export function mergeSignedData(a: Uint8Array, b: Uint8Array): Uint8Array {
  const first = decodeSignedData(a);
  const second = decodeSignedData(b);
  const signers = new Map(first.signers.map((signer) => [signer.fingerprint, signer]));
  for (const signer of second.signers) {
    const present = signers.get(signer.fingerprint);
    signers.set(signer.fingerprint, present === undefined ? signer : mergeSigner(present, signer));
  }
  return assembleSignedData([...signers.values()], [...first.certificates, ...second.certificates]);
}

function mergeSigner(a: Signer, b: Signer): Signer {
  const sameSignature =
    equalBytes(a.signature, b.signature) && equalBytes(a.signedAttributes.der, b.signedAttributes.der);
  if (!sameSignature) return a;
  const counterSigners = new Set(a.counterSignatures.map(({ fingerprint }) => fingerprint));
  const tokens = new Map(
    [...a.timeStampTokens, ...b.timeStampTokens].map((token) => [encodeHex(token), token]),
  );
  return {
    ...a,
    counterSignatures: [
      ...a.counterSignatures,
      ...b.counterSignatures.filter(({ fingerprint }) => !counterSigners.has(fingerprint)),
    ],
    timeStampTokens: [...tokens.values()],
  };
}
