import { decodeUtf8 } from "../base/bytes.ts";
import { type Checkpoint, parseCheckpoint, verifyCheckpoint } from "../log/checkpoint.ts";
import { LogError } from "../log/logError.ts";
import type { LogState } from "../log/logState.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import type { EvidenceFile } from "./evidenceInput.ts";
import type { ServerStatement } from "./serverStatement.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

/** Most lines that are looked at: a client writes the newest, and pairs that contradict. */
export const maxCheckpoints = 10_000;
/** Refused lines after which no more are looked at: each may cost a search for a path. */
const maxRefused = 100;

/** Compares what the server signed about the log with the log. @returns what it signed, verified */
export function checkCheckpoints(
  reading: TranscriptReading,
  evidence: EvidenceContext,
): readonly ServerStatement[] {
  const { findings, input } = evidence;
  const file = input.checkpoints;
  if (file === undefined) {
    findings.note(
      "NO_CHECKPOINT",
      "",
      "",
      "checkpoints.jsonl is missing: only receipts show what the server signed",
    );
    return [];
  }
  const statements: ServerStatement[] = [];
  const bySize = new Map<number, { root: string; where: string }>();
  let refused = 0;
  for (const [number, line] of linesOf(file.bytes).entries()) {
    const where = `line ${number + 1}`;
    if (number === maxCheckpoints || refused === maxRefused) {
      findings.error("CHECKPOINT_MALFORMED", file.name, where, "too many lines: the rest was not looked at");
      break;
    }
    const checkpoint = readLine(line, { file, where }, evidence);
    if (checkpoint === undefined) {
      refused++;
      continue;
    }
    // Whose checkpoints count is written in the first entry; a transcript without one has its own finding.
    if (reading.state === undefined) continue;
    const server = judge(checkpoint, reading.state, { file, where }, evidence);
    if (server === undefined) {
      refused++;
      continue;
    }
    const { conversation, size, root, at } = checkpoint;
    const other = bySize.get(size);
    if (other !== undefined && other.root !== root)
      findings.error(
        "CHECKPOINT_CONTRADICTS",
        file.name,
        where,
        `the server has signed another log of ${size} entries in ${other.where}`,
      );
    bySize.set(size, other ?? { root, where });
    const source = `${file.name}, ${where}`;
    statements.push({ kind: "checkpoint", conversation, size, root, at, server, source, checkpoint });
    compareWithLog(checkpoint, where, reading, { file: file.name, findings });
  }
  return statements;
}

interface Place {
  readonly file: EvidenceFile;
  readonly where: string;
}

function readLine(
  line: string | undefined,
  { file, where }: Place,
  { findings }: EvidenceContext,
): Checkpoint | undefined {
  try {
    if (line === undefined) throw new LogError("MALFORMED", "not a whole line of text");
    return parseCheckpoint(line);
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    findings.error("CHECKPOINT_MALFORMED", file.name, where, error.message);
    return undefined;
  }
}

function judge(
  checkpoint: Checkpoint,
  state: LogState,
  { file, where }: Place,
  { book, revocations, findings }: EvidenceContext,
): VerifiedCertificate | undefined {
  try {
    if (checkpoint.conversation !== state.conversation)
      throw new LogError("MALFORMED", `it is about the conversation ${checkpoint.conversation}`);
    const server = book.certificateAt(checkpoint.server, checkpoint.at);
    verifyCheckpoint(checkpoint, server, state.server.name);
    const revokedAt = revocations.revokedAt(server);
    if (revokedAt !== undefined && revokedAt <= checkpoint.at)
      throw new LogError(
        "CERTIFICATE_INVALID",
        `the server's certificate had been revoked on ${new Date(revokedAt).toISOString()}`,
      );
    return server;
  } catch (error) {
    if (!(error instanceof LogError || error instanceof PkiError)) throw error;
    findings.error("CHECKPOINT_REFUSED", file.name, where, error.message);
    return undefined;
  }
}

function compareWithLog(
  checkpoint: Checkpoint,
  where: string,
  reading: TranscriptReading,
  { file, findings }: { file: string; findings: EvidenceContext["findings"] },
): void {
  const { size, root, at } = checkpoint;
  const verified = reading.state?.size ?? 0;
  if (size > verified) {
    // A refused line has been reported already; behind it nothing can be compared.
    if (reading.sha256 !== undefined)
      findings.gap(
        "CHECKPOINT_BEYOND",
        file,
        where,
        `the server has signed ${size} entries, the transcript has ${verified}: the rest is missing; another member or the server has it`,
      );
  } else if (reading.rootAt(size) !== root)
    findings.error(
      "CHECKPOINT_CONTRADICTS",
      file,
      where,
      `the server has signed another log: root ${root} at size ${size}, here it is ${reading.rootAt(size)}`,
    );
  else if (at < (reading.times[size - 1] ?? 0))
    findings.error(
      "CHECKPOINT_REFUSED",
      file,
      where,
      `signed at ${at}, before the entry that it covers was received`,
    );
}

/** Whole lines; `undefined` for one that is not UTF-8 and for a rest without a line end. */
function linesOf(bytes: Uint8Array): readonly (string | undefined)[] {
  const text = decodeUtf8(bytes);
  if (text === undefined) return [undefined];
  const lines: (string | undefined)[] = text.split("\n");
  if (lines.pop() !== "") lines.push(undefined);
  return lines;
}
