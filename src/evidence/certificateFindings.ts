import type { Certificate } from "../pki/certificate.ts";
import { isAuthority, isSignedBy } from "./certificateBook.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import type { EvidenceInput } from "./evidenceInput.ts";
import type { Findings } from "./report.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

/** Without anchors of the verifier's own the CA in the folder stands in, and no verdict gets better than `incomplete`. */
export function chooseAnchors(
  { anchors, certificates: files }: EvidenceInput,
  certificates: readonly Certificate[],
  findings: Findings,
): readonly Certificate[] {
  const name = files[0]?.name ?? "";
  if (files.length === 0)
    findings.gap(
      "CERTIFICATES_MISSING",
      "",
      "",
      "certificates.pem is missing; the other members and the server have it",
    );
  if (anchors.length > 0) return anchors;
  const claimed = certificates.filter(
    (certificate) => isAuthority(certificate) && isSignedBy(certificate, certificate.publicKey),
  );
  const [first] = claimed;
  findings.gap(
    "NO_ANCHOR",
    name,
    "",
    first === undefined
      ? "no CA certificate was given: get the organisation's from a source that you trust and name it with --ca"
      : `no CA certificate was given, so the one in the folder stands in: compare its fingerprint sha256:${first.fingerprint} with the organisation's and name it with --ca`,
  );
  return claimed;
}

/** A certificate that nothing hangs on was put in or altered. */
export function checkCertificatesUsed(
  files: readonly { readonly name: string; readonly certificates: readonly Certificate[] }[],
  { sha256 }: TranscriptReading,
  { book, findings }: EvidenceContext,
): void {
  const nameOf = ({ fingerprint }: Certificate) =>
    files.find(({ certificates }) => certificates.some((other) => other.fingerprint === fingerprint))?.name;
  for (const certificate of book.unused()) {
    const name = nameOf(certificate);
    // What a receipt carries is judged with the receipt.
    if (name === undefined) continue;
    const where = `certificate ${certificate.fingerprint}`;
    // Where the transcript was not read to its end, its rest may need this certificate: all that can be said is whose it is.
    if (sha256 !== undefined)
      findings.error(
        "CERTIFICATE_UNUSED",
        name,
        where,
        `nothing here was signed with the certificate of ${certificate.subjectText}, so it was put in or altered`,
      );
    const isSigned = sha256 !== undefined || book.isSignedByKnownAuthority(certificate);
    if (isSigned === undefined) {
      findings.error(
        "CERTIFICATES_MALFORMED",
        name,
        where,
        "too many certificates of CAs of one name: from here on they were not looked at",
      );
      break;
    }
    if (!isSigned)
      findings.error(
        "CERTIFICATE_REFUSED",
        name,
        where,
        `no CA that is known here has signed the certificate of ${certificate.subjectText}, so it is another's or altered`,
      );
  }
}

/** "Made under another CA" is said once and plainly, beside the entry that failed because of it. */
export function explainRefusedPaths(
  anchors: readonly Certificate[],
  { input, book, findings }: EvidenceContext,
): void {
  for (const [fingerprint, error] of book.refused) {
    const unknown = error.code === "NO_PATH" || error.code === "SIGNATURE_INVALID";
    const subject = book.find(fingerprint)?.subjectText ?? fingerprint;
    const trusted = anchors.map((anchor) => `sha256:${anchor.fingerprint}`).join(", ");
    findings.error(
      unknown ? "UNKNOWN_CA" : "CERTIFICATE_REFUSED",
      input.certificates[0]?.name ?? "",
      `certificate ${fingerprint}`,
      unknown
        ? `no path leads from the certificate of ${subject} to your CA (${trusted === "" ? "none" : trusted}): another CA has issued it, or an intermediate certificate is missing`
        : `${subject}: ${error.message}`,
    );
  }
}
