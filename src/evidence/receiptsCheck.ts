import { equalBytes } from "../base/bytes.ts";
import type { Signer } from "../pki/cms/signedData.ts";
import { signatureFileOf } from "../pki/cms/splitSignedData.ts";
import { uncoveredParts } from "../pki/cms/uncoveredParts.ts";
import { verifySigner } from "../pki/cms/verifySigner.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import { EvidenceError } from "./evidenceError.ts";
import { type JudgedSigner, judgeSigner } from "./judgeSigner.ts";
import type { ReadReceipt, ReadSignatures } from "./readReceipts.ts";
import { buildStatement, parseStatement, type ReceiptStatement } from "./receiptStatement.ts";
import type { ReceiptReport } from "./report.ts";
import type { ServerStatement } from "./serverStatement.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

type Match = ReceiptReport["match"];

export interface CheckedReceipts {
  readonly reports: readonly ReceiptReport[];
  /** What the server signed as a signer of its own: a counter signature says nothing about the statement. */
  readonly serverStatements: readonly ServerStatement[];
  /** Entries 0 … this-1 are in a receipt that is true of the transcript and that a member and the server have signed. */
  readonly receiptedEntries: number;
}

/** Checks each statement against the log, and who has signed it. */
export function checkReceipts(
  reading: TranscriptReading,
  receipts: readonly ReadReceipt[],
  evidence: EvidenceContext,
): CheckedReceipts {
  const { findings, input } = evidence;
  const serverStatements: ServerStatement[] = [];
  const reports = receipts.map((receipt): ReceiptReport => {
    const { file, statement } = receipt;
    const serverName = reading.state?.server.name ?? statement.server.name;
    const signers = checkSigners(receipt, serverName, evidence);
    const match = compareStatement(receipt, reading, { findings, signers });
    for (const { signer, judged } of signers)
      if (judged.role === "server" && statement.conversation === reading.state?.conversation)
        serverStatements.push({
          kind: "receipt",
          conversation: statement.conversation,
          size: statement.size,
          root: statement.root,
          at: signer.signingTimeMs,
          server: judged.path,
          source: file.name,
          statement: file.bytes,
          signer,
        });
    return {
      file: file.name,
      size: statement.size,
      match,
      signers: signers.map(({ signer, judged: { name, role, countersignedAt } }) => ({
        name,
        fingerprint: signer.fingerprint,
        role,
        countersignedAt,
      })),
    };
  });
  if (input.receipts.length === 0)
    findings.gap(
      "NO_RECEIPT",
      "",
      "",
      "there is no receipt: a member and the server have to sign one (/receipt or quit)",
    );
  else reportMissingSigners(reports, evidence);
  const complete = reports.filter((report) => report.match === "agrees" && isComplete(report));
  const receiptedEntries = Math.max(0, ...complete.map(({ size }) => size));
  const size = reading.state?.size ?? 0;
  if (receiptedEntries > 0 && receiptedEntries < size)
    findings.note(
      "LATER_ENTRIES",
      reading.name,
      `line ${receiptedEntries + 1}`,
      `${size - receiptedEntries} entries stand after the newest receipt that a member and the server have signed: signed by their authors, in no such receipt`,
    );
  return { reports, serverStatements, receiptedEntries };
}

interface GoodSigner {
  readonly signer: Signer;
  readonly judged: JudgedSigner;
}

/** The statement is a function of the entries: it is rebuilt, and the bytes are the same or not. */
function compareStatement(
  { file, statement }: ReadReceipt,
  reading: TranscriptReading,
  { findings, signers }: { findings: EvidenceContext["findings"]; signers: readonly GoodSigner[] },
): Match {
  const { state } = reading;
  if (state === undefined) return "unknown";
  const mismatch = (fields: readonly string[], message: string): Match => {
    findings.error("STATEMENT_MISMATCH", file.name, `field ${fields.join(", ")}`, message);
    return "differs";
  };
  // What the first entry fixes holds for a statement of any size.
  const fixed = { conversation: state.conversation, server: state.server, from: state.firstAt };
  const foreign = Object.entries(fixed).filter(
    ([field, value]) => JSON.stringify(value) !== JSON.stringify(statement[field as keyof typeof fixed]),
  );
  if (statement.conversation !== state.conversation)
    return mismatch(["conversation"], `it is about the conversation ${statement.conversation}`);
  const prefix = reading.prefixes.get(statement.size);
  if (prefix === undefined) {
    if (foreign.length > 0)
      return mismatch(
        foreign.map(([field]) => field),
        "it is about a log that begins with another entry",
      );
    if (reading.sha256 === undefined) return "unknown";
    findings.gap(
      "STATEMENT_BEYOND",
      file.name,
      "field size",
      `it is about ${statement.size} entries, the transcript has ${state.size}: the rest is missing; another member or the server has it`,
    );
    return "beyond";
  }
  const expected = buildStatement(prefix);
  if (equalBytes(expected, file.bytes)) return "agrees";
  const truth = parseStatement(expected);
  const wrong = Object.keys(truth).filter((field) => {
    const key = field as keyof ReceiptStatement;
    return JSON.stringify(truth[key]) !== JSON.stringify(statement[key]);
  });
  mismatch(wrong, "it is not what the transcript amounts to");
  if (signers.length > 0) reportOtherTranscript(statement.size, reading, { findings, signers });
  return "differs";
}

/** They signed for other entries: behind the last prefix that a later author vouched for, or a view would have been refused. */
function reportOtherTranscript(
  size: number,
  reading: TranscriptReading,
  { findings, signers }: { findings: EvidenceContext["findings"]; signers: readonly GoodSigner[] },
): void {
  const views = [...reading.activity.values()].map(({ viewSize }) => viewSize);
  const vouched = Math.min(size - 1, Math.max(0, ...views));
  const names = signers.map(({ judged }) => judged.name).join(", ");
  findings.error(
    "TRANSCRIPT_ALTERED",
    reading.name,
    vouched + 1 === size ? `line ${size}` : `lines ${vouched + 1} to ${size}`,
    `these entries are not the ones that ${names} signed for: the transcript was altered, or there is another one`,
  );
}

/** The two files belong to one receipt: their signers count together. */
function checkSigners(
  receipt: ReadReceipt,
  serverName: string,
  evidence: EvidenceContext,
): readonly GoodSigner[] {
  return receipt.signatures.flatMap((signatures) => checkFile(signatures, receipt, { serverName, evidence }));
}

function checkFile(
  { kind, file, signedData }: ReadSignatures,
  receipt: ReadReceipt,
  { serverName, evidence }: { serverName: string; evidence: EvidenceContext },
): readonly GoodSigner[] {
  const { findings } = evidence;
  const { statement } = receipt;
  const judgedSigners: GoodSigner[] = [];
  for (const signer of signedData.signers) {
    const where = `signer ${signer.certificate.commonName ?? signer.certificate.subjectText}`;
    try {
      // The key says which file, so no signer can be in both, and OpenSSL can read the one that is meant for it.
      if (signatureFileOf(signer) !== kind)
        throw new EvidenceError("SIGNATURE_MISPLACED", "with this type of key it belongs in the other file");
      verifySigner(signer, receipt.file.bytes);
      judgedSigners.push({ signer, judged: judgeSigner(signer, { statement, serverName }, evidence) });
    } catch (error) {
      if (!(error instanceof PkiError || error instanceof EvidenceError)) throw error;
      findings.error(
        error.code === "SIGNER_UNKNOWN" ? "SIGNER_UNKNOWN" : "SIGNED_DATA_REFUSED",
        file.name,
        where,
        `${error.message} [${error.code}]`,
      );
    }
  }
  // Whoever was refused has left parts uncovered, and has its own finding.
  if (judgedSigners.length === signedData.signers.length)
    for (const part of uncoveredParts(
      signedData,
      judgedSigners.flatMap(({ judged }) => judged.paths),
    ))
      findings.error(
        "SIGNED_DATA_REFUSED",
        file.name,
        part.kind === "certificate" ? `certificate ${part.certificate.fingerprint}` : "timeStampToken",
        "no signature covers this part",
      );
  return judgedSigners.filter(({ judged }) => countsAsSigner(judged, file.name, findings));
}

/** A member's signature that anybody could have made since its key was revoked does not count. */
function countsAsSigner(judged: JudgedSigner, file: string, findings: EvidenceContext["findings"]): boolean {
  const { name, role, countersignedAt, doubtedSince } = judged;
  const where = `signer ${name}`;
  if (doubtedSince !== undefined) {
    const when = new Date(doubtedSince).toISOString();
    findings.note(
      "SIGNER_REVOKED",
      file,
      where,
      role === "server"
        ? `the server's certificate was revoked on ${when}; that its signature is older is its own word`
        : `revoked on ${when}, and nothing shows that this signature is older: it does not count`,
    );
    return role === "server";
  }
  if (role === "member" && countersignedAt === null)
    findings.note(
      "NOT_COUNTERSIGNED",
      file,
      where,
      "the server has not countersigned this signature, so nothing shows when it was made",
    );
  return true;
}

function has({ signers }: ReceiptReport, wanted: "member" | "server"): boolean {
  return signers.some(({ role }) => role === wanted);
}

function isComplete(report: ReceiptReport): boolean {
  return has(report, "member") && has(report, "server");
}

/** One receipt with both is enough: a further one that only a member has signed takes nothing away. */
function reportMissingSigners(reports: readonly ReceiptReport[], { findings }: EvidenceContext): void {
  const candidates = reports.filter(({ match }) => match !== "differs");
  const [first] = candidates;
  if (first === undefined || candidates.some(isComplete)) return;
  if (!candidates.some((report) => has(report, "server")))
    findings.gap(
      "NO_SERVER_SIGNATURE",
      first.file,
      "",
      "the server has not signed: connect again, and the countersigned receipt is fetched",
    );
  else if (candidates.some((report) => has(report, "member")))
    findings.gap(
      "NO_SERVER_SIGNATURE",
      first.file,
      "",
      "no receipt has a member's and the server's signature",
    );
  if (!candidates.some((report) => has(report, "member")))
    findings.gap(
      "NO_MEMBER_SIGNATURE",
      first.file,
      "",
      "no member has signed: /receipt or quit makes the signature",
    );
}
