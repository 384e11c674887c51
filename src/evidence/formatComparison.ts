import { jsonLine } from "../base/jsonLine.ts";
import { visible } from "../base/visible.ts";
import type { ComparedFolder, ComparisonReport, ComparisonVerdict, Difference } from "./comparisonReport.ts";
import { formatFinding } from "./formatReport.ts";
import type { EntrySummary } from "./transcriptReading.ts";
import type { ForkProofReport, ProvenStatement } from "./verifyForkProof.ts";

const verdictText: Record<ComparisonVerdict, string> = {
  valid: "VALID: both folders are good, and they show one log.",
  fork: "FORK: it is proven that the server has signed two different logs for this conversation.",
  invalid: "INVALID: something in these folders is false. Don't rely on it.",
  incomplete: "INCOMPLETE: nothing is proven to be false, but something is missing.",
  indeterminate: "INDETERMINATE: there is too little here to say anything.",
  unrelated: "UNRELATED: the folders are of two conversations, so there is nothing to compare.",
};

const differenceText: Record<Difference, string> = {
  time: "the same entry with another time of receipt",
  signature: "the same text under another signature",
  order: "the same entries in another order",
  omitted: "one log lacks an entry that the other has",
  content: "different entries",
};

/** @returns the report for people, lines with LF. Text from the evidence is made visible, never obeyed. */
export function formatComparison(report: ComparisonReport): string {
  const { a, b } = report;
  const lines = [`Verdict: ${verdictText[report.verdict]}`, ""];
  if (report.relation !== "unrelated" && report.conversation !== null)
    lines.push(`Conversation  ${report.conversation} on ${visible(report.server)}`);
  lines.push(folderLine("A", a), folderLine("B", b), "", ...relationLines(report));

  if (report.proof !== null) {
    const { first, second, linked } = report.proof;
    lines.push(
      "",
      `Proven against the server ${visible(report.server)}`,
      ...statementLines("first", first, first.source),
      ...statementLines("second", second, second.source),
      linked
        ? "  No log can begin with both: the second one's first entries have another root than the first's."
        : "  No log can have both roots at one size.",
      "  A member can't make these signatures. Whoever held the server's key at the time has made both.",
      ...caveats(first, second),
      "  An arbiter needs no more than these two, the server's certificate and the CA's: --out FOLDER writes them.",
    );
  }
  if (report.acknowledgements.length > 0) {
    lines.push("", "Who signed for which log");
    for (const { folder, username, fingerprint, signedFor } of report.acknowledgements)
      lines.push(
        `  ${visible(username)} signed for entries 0 to ${signedFor - 1} of ${visible(folder)} (sha256:${fingerprint})`,
      );
  }
  for (const pair of report.contradictingMembers)
    lines.push(
      "",
      `${visible(pair.a.who)} signed two different entries as seqno ${pair.a.seqno}: ${describe(pair.a)} in A, ${describe(pair.b)} in B.`,
      "  That proves nothing against them alone: whoever is told that an entry was refused signs anew.",
    );
  if (report.missing.length > 0) {
    lines.push("", "Proven against nobody yet. What would settle it");
    for (const missing of report.missing) lines.push(`  ${visible(missing)}`);
  }
  for (const [name, folder] of [
    ["A", a],
    ["B", b],
  ] as const) {
    const findings = folder.report.findings.filter(({ level }) => level !== "note");
    if (findings.length > 0)
      lines.push("", `Findings in ${name}`, ...findings.map((f) => `  ${formatFinding(f)}`));
  }
  return `${lines.join("\n")}\n`;
}

/** @returns the report as one line of JSON with LF */
export function formatComparisonJson(report: ComparisonReport): string {
  return `${jsonLine(report)}\n`;
}

/** @returns the report on a proof that stands alone, for people, lines with LF */
export function formatForkProof(report: ForkProofReport): string {
  const text: Record<ForkProofReport["verdict"], string> = {
    fork: verdictText.fork,
    invalid: "INVALID: these files prove nothing.",
    indeterminate: verdictText.indeterminate,
  };
  const lines = [`Verdict: ${text[report.verdict]}`, ""];
  const { first, second } = report;
  if (first !== null && second !== null)
    lines.push(
      `Conversation  ${report.conversation} on ${visible(report.server)}`,
      ...statementLines("first", first, ""),
      ...statementLines("second", second, ""),
      ...caveats(first, second),
    );
  for (const finding of report.findings) lines.push(`  ${formatFinding(finding)}`);
  return `${lines.join("\n")}\n`;
}

function folderLine(letter: string, { name, report }: ComparedFolder): string {
  const { verdict, entries, root } = report;
  return `${letter}             ${visible(name)}: ${verdict}, ${entries} entries${root === null ? "" : `, root ${root}`}`;
}

function relationLines({ relation, common, lacking, difference, a, b }: ComparisonReport): string[] {
  switch (relation) {
    case "same":
      return [`Both logs are the same ${common} entries.`];
    case "prefix":
      return lacking === null
        ? []
        : [
            `Both logs begin with the same ${common} entries.`,
            `${visible(lacking.folder)} lacks ${lacking.from === lacking.to ? `entry ${lacking.from}` : `entries ${lacking.from} to ${lacking.to}`}: it is older, or its holder has not been shown them.`,
          ];
    case "different":
      return difference === null
        ? []
        : [
            `The logs are different: the first ${common} entries are the same, then comes ${differenceText[difference.kind]}.`,
            `  A, line ${difference.index + 1}: ${describe(difference.a)}`,
            `  B, line ${difference.index + 1}: ${describe(difference.b)}`,
          ];
    case "unrelated":
      return [`A is of ${a.report.conversation}, B of ${b.report.conversation}.`];
    case "unknown":
      return ["The logs can't be compared: not even the first entry of both could be verified."];
  }
}

function statementLines(name: string, statement: ProvenStatement, source: string): string[] {
  const { kind, size, root, at, fingerprint } = statement;
  return [
    `  ${name}: ${kind} over ${size} entries, signed ${iso(at)}${source === "" ? "" : `, from ${visible(source)}`}`,
    `    root ${root}`,
    `    by certificate sha256:${fingerprint}`,
  ];
}

/** A thief of the key can set any date before the revocation. */
function caveats(...statements: readonly ProvenStatement[]): string[] {
  return statements.some(({ revokedAt }) => revokedAt !== null)
    ? [
        `  The server's certificate was revoked later, on ${statements.map(({ revokedAt }) => (revokedAt === null ? "" : iso(revokedAt))).find((when) => when !== "")}: a thief of its key could have dated these back.`,
      ]
    : [];
}

function describe({ index, who, kind, seqno, at }: EntrySummary): string {
  return `entry ${index}, ${kind} seqno=${seqno} by ${visible(who)}, received ${iso(at)}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
