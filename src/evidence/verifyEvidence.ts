import { servesAs } from "../log/memberIdentity.ts";
import { CertificateBook, joinCertificates, readCertificatesFile } from "./certificateBook.ts";
import { checkCertificatesUsed, chooseAnchors, explainRefusedPaths } from "./certificateFindings.ts";
import { checkCheckpoints } from "./checkpointsCheck.ts";
import { comparisonCode } from "./comparisonCode.ts";
import { checkDisclosures, disclosedIndexes, readDisclosures } from "./disclosuresCheck.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import type { EvidenceInput } from "./evidenceInput.ts";
import { type Fork, findFork } from "./findFork.ts";
import { readReceipts } from "./readReceipts.ts";
import { checkReceipts } from "./receiptsCheck.ts";
import { Findings, type MemberReport, type Report } from "./report.ts";
import { reportMembers } from "./reportMembers.ts";
import { RevocationCheck } from "./revocationCheck.ts";
import { checkRemovals, checkRevokedSenders, explainRevocations } from "./revocationFindings.ts";
import type { ServerStatement } from "./serverStatement.ts";
import { readTranscript, type TranscriptReading } from "./transcriptReading.ts";

/** The report on one body of evidence, and what a comparison with another one needs. */
export interface JudgedEvidence {
  readonly report: Report;
  readonly reading: TranscriptReading;
  /** What the server has signed about the conversation, verified, whether or not it agrees with the transcript. */
  readonly serverStatements: readonly ServerStatement[];
  /** What the server has signed proves already that it forked the conversation. */
  readonly fork: Fork | undefined;
}

/**
 * Judges a body of evidence. It needs no key, server, vault, network or clock: only what it is handed. Everything in
 * there may be forged by somebody who wants it to look right, except the anchors and CRLs, which the verifier brings.
 *
 * @returns what was found; it throws for nothing that stands in the evidence
 */
export async function verifyEvidence(input: EvidenceInput): Promise<Report> {
  return (await judgeEvidence(input)).report;
}

/** As `verifyEvidence`, with what the report was made from. */
export async function judgeEvidence(input: EvidenceInput): Promise<JudgedEvidence> {
  const findings = new Findings();

  // 1. Certificates: every signature below hangs on a path to an anchor of the verifier's.
  const files = input.certificates.map((file) => ({
    name: file.name,
    isOwn: file.isOwn === true,
    certificates: readCertificatesFile(file, findings),
  }));
  const receipts = readReceipts(input.receipts, findings);
  const embedded = receipts.flatMap(({ signatures }) =>
    signatures.map(({ file, signedData }) => ({ name: file.name, certificates: signedData.certificates })),
  );
  const certificates = joinCertificates([...files, ...embedded], findings);
  const anchors = chooseAnchors(input, certificates, findings);
  const book = new CertificateBook(certificates, anchors);
  const revocations = new RevocationCheck({ folder: input.crl, own: input.crls }, findings);

  // 2. Every entry: form, order, roster, epoch, view, certificate at its time, signature. This also makes the root.
  const disclosures = readDisclosures(input.disclosures);
  const reading = await readTranscript(input.transcript, {
    book,
    findings,
    prefixSizes: receipts.map(({ statement }) => statement.size),
    disclosedIndexes: disclosedIndexes(disclosures),
  });
  const evidence = { input, book, revocations, findings };
  checkRevokedSenders(reading, evidence);
  checkRemovals(reading, evidence);

  // 3. What the server signed about the log, and what was signed over the whole of it.
  const checkpoints = checkCheckpoints(reading, evidence);
  const checked = checkReceipts(reading, receipts, evidence);
  const serverStatements = [...checkpoints, ...checked.serverStatements];
  const { state } = reading;
  const fork = state === undefined ? undefined : findFork(state.conversation, serverStatements, [reading]);
  // Under a CA of the folder's own choice nobody is accused.
  if (fork !== undefined && input.anchors.length > 0)
    findings.error(
      "SERVER_FORKED",
      "",
      "",
      `the server ${state?.server.name} has signed two logs that contradict each other: ${fork.first.source} and ${fork.second.source}`,
    );

  // 4. Words that somebody disclosed, against what their authors signed.
  const words = checkDisclosures(reading, disclosures, evidence);

  checkServerName(reading, evidence);
  const members = reportMembers(reading, checked.reports);
  explainTimes(reading, members, evidence);
  for (const name of input.strayFiles)
    findings.note("UNEXPECTED_FILE", name, "", "it is not part of the evidence and was not looked at");
  checkCertificatesUsed(
    files.filter(({ isOwn }) => !isOwn),
    reading,
    evidence,
  );
  explainRefusedPaths(anchors, evidence);
  explainRevocations(reading, evidence);

  const [anchor] = anchors;
  const disclosed = new Set(words.map(({ index }) => index));
  const report: Report = {
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
    messages: reading.messages.length,
    root: state?.root ?? null,
    code: state === undefined ? null : comparisonCode(state),
    transcriptSha256: reading.sha256 ?? null,
    receiptedEntries: checked.receiptedEntries,
    from: state?.firstAt ?? null,
    to: state?.lastAt ?? null,
    members,
    receipts: checked.reports,
    words,
    withheld: reading.messages.filter((index) => !disclosed.has(index)),
    findings: findings.all,
  };
  return { report, reading, serverStatements, fork };
}

/** Design: time is the server's word, made good by others who signed for a root with it in. */
function explainTimes(
  { state, name, serverAsMember }: TranscriptReading,
  members: readonly MemberReport[],
  { findings }: EvidenceContext,
): void {
  if (state === undefined) return;
  if (serverAsMember !== undefined) {
    findings.note(
      "TIME_RESTS_ON_SERVER",
      name,
      "",
      `the server (${serverAsMember}) is a member of this conversation: all times rest on its word alone`,
    );
    return;
  }
  const vouched = Math.max(0, ...members.map(({ signedFor }) => signedFor));
  if (vouched < state.size)
    findings.note(
      "TIME_RESTS_ON_SERVER",
      name,
      vouched + 1 === state.size ? `line ${state.size}` : `lines ${vouched + 1} to ${state.size}`,
      "no member has signed later than this, so the time of receipt rests on the server's word alone",
    );
}

function checkServerName({ state }: TranscriptReading, { input, book, findings }: EvidenceContext): void {
  if (input.server === undefined || state === undefined || state.server.name === input.server.toLowerCase())
    return;
  const certificate = book.find(state.server.fingerprint);
  if (certificate !== undefined && servesAs(certificate, input.server.toLowerCase())) return;
  findings.error(
    "WRONG_SERVER",
    "",
    "",
    `the conversation was on the server ${state.server.name}, not on ${input.server} as demanded`,
  );
}
