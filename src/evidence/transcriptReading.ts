import type { Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import type { LogState } from "../log/conversationLog.ts";
import { type Entry, type EntryKind, leafHash, signedBytes } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import { servesAs } from "../log/memberIdentity.ts";
import { RootHistory } from "../log/rootHistory.ts";
import {
  readLines,
  type TranscriptLine,
  type TranscriptPrefix,
  verifyTranscript,
} from "../log/transcript.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { CertificateBook } from "./certificateBook.ts";
import { Complaints } from "./complaints.ts";
import { DigestList } from "./digestList.ts";
import type { EvidenceInput } from "./evidenceInput.ts";
import { type RemovalClaim, removalClaimIn } from "./removalClaim.ts";
import type { Findings } from "./report.ts";

/** A message whose words somebody has disclosed. `ct` and `sig` are left out. */
export interface DisclosedMessage {
  readonly entry: Entry;
  readonly at: number;
}

/** What one certificate has done in a log. */
export interface SenderActivity {
  /** Its username, or the server's name. */
  readonly who: string;
  readonly firstAt: number;
  readonly lastAt: number;
  readonly entries: number;
  readonly messages: number;
  /** The size of its largest view: it has signed for the root of that many entries. */
  readonly viewSize: number;
}

/** One entry, as far as a comparison of two logs names it. */
export interface EntrySummary {
  readonly index: number;
  readonly sender: Hex;
  readonly who: string;
  readonly seqno: number;
  readonly kind: EntryKind;
  readonly at: number;
}

/**
 * What a transcript says as far as it could be verified, without its ciphertexts: 136 bytes for an entry, up to twice
 * that while its lists grow, and the messages that were asked for.
 */
export interface TranscriptReading {
  readonly name: string;
  /** After the last verified entry; `undefined` when not even the first one is good. */
  readonly state: LogState | undefined;
  /** Of the whole file; `undefined` when a line was refused, or could not be judged for want of a certificate. */
  readonly sha256: Hex | undefined;
  /** States and digests at the sizes of the receipts; empty when `sha256` is undefined. */
  readonly prefixes: ReadonlyMap<number, TranscriptPrefix>;
  rootAt(size: number): Hex | undefined;
  /** Leaf hashes of the verified entries (RFC 9162 §2.1.1). */
  readonly leaves: DigestList;
  /** SHA-256 of the signed bytes of the verified entries: the same for one text wherever it stands. */
  readonly signedDigests: DigestList;
  /** Indexes of verified entries of kind `message`. */
  readonly messages: readonly number[];
  /** Those whose words were disclosed, by index. */
  readonly disclosed: ReadonlyMap<number, DisclosedMessage>;
  /** By index. */
  readonly senders: readonly Hex[];
  readonly times: readonly number[];
  entryAt(index: number): EntrySummary | undefined;
  /** Usernames of those who dispute the message. */
  disputedBy(index: number): readonly string[];
  readonly activity: ReadonlyMap<Hex, SenderActivity>;
  readonly removalClaims: readonly RemovalClaim[];
  /** Username of a member whose certificate is one of the server's, if there is one. */
  readonly serverAsMember: string | undefined;
  /** Index of the first entry of this certificate that was received at `atMs` or later; -1 when there is none. */
  indexAtOrAfter(fingerprint: Hex, atMs: number): number;
}

const nothing = new Uint8Array(0);

/**
 * Verifies the entries in one pass. What is refused becomes a finding with its line; what stands before it counts.
 *
 * @param options.disclosedIndexes entries that have to be kept for the check of words
 */
export async function readTranscript(
  transcript: EvidenceInput["transcript"],
  options: {
    book: CertificateBook;
    findings: Findings;
    prefixSizes: readonly number[];
    disclosedIndexes: ReadonlySet<number>;
  },
): Promise<TranscriptReading> {
  const { book, findings, prefixSizes, disclosedIndexes } = options;
  const roots = new RootHistory();
  const leaves = new DigestList();
  const signedDigests = new DigestList();
  const messages: number[] = [];
  const disclosed = new Map<number, DisclosedMessage>();
  const senders: Hex[] = [];
  const times: number[] = [];
  const seqnos: number[] = [];
  const kinds: EntryKind[] = [];
  const activity = new Map<Hex, SenderActivity>();
  const complaints = new Complaints();
  const removalClaims: RemovalClaim[] = [];
  // One string for each certificate, however many entries it has.
  const interned = new Map<string, Hex>();
  let state: LogState | undefined;

  const onEntry = (line: TranscriptLine, next: LogState): void => {
    const { entry, index, at } = line;
    const claim = state && removalClaimIn(state, line);
    if (claim !== undefined) removalClaims.push(claim);
    state = next;
    roots.append(next.root);
    const signed = signedBytes(entry, entry.ct);
    leaves.append(leafHash(entry, at, signed));
    signedDigests.append(sha256(signed));
    const sender = interned.get(entry.sender) ?? entry.sender;
    interned.set(sender, sender);
    const before = activity.get(sender);
    const who = before?.who ?? next.senders.get(sender)?.username ?? sender;
    const isMessage = entry.kind === "message";
    senders.push(sender);
    times.push(at);
    seqnos.push(entry.seqno);
    kinds.push(entry.kind);
    activity.set(sender, {
      who,
      firstAt: before?.firstAt ?? at,
      lastAt: at,
      entries: (before?.entries ?? 0) + 1,
      messages: (before?.messages ?? 0) + (isMessage ? 1 : 0),
      viewSize: Math.max(before?.viewSize ?? 0, entry.view.size),
    });
    if (isMessage) messages.push(index);
    if (disclosedIndexes.has(index))
      disclosed.set(index, { entry: { ...entry, ct: nothing, sig: nothing }, at });
    complaints.note(entry, index, { who, signedFor: before?.viewSize ?? 0 });
  };

  let sha256OfFile: Hex | undefined;
  let prefixes: ReadonlyMap<number, TranscriptPrefix> = new Map();
  try {
    const verified = await verifyTranscript(readLines(transcript.chunks), {
      certificateAt: (fingerprint, atMs) => book.certificateAt(fingerprint, atMs),
      prefixSizes,
      onEntry,
    });
    sha256OfFile = verified.sha256;
    ({ prefixes } = verified);
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    reportRefusal(error, transcript.name, findings);
  }

  const entryAt = (index: number): EntrySummary | undefined => {
    const [sender, seqno, kind, at] = [senders[index], seqnos[index], kinds[index], times[index]];
    if (sender === undefined || seqno === undefined || kind === undefined || at === undefined)
      return undefined;
    return { index, sender, who: activity.get(sender)?.who ?? sender, seqno, kind, at };
  };
  complaints.report(transcript.name, entryAt, findings);
  return {
    name: transcript.name,
    state,
    sha256: sha256OfFile,
    prefixes,
    rootAt: (size) => roots.at(size),
    leaves,
    signedDigests,
    messages,
    disclosed,
    senders,
    times,
    entryAt,
    disputedBy: (index) => complaints.disputedBy(index),
    activity,
    removalClaims,
    serverAsMember: serverAmong(state, book),
    indexAtOrAfter: (fingerprint, atMs) =>
      senders.findIndex((sender, index) => sender === fingerprint && (times[index] ?? 0) >= atMs),
  };
}

/** A certificate that is not at hand proves nothing false: that is something missing. */
function reportRefusal(error: LogError, file: string, findings: Findings): void {
  const where = error.index === undefined ? "" : `line ${error.index + 1}`;
  const missing = causesOf(error).find(
    (cause) => cause instanceof PkiError && cause.code === "CMS_CERTIFICATE_MISSING",
  );
  if (missing !== undefined) {
    findings.gap(
      "CERTIFICATES_MISSING",
      file,
      where,
      `${missing.message}: from here on nothing could be judged; another member or the server has it`,
    );
    return;
  }
  findings.error(
    error.index === undefined ? "TRANSCRIPT_EMPTY" : "ENTRY_REFUSED",
    file,
    where,
    `${error.message} [${error.code}]`,
  );
}

function causesOf(error: Error): readonly Error[] {
  const causes: Error[] = [];
  for (let cause = error.cause; cause instanceof Error && causes.length < 8; cause = cause.cause)
    causes.push(cause);
  return causes;
}

function serverAmong(state: LogState | undefined, book: CertificateBook): string | undefined {
  for (const [fingerprint, { username }] of state?.senders ?? []) {
    const certificate = book.find(fingerprint);
    if (state !== undefined && certificate !== undefined && servesAs(certificate, state.server.name))
      return username;
  }
  return undefined;
}
