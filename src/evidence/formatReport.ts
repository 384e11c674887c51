import { jsonLine } from "../base/jsonLine.ts";
import { visible } from "../base/visible.ts";
import type { Finding, Report, Verdict } from "./report.ts";

const verdictText: Record<Verdict, string> = {
  valid: "VALID: nothing here is false, and a member and the server have signed a receipt",
  invalid: "INVALID: something here is false. Don't rely on it.",
  incomplete: "INCOMPLETE: nothing here is false, but something is missing.",
  indeterminate: "INDETERMINATE: there is too little here to say anything.",
};

const levelText: Record<Finding["level"], string> = { error: "FALSE", gap: "MISSING", note: "NOTE" };

/** @returns the report for people, lines with LF. Text from the evidence is made visible, never obeyed. */
export function formatReport(report: Report): string {
  const lines = [`Verdict: ${verdictText[report.verdict]}${receipted(report)}`, ""];
  if (report.conversation !== null) {
    const title = report.title === "" ? "" : ` "${visible(report.title)}"`;
    lines.push(`Conversation  ${report.conversation} (${report.kind}${title}) on ${visible(report.server)}`);
    lines.push(`Entries       ${report.entries}, ${report.messages} of them messages`);
    if (report.from !== null && report.to !== null)
      lines.push(`Received      ${iso(report.from)} to ${iso(report.to)}, by the server's clock`);
    lines.push(`Root          ${report.root}`);
    lines.push(`Code          ${report.code}  (to compare with another member: /compare ${report.entries})`);
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
      member.signedFor > 0
        ? `has signed for entries ${range(member.signedFor)}`
        : member.entries > 0
          ? "has signed for nothing but what it wrote"
          : "has signed for nothing";
    const receipt =
      member.receiptSize === 0
        ? "no receipt"
        : member.countersignedAt === null
          ? `receipt over ${member.receiptSize}, not countersigned`
          : `receipt over ${member.receiptSize}, countersigned ${iso(member.countersignedAt)}`;
    lines.push(
      `  ${nameOf(member)}: ${member.messages} ${member.messages === 1 ? "message" : "messages"}; ${signed}; ${receipt}`,
    );
    lines.push(`    certificate sha256:${member.fingerprint}`);
  }

  if (report.words.length > 0)
    lines.push(
      "",
      report.ca?.trusted === true ? "Proven words" : "Words, proven if that CA is the right one",
    );
  for (const words of report.words) {
    lines.push(`  ${words.index}  ${iso(words.at)}  ${nameOf(words)} seqno=${words.seqno}`);
    for (const line of words.text.split("\n")) lines.push(`      | ${visible(line)}`);
    if (words.unseenCount > 0) {
      const more = words.unseenCount - words.unseen.length;
      const listed = plural(words.unseen, "entry", "entries");
      lines.push(
        `      (written before its author had seen ${listed}${more > 0 ? ` and ${more} more` : ""})`,
      );
    }
    if (words.disputedBy.length > 0)
      lines.push(`      (disputed by ${words.disputedBy.map((name) => visible(name)).join(", ")})`);
  }
  if (report.withheld.length > 0)
    lines.push(
      "",
      `Withheld      the words of ${plural(report.withheld, "message", "messages")}: not disclosed here`,
    );

  if (report.findings.length > 0)
    lines.push("", "Findings", ...report.findings.map((finding) => `  ${formatFinding(finding)}`));
  if (report.entries > 0)
    lines.push("", "Later entries may exist: evidence shows what was said, not that no more was said.");
  return `${lines.join("\n")}\n`;
}

/** @returns one line for people, without a line end */
export function formatFinding({ level, code, file, where, message }: Finding): string {
  const place = [file, where].filter((part) => part !== "").join(", ");
  return `${levelText[level]}  ${place === "" ? "" : `${visible(place)}: `}${visible(message)} [${code}]`;
}

/** @returns the report as one line of JSON with LF */
export function formatReportJson(report: Report): string {
  return `${jsonLine(report)}\n`;
}

/** What `valid` is about: a receipt may be shorter than the transcript. */
function receipted({ verdict, receiptedEntries }: Report): string {
  return verdict === "valid" ? ` for entries ${range(receiptedEntries)}.` : "";
}

/** @param size at least 1 */
function range(size: number): string {
  return size === 1 ? "0" : `0 to ${size - 1}`;
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
