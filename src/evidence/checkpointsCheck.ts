import { decodeUtf8 } from "../base/bytes.ts";
import { type Checkpoint, contradict, parseCheckpoint, verifyCheckpoint } from "../log/checkpoint.ts";
import { LogError } from "../log/logError.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

/** Most lines that are looked at: the newest, and pairs that contradict. */
const maxCheckpoints = 10_000;

/** Compares what the server signed about the log with the log. */
export function checkCheckpoints(
  reading: TranscriptReading,
  { input, book, revocations, findings }: EvidenceContext,
): void {
  const file = input.checkpoints;
  if (file === undefined) {
    findings.note(
      "NO_CHECKPOINT",
      "",
      "",
      "checkpoints.jsonl is missing: only receipts show what the server signed",
    );
    return;
  }
  const { state } = reading;
  const seen: Checkpoint[] = [];
  for (const [number, line] of linesOf(file.bytes).entries()) {
    const where = `line ${number + 1}`;
    let checkpoint: Checkpoint;
    try {
      if (line === undefined || number >= maxCheckpoints)
        throw new LogError("MALFORMED", "no whole line of text, or one too many");
      checkpoint = parseCheckpoint(line);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      findings.error("CHECKPOINT_MALFORMED", file.name, where, error.message);
      continue;
    }
    if (state === undefined) continue;
    try {
      if (checkpoint.conversation !== state.conversation)
        throw new LogError("MALFORMED", `it is about the conversation ${checkpoint.conversation}`);
      const server = book.certificateAt(checkpoint.server, checkpoint.at);
      verifyCheckpoint(checkpoint, server, state.server.name);
      const revokedAt = revocations.revokedAt(server.certificate);
      if (revokedAt !== undefined && revokedAt <= checkpoint.at)
        throw new LogError(
          "CERTIFICATE_INVALID",
          `the server's certificate had been revoked on ${new Date(revokedAt).toISOString()}`,
        );
    } catch (error) {
      if (!(error instanceof LogError || error instanceof PkiError)) throw error;
      findings.error("CHECKPOINT_REFUSED", file.name, where, error.message);
      continue;
    }
    for (const other of seen)
      if (contradict(other, checkpoint))
        findings.error(
          "CHECKPOINT_CONTRADICTS",
          file.name,
          where,
          `the server has signed two different logs of ${checkpoint.size} entries: it forked the conversation`,
        );
    seen.push(checkpoint);
    compareWithLog(checkpoint, where, reading, { file: file.name, findings });
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
