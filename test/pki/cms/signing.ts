import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { countersign } from "../../../src/pki/cms/countersign.ts";
import { signDetached } from "../../../src/pki/cms/signDetached.ts";
import { decodeSignedData, type Signer } from "../../../src/pki/cms/signedData.ts";
import type { Party } from "./parties.ts";

/** What the tests sign: neither text in S/MIME's form nor one line. */
export const content = encodeUtf8('{"type":"receipt"}\r\n\nno text for S/MIME\n');

/** A minute after the certificate began to be valid, and some milliseconds that CMS doesn't keep. */
export function signingTimeOf(party: Party): number {
  return party.certificate.notBeforeMs + 60_007;
}

export function signedBy(party: Party, ...include: readonly Party[]): Uint8Array {
  const { certificate, key } = party;
  const includeCertificates = include.map((other) => other.certificate);
  return signDetached({
    content,
    certificate,
    key,
    includeCertificates,
    signingTimeMs: signingTimeOf(party),
  });
}

/** Signed some seconds later: another signature, also where signing is deterministic. */
export function signedLaterBy(party: Party, seconds: number): Uint8Array {
  const signingTimeMs = signingTimeOf(party) + seconds * 1000;
  return signDetached({ ...party, content, includeCertificates: [], signingTimeMs });
}

export function countersignedBy(
  file: Uint8Array,
  target: Party,
  counterSigner: Party,
  seconds = 1,
): Uint8Array {
  const signingTimeMs = signingTimeOf(counterSigner) + seconds * 1000;
  return countersign(file, target.certificate.fingerprint, { ...counterSigner, signingTimeMs });
}

/** @returns the signer of a file that has one */
export function onlySigner(file: Uint8Array): Signer {
  const { signers } = decodeSignedData(file);
  const [signer] = signers;
  if (signer === undefined || signers.length !== 1) throw new Error(`${signers.length} signers`);
  return signer;
}

export function signerOf(file: Uint8Array, party: Party): Signer {
  const found = decodeSignedData(file).signers.find(
    ({ fingerprint }) => fingerprint === party.certificate.fingerprint,
  );
  if (found === undefined) throw new Error(`${party.certificate.subjectText} has not signed`);
  return found;
}
