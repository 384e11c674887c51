import { equalBytes } from "../base/bytes.ts";
import { servesAs } from "../log/memberIdentity.ts";
import { decodeSignedData, type SignedData, type Signer } from "../pki/cms/signedData.ts";
import { uncoveredParts } from "../pki/cms/uncoveredParts.ts";
import { verifySigner } from "../pki/cms/verifySigner.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import { EvidenceError } from "./evidenceError.ts";
import type { ReceiptFiles } from "./evidenceInput.ts";
import { buildStatement, parseStatement, type ReceiptStatement } from "./receiptStatement.ts";
import type { Findings, ReceiptReport } from "./report.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

export interface ReadStatement {
  readonly files: ReceiptFiles;
  readonly statement: ReceiptStatement;
}

/** Reads the statements, whose sizes the transcript has to be looked at for. */
export function readStatements(
  receipts: readonly ReceiptFiles[],
  findings: Findings,
): readonly ReadStatement[] {
  return receipts.flatMap((files) => {
    try {
      return [{ files, statement: parseStatement(files.statement.bytes) }];
    } catch (error) {
      if (!(error instanceof EvidenceError)) throw error;
      findings.error("STATEMENT_MALFORMED", files.statement.name, "", error.message);
      return [];
    }
  });
}

/** Checks each statement against the log, and who has signed it. */
export function checkReceipts(
  reading: TranscriptReading,
  statements: readonly ReadStatement[],
  evidence: EvidenceContext,
): readonly ReceiptReport[] {
  const { findings, input } = evidence;
  const reports = statements.map((read) => {
    const signers = checkSigners(read, evidence);
    compareStatement(read, reading, { findings, isSigned: signers.length > 0 });
    return { file: read.files.statement.name, size: read.statement.size, signers };
  });
  if (input.receipts.length === 0)
    findings.gap(
      "NO_RECEIPT",
      "",
      "",
      "there is no receipt: a member and the server have to sign one (/receipt or quit)",
    );
  else if (statements.length > 0) reportMissingSigners(reports, findings);
  const newest = Math.max(0, ...reports.map(({ size }) => size));
  const size = reading.state?.size ?? 0;
  if (newest > 0 && newest < size)
    findings.note(
      "LATER_ENTRIES",
      reading.name,
      `line ${newest + 1}`,
      `${size - newest} entries stand after the newest receipt: signed by their authors, not in any receipt`,
    );
  return reports;
}

/** The statement is a function of the entries: it is rebuilt, and the bytes are the same or not. */
function compareStatement(
  { files, statement }: ReadStatement,
  reading: TranscriptReading,
  { findings, isSigned }: { findings: Findings; isSigned: boolean },
): void {
  const { name, bytes } = files.statement;
  const prefix = reading.prefixes.get(statement.size);
  if (prefix === undefined) {
    if (reading.sha256 !== undefined)
      findings.gap(
        "STATEMENT_BEYOND",
        name,
        "field size",
        `it is about ${statement.size} entries, the transcript has ${reading.state?.size}: the rest is missing; another member or the server has it`,
      );
    return;
  }
  const expected = buildStatement(prefix);
  if (equalBytes(expected, bytes)) return;
  const truth = parseStatement(expected);
  const wrong = Object.keys(truth).filter((field) => {
    const key = field as keyof ReceiptStatement;
    return JSON.stringify(truth[key]) !== JSON.stringify(statement[key]);
  });
  findings.error(
    "STATEMENT_MISMATCH",
    name,
    `field ${wrong.join(", ")}`,
    "it is not what the transcript amounts to",
  );
  if (!isSigned) return;
  // The statement is what they signed, so the transcript is what was altered: behind the last prefix that a later author
  // vouched for, since an altered entry before that would have been refused for its successor's view.
  const vouched = Math.min(statement.size - 1, Math.max(0, ...reading.signedFor.values()));
  findings.error(
    "TRANSCRIPT_ALTERED",
    reading.name,
    vouched + 1 === statement.size ? `line ${statement.size}` : `lines ${vouched + 1} to ${statement.size}`,
    "these entries are not the ones that the receipt's signers signed for",
  );
}

function checkSigners(
  { files, statement }: ReadStatement,
  evidence: EvidenceContext,
): ReceiptReport["signers"] {
  const { findings, book } = evidence;
  const file = files.signedData;
  if (file === undefined) {
    findings.gap(
      "SIGNED_DATA_MISSING",
      files.statement.name,
      "",
      "its signatures (the .p7s file beside it) are missing",
    );
    return [];
  }
  let signedData: SignedData;
  try {
    signedData = decodeSignedData(file.bytes);
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    findings.error("SIGNED_DATA_REFUSED", file.name, "", error.message);
    return [];
  }
  book.add(signedData.certificates);
  const paths: VerifiedCertificate[] = [];
  const signers = signedData.signers.flatMap((signer) => {
    const where = `signer ${signer.certificate.commonName ?? signer.certificate.subjectText}`;
    try {
      verifySigner(signer, files.statement.bytes);
      const judged = judgeSigner(signer, statement, evidence);
      paths.push(...judged.paths);
      if (judged.role === "member" && judged.countersignedAt === null)
        findings.note(
          "NOT_COUNTERSIGNED",
          file.name,
          where,
          "the server has not countersigned this signature, so nothing shows when it was made",
        );
      return [
        {
          name: judged.name,
          fingerprint: signer.fingerprint,
          role: judged.role,
          countersignedAt: judged.countersignedAt,
        },
      ];
    } catch (error) {
      if (!(error instanceof PkiError || error instanceof EvidenceError)) throw error;
      findings.error(
        error instanceof EvidenceError ? "SIGNER_UNKNOWN" : "SIGNED_DATA_REFUSED",
        file.name,
        where,
        `${error.message} [${error.code}]`,
      );
      return [];
    }
  });
  if (signers.length === signedData.signers.length)
    for (const part of uncoveredParts(signedData, paths))
      findings.error(
        "SIGNED_DATA_REFUSED",
        file.name,
        part.kind === "certificate" ? `certificate ${part.certificate.fingerprint}` : "timeStampToken",
        "no signature covers this part",
      );
  return signers;
}

/** Who a signer is in this conversation, and whether its certificate was good when that can be told. */
function judgeSigner(
  signer: Signer,
  statement: ReceiptStatement,
  { book, revocations }: EvidenceContext,
): {
  name: string;
  role: "member" | "server";
  countersignedAt: number | null;
  paths: readonly VerifiedCertificate[];
} {
  const member = statement.members.find(({ fingerprint }) => fingerprint === signer.fingerprint);
  const isServer = servesAs(signer.certificate, statement.server.name);
  if (member === undefined && !isServer)
    throw new EvidenceError("SIGNER_UNKNOWN", "it is neither a member's nor the server's certificate");

  const paths: VerifiedCertificate[] = [];
  let countersignedAt: number | null = null;
  for (const counter of signer.counterSignatures) {
    if (!servesAs(counter.certificate, statement.server.name))
      throw new EvidenceError(
        "SIGNER_UNKNOWN",
        "the counter signature is not by the server of this conversation",
      );
    paths.push(book.certificateAt(counter.fingerprint, counter.signingTimeMs));
    refuseRevoked(counter.certificate, counter.signingTimeMs, revocations);
    countersignedAt = Math.min(countersignedAt ?? counter.signingTimeMs, counter.signingTimeMs);
  }
  // A member's own clock proves nothing: the server's counter signature does, else the time of the last entry is all
  // that is known. The server's time is its own word.
  const atMs = countersignedAt ?? (isServer ? signer.signingTimeMs : statement.to);
  paths.push(book.certificateAt(signer.fingerprint, atMs));
  refuseRevoked(signer.certificate, atMs, revocations);
  return {
    name: isServer ? statement.server.name : (member?.username ?? ""),
    role: isServer ? "server" : "member",
    countersignedAt,
    paths,
  };
}

function refuseRevoked(
  certificate: Signer["certificate"],
  atMs: number,
  revocations: EvidenceContext["revocations"],
): void {
  const revokedAt = revocations.revokedAt(certificate);
  if (revokedAt !== undefined && revokedAt <= atMs)
    throw new PkiError(
      "REVOKED",
      `the certificate of ${certificate.subjectText} had been revoked on ${new Date(revokedAt).toISOString()}`,
    );
}

/** One receipt with both is enough. */
function reportMissingSigners(reports: readonly ReceiptReport[], findings: Findings): void {
  const has = (report: ReceiptReport, role: "member" | "server") =>
    report.signers.some((signer) => signer.role === role);
  if (reports.some((report) => has(report, "member") && has(report, "server"))) return;
  const [first] = reports;
  const file = first?.file ?? "";
  if (!reports.some((report) => has(report, "server")))
    findings.gap(
      "NO_SERVER_SIGNATURE",
      file,
      "",
      "the server has not signed: connect again, and the countersigned receipt is fetched",
    );
  if (!reports.some((report) => has(report, "member")))
    findings.gap(
      "NO_MEMBER_SIGNATURE",
      file,
      "",
      "no member has signed: /receipt or quit makes the signature",
    );
}
