import type { Hex } from "../base/hex.ts";
import { decodeAcknowledgeBody } from "../log/bodies.ts";
import type { LogState } from "../log/conversationLog.ts";
import type { Entry } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import { RootHistory } from "../log/rootHistory.ts";
import {
  readLines,
  type TranscriptLine,
  type TranscriptPrefix,
  verifyTranscript,
} from "../log/transcript.ts";
import type { CertificateBook } from "./certificateBook.ts";
import type { EvidenceInput } from "./evidenceInput.ts";
import type { Findings } from "./report.ts";

/** What a transcript says as far as it could be verified, without its ciphertexts. */
export interface TranscriptReading {
  readonly name: string;
  /** After the last verified entry; `undefined` when not even the first one is good. */
  readonly state: LogState | undefined;
  /** Of the whole file; `undefined` when a line was refused. */
  readonly sha256: Hex | undefined;
  /** States and digests at the sizes of the receipts; empty when a line was refused. */
  readonly prefixes: ReadonlyMap<number, TranscriptPrefix>;
  rootAt(size: number): Hex | undefined;
  /** Verified entries of kind `message` by index; `ct` and `sig` are left out. */
  readonly messages: ReadonlyMap<number, { readonly entry: Entry; readonly at: number }>;
  /** By index. */
  readonly senders: readonly Hex[];
  readonly times: readonly number[];
  /** Usernames by the index of the message that they dispute. */
  readonly disputes: ReadonlyMap<number, readonly string[]>;
  /** Entries that each certificate has signed for: the largest of its views and what follows its own entries. */
  readonly signedFor: ReadonlyMap<Hex, number>;
  readonly firstAndLastAt: ReadonlyMap<
    Hex,
    { readonly firstAt: number; readonly lastAt: number; readonly who: string }
  >;
  /** Index of the first entry of this certificate that was received at `atMs` or later; -1 when there is none. */
  indexAtOrAfter(fingerprint: Hex, atMs: number): number;
}

const nothing = new Uint8Array(0);

/** Verifies the entries in one pass. What is refused becomes a finding with its line; what stands before it counts. */
export async function readTranscript(
  transcript: EvidenceInput["transcript"],
  options: { book: CertificateBook; findings: Findings; prefixSizes: readonly number[] },
): Promise<TranscriptReading> {
  const { book, findings, prefixSizes } = options;
  const roots = new RootHistory();
  const messages = new Map<number, { entry: Entry; at: number }>();
  const senders: Hex[] = [];
  const times: number[] = [];
  const disputes = new Map<number, string[]>();
  const signedFor = new Map<Hex, number>();
  const firstAndLastAt = new Map<Hex, { firstAt: number; lastAt: number; who: string }>();
  let state: LogState | undefined;

  const onEntry = ({ entry, index, at }: TranscriptLine, next: LogState): void => {
    state = next;
    roots.append(next.root);
    // One string for each certificate, however many entries it has.
    const sender = next.roster.find((row) => row.fingerprint === entry.sender)?.fingerprint ?? entry.sender;
    const who = next.senders.get(sender)?.username ?? sender;
    senders.push(sender);
    times.push(at);
    firstAndLastAt.set(sender, { firstAt: firstAndLastAt.get(sender)?.firstAt ?? at, lastAt: at, who });
    signedFor.set(sender, Math.max(signedFor.get(sender) ?? 0, entry.view.size));
    if (entry.kind === "message") messages.set(index, { entry: { ...entry, ct: nothing, sig: nothing }, at });
    if (entry.kind !== "acknowledge") return;
    const { disputed, unprocessable } = decodeAcknowledgeBody(entry.ct);
    for (const disputedIndex of disputed) {
      disputes.set(disputedIndex, [...(disputes.get(disputedIndex) ?? []), who]);
      findings.note(
        "DISPUTED",
        transcript.name,
        `line ${disputedIndex + 1}`,
        `${who} says that it could not open this message, or that it is not what its author committed to`,
      );
    }
    for (const commitIndex of unprocessable)
      findings.note(
        "UNPROCESSABLE",
        transcript.name,
        `line ${commitIndex + 1}`,
        `${who} could not apply this change of keys`,
      );
  };

  let sha256: Hex | undefined;
  let prefixes: ReadonlyMap<number, TranscriptPrefix> = new Map();
  try {
    const verified = await verifyTranscript(readLines(transcript.chunks), {
      certificateAt: (fingerprint, atMs) => book.certificateAt(fingerprint, atMs),
      prefixSizes,
      onEntry,
    });
    ({ sha256, prefixes } = verified);
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    const where = error.index === undefined ? "" : `line ${error.index + 1}`;
    const code = error.index === undefined ? "TRANSCRIPT_EMPTY" : "ENTRY_REFUSED";
    findings.error(code, transcript.name, where, `${error.message} [${error.code}]`);
  }
  return {
    name: transcript.name,
    state,
    sha256,
    prefixes,
    rootAt: (size) => roots.at(size),
    messages,
    senders,
    times,
    disputes,
    signedFor,
    firstAndLastAt,
    indexAtOrAfter: (fingerprint, atMs) =>
      senders.findIndex((sender, index) => sender === fingerprint && (times[index] ?? 0) >= atMs),
  };
}
