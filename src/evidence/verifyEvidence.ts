import type { Hex } from "../base/hex.ts";
import { servesAs } from "../log/memberIdentity.ts";
import type { Certificate } from "../pki/certificate.ts";
import { CertificateBook, isAuthority, isSignedBy, readCertificatesFile } from "./certificateBook.ts";
import { checkCheckpoints } from "./checkpointsCheck.ts";
import { checkDisclosures } from "./disclosuresCheck.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import type { EvidenceInput } from "./evidenceInput.ts";
import { checkReceipts, readStatements } from "./receiptsCheck.ts";
import { Findings, type MemberReport, type Report } from "./report.ts";
import { RevocationCheck } from "./revocationCheck.ts";
import { readTranscript, type TranscriptReading } from "./transcriptReading.ts";

/**
 * Judges a body of evidence. It needs no key, server, vault, network or clock: only what it is handed. Everything in
 * there may be forged by somebody who wants it to look right, except the anchors and CRLs, which the verifier brings.
 *
 * @returns what was found; it throws for nothing that stands in the evidence
 */
export async function verifyEvidence(input: EvidenceInput): Promise<Report> {
  const findings = new Findings();

  // 1. Certificates: every signature below hangs on a path to an anchor of the verifier's.
  const certificates = input.certificates.flatMap((file) => readCertificatesFile(file, findings));
  const anchors = chooseAnchors(input, certificates, findings);
  const book = new CertificateBook(certificates, anchors);
  const revocations = new RevocationCheck(
    { folder: input.crl, own: input.crls },
    [...anchors, ...certificates.filter(isAuthority)],
    findings,
  );

  // 2. Every entry: form, order, roster, epoch, view, certificate at its time, signature. This also makes the root.
  const statements = readStatements(input.receipts, findings);
  const reading = await readTranscript(input.transcript, {
    book,
    findings,
    prefixSizes: statements.map(({ statement }) => statement.size),
  });
  const evidence = { input, book, revocations, findings };
  checkRevokedSenders(reading, evidence);

  // 3. What the server signed about the log, and what was signed over the whole of it.
  checkCheckpoints(reading, evidence);
  const receipts = checkReceipts(reading, statements, evidence);

  // 4. Words that somebody disclosed, against what their authors signed.
  const words = checkDisclosures(reading, evidence);

  checkServerName(reading, evidence);
  for (const name of input.strayFiles)
    findings.note("UNEXPECTED_FILE", name, "", "it is not part of the evidence and was not looked at");
  // Where a path was refused, the entries behind it were not looked at, so it says nothing that a certificate was not used.
  if (book.refused.size === 0)
    for (const certificate of book.unused())
      findings.error(
        "CERTIFICATE_UNUSED",
        input.certificates[0]?.name ?? "",
        `certificate ${certificate.fingerprint}`,
        `nothing here was signed with the certificate of ${certificate.subjectText}, so it was put in or altered`,
      );
  explainRefusedPaths(book, anchors, evidence);
  if (revocations.isEmpty && reading.state !== undefined)
    findings.note(
      "REVOCATION_UNKNOWN",
      "",
      "",
      "no revocation list was at hand, so nothing is said about revoked certificates; --crl FILE brings one",
    );

  const { state } = reading;
  const [anchor] = anchors;
  const disclosed = new Set(words.map(({ index }) => index));
  return {
    verdict: findings.verdict(state !== undefined),
    conversation: state?.conversation ?? null,
    kind: state?.kind ?? null,
    title: state?.title ?? "",
    server: state?.server.name ?? "",
    ca:
      anchor === undefined
        ? null
        : { subject: anchor.subjectText, fingerprint: anchor.fingerprint, trusted: input.anchors.length > 0 },
    entries: state?.size ?? 0,
    messages: reading.messages.size,
    root: state?.root ?? null,
    transcriptSha256: reading.sha256 ?? null,
    from: state?.firstAt ?? null,
    to: state?.lastAt ?? null,
    members: reportMembers(reading, receipts),
    receipts,
    words,
    withheld: [...reading.messages.keys()].filter((index) => !disclosed.has(index)),
    findings: findings.all,
  };
}

/** Without anchors of the verifier's own the CA in the folder stands in, and no verdict gets better than `incomplete`. */
function chooseAnchors(
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

/** A signature made after its certificate was revoked may be the thief's. */
function checkRevokedSenders(
  { firstAndLastAt, indexAtOrAfter, name }: TranscriptReading,
  evidence: EvidenceContext,
): void {
  for (const [fingerprint, { lastAt, who }] of firstAndLastAt) {
    const certificate = evidence.book.find(fingerprint);
    const revokedAt = certificate && evidence.revocations.revokedAt(certificate);
    if (revokedAt === undefined) continue;
    const when = new Date(revokedAt).toISOString();
    if (lastAt < revokedAt)
      evidence.findings.note(
        "SIGNER_REVOKED",
        name,
        `sender ${who}`,
        `revoked on ${when}, after the last entry`,
      );
    else {
      const index = indexAtOrAfter(fingerprint, revokedAt);
      evidence.findings.error(
        "SIGNER_REVOKED",
        name,
        `line ${index + 1}`,
        `${who} had been revoked on ${when} when this entry was received`,
      );
    }
  }
}

function checkServerName({ state }: TranscriptReading, { input, book, findings }: EvidenceContext): void {
  if (input.server === undefined || state === undefined || state.server.name === input.server) return;
  const certificate = book.find(state.server.fingerprint);
  if (certificate !== undefined && servesAs(certificate, input.server)) return;
  findings.error(
    "WRONG_SERVER",
    "",
    "",
    `the conversation was on the server ${state.server.name}, not on ${input.server} as demanded`,
  );
}

/** "Made under another CA" is said once and plainly, beside the entry that failed because of it. */
function explainRefusedPaths(
  book: CertificateBook,
  anchors: readonly Certificate[],
  { input, findings }: EvidenceContext,
): void {
  for (const [fingerprint, error] of book.refused) {
    const unknown = error.code === "NO_PATH" || error.code === "SIGNATURE_INVALID";
    const subject = book.find(fingerprint)?.subjectText ?? fingerprint;
    findings.error(
      unknown ? "UNKNOWN_CA" : "CERTIFICATE_REFUSED",
      input.certificates[0]?.name ?? "",
      `certificate ${fingerprint}`,
      unknown
        ? `the certificate of ${subject} was not issued by your CA (sha256:${anchors[0]?.fingerprint ?? "none"})`
        : `${subject}: ${error.message}`,
    );
  }
}

function reportMembers(
  { state, messages, signedFor }: TranscriptReading,
  receipts: Report["receipts"],
): MemberReport[] {
  if (state === undefined) return [];
  const count = new Map<Hex, number>();
  for (const { entry } of messages.values()) count.set(entry.sender, (count.get(entry.sender) ?? 0) + 1);
  return [...state.senders].map(([fingerprint, { username, email }]) => {
    const signed = receipts.flatMap((receipt) =>
      receipt.signers
        .filter((signer) => signer.fingerprint === fingerprint)
        .map(({ countersignedAt }) => ({ size: receipt.size, countersignedAt })),
    );
    const largest = signed.reduce((best, next) => (next.size > best.size ? next : best), {
      size: 0,
      countersignedAt: null as number | null,
    });
    return {
      username,
      email,
      fingerprint,
      messages: count.get(fingerprint) ?? 0,
      signedFor: Math.max(signedFor.get(fingerprint) ?? 0, largest.size),
      receiptSize: largest.size,
      countersignedAt: largest.countersignedAt,
    };
  });
}
