import { visible } from "../base/visible.ts";
import type { Finding, Report, Verdict } from "./report.ts";

const verdictText: Record<Verdict, string> = {
  valid: "VALID: nothing here is false, and a member and the server have signed for it.",
  invalid: "INVALID: something here is false. Don't rely on it.",
  incomplete: "INCOMPLETE: nothing here is false, but something is missing.",
  indeterminate: "INDETERMINATE: there is too little here to say anything.",
};

const levelText: Record<Finding["level"], string> = { error: "FALSE", gap: "MISSING", note: "NOTE" };

/** @returns the report for people, lines with LF. Text from the evidence is made visible, never obeyed. */
export function formatReport(report: Report): string {
  const lines = [`Verdict: ${verdictText[report.verdict]}`, ""];
  if (report.conversation !== null) {
    const title = report.title === "" ? "" : ` "${visible(report.title)}"`;
    lines.push(`Conversation  ${report.conversation} (${report.kind}${title}) on ${visible(report.server)}`);
    lines.push(`Entries       ${report.entries}, ${report.messages} of them messages`);
    if (report.from !== null && report.to !== null)
      lines.push(`Received      ${iso(report.from)} to ${iso(report.to)}, by the server's clock`);
    lines.push(`Root          ${report.root}`);
    if (report.transcriptSha256 !== null) lines.push(`SHA-256       ${report.transcriptSha256}  transcript`);
  }
  if (report.ca !== null)
    lines.push(
      `CA            ${visible(report.ca.subject)}, ${report.ca.trusted ? "yours" : "FROM THE FOLDER, NOT TRUSTED"}`,
      `              sha256:${report.ca.fingerprint}`,
    );

  if (report.members.length > 0) lines.push("", "Members");
  for (const member of report.members) {
    const signed =
      member.signedFor === 0
        ? "has signed for nothing"
        : `has signed for entries 0 to ${member.signedFor - 1}`;
    const receipt =
      member.receiptSize === 0
        ? "no receipt"
        : member.countersignedAt === null
          ? `receipt over ${member.receiptSize}, not countersigned`
          : `receipt over ${member.receiptSize}, countersigned ${iso(member.countersignedAt)}`;
    lines.push(`  ${nameOf(member)}: ${member.messages} messages; ${signed}; ${receipt}`);
    lines.push(`    certificate sha256:${member.fingerprint}`);
  }

  if (report.words.length > 0) lines.push("", "Proven words");
  for (const words of report.words) {
    lines.push(`  ${words.index}  ${iso(words.at)}  ${nameOf(words)} seqno=${words.seqno}`);
    for (const line of words.text.split("\n")) lines.push(`      | ${visible(line)}`);
    if (words.unseen.length > 0)
      lines.push(`      (written before its author had seen ${plural(words.unseen, "entry", "entries")})`);
    if (words.disputedBy.length > 0)
      lines.push(`      (disputed by ${words.disputedBy.map((name) => visible(name)).join(", ")})`);
  }
  if (report.withheld.length > 0)
    lines.push(
      "",
      `Withheld      the words of ${plural(report.withheld, "message", "messages")}: not disclosed here`,
    );

  if (report.findings.length > 0) lines.push("", "Findings");
  for (const finding of report.findings) {
    const where = [finding.file, finding.where].filter((part) => part !== "").join(", ");
    lines.push(
      `  ${levelText[finding.level]}  ${where === "" ? "" : `${visible(where)}: `}${visible(finding.message)} [${finding.code}]`,
    );
  }
  if (report.entries > 0)
    lines.push("", "Later entries may exist: evidence shows what was said, not that no more was said.");
  return `${lines.join("\n")}\n`;
}

/** @returns the report as one line of JSON with LF */
export function formatReportJson(report: Report): string {
  return `${JSON.stringify(report)}\n`;
}

function nameOf({ username, email }: { username: string; email: string }): string {
  return visible(email === "" ? username : `${username} <${email}>`);
}

function plural(indexes: readonly number[], one: string, many: string): string {
  const ranges: string[] = [];
  for (let start = 0; start < indexes.length; ) {
    let end = start;
    while ((indexes[end + 1] ?? Number.NaN) === (indexes[end] ?? 0) + 1) end++;
    ranges.push(start === end ? `${indexes[start]}` : `${indexes[start]}-${indexes[end]}`);
    start = end + 1;
  }
  return `${indexes.length === 1 ? one : many} ${ranges.join(", ")}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
