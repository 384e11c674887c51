import type { Hex } from "../base/hex.ts";
import { type Disclosure, parseDisclosure, verifyDisclosed } from "./disclosure.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import { EvidenceError } from "./evidenceError.ts";
import type { EvidenceFile } from "./evidenceInput.ts";
import type { ProvenWords } from "./report.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

/** Unseen entries that are listed for one message. */
const maxUnseenListed = 100;

export interface ReadDisclosure {
  readonly name: string;
  readonly disclosure: Disclosure | EvidenceError;
}

/** Reads the files before the transcript, whose pass keeps what they are about. What is wrong with one is told in its turn. */
export function readDisclosures(files: readonly EvidenceFile[]): readonly ReadDisclosure[] {
  return files.map(({ name, bytes }) => {
    try {
      return { name, disclosure: parseDisclosure(bytes) };
    } catch (error) {
      if (!(error instanceof EvidenceError)) throw error;
      return { name, disclosure: error };
    }
  });
}

/** Entries that the disclosures are about. */
export function disclosedIndexes(disclosures: readonly ReadDisclosure[]): ReadonlySet<number> {
  const indexes = new Set<number>();
  for (const { disclosure } of disclosures)
    if (!(disclosure instanceof EvidenceError))
      for (const { index } of disclosure.entries) indexes.add(index);
  return indexes;
}

/** Checks disclosed words against the commitments that their authors signed. @returns the proven ones by index */
export function checkDisclosures(
  reading: TranscriptReading,
  disclosures: readonly ReadDisclosure[],
  { findings }: Pick<EvidenceContext, "findings">,
): readonly ProvenWords[] {
  if (disclosures.length === 0) return [];
  const words = new Map<number, ProvenWords>();
  const unseen = new UnseenEntries(reading.senders);
  for (const { name, disclosure } of disclosures) {
    if (disclosure instanceof EvidenceError) {
      findings.error("DISCLOSURE_MALFORMED", name, "", disclosure.message);
      continue;
    }
    for (const [position, disclosed] of disclosure.entries.entries()) {
      const { index } = disclosed;
      const found = reading.disclosed.get(index);
      try {
        verifyDisclosed(disclosure.conversation, disclosed, found?.entry);
      } catch (error) {
        if (!(error instanceof EvidenceError)) throw error;
        // Behind a refused line nothing is known; that line has its own finding.
        if (found !== undefined || reading.sha256 !== undefined)
          findings.error("DISCLOSURE_REFUSED", name, `field entries[${position}]`, error.message);
        continue;
      }
      if (found === undefined) continue;
      const { entry, at } = found;
      const author = reading.state?.senders.get(entry.sender);
      words.set(index, {
        index,
        at,
        username: author?.username ?? "",
        email: author?.email ?? "",
        seqno: entry.seqno,
        text: disclosed.plaintext,
        ...unseen.between(entry.view.size, index),
        disputedBy: reading.disputedBy(index),
      });
    }
  }
  return [...words.values()].sort((a, b) => a.index - b.index);
}

/**
 * Entries by others that stand between an author's view and its entry. A view may stay at the first entry for ever, so the
 * work for one message must not grow with the distance.
 */
class UnseenEntries {
  readonly #senders: readonly Hex[];
  /** For each index: how many entries before it are by the same sender. */
  readonly #rank: Float64Array;
  /** For each index: the first one behind it that is by somebody else. */
  readonly #runEnd: Float64Array;
  /** Indexes of each sender's entries, ascending. */
  readonly #own = new Map<Hex, number[]>();

  constructor(senders: readonly Hex[]) {
    this.#senders = senders;
    this.#rank = new Float64Array(senders.length);
    this.#runEnd = new Float64Array(senders.length);
    for (const [index, sender] of senders.entries()) {
      const own = this.#own.get(sender) ?? [];
      this.#rank[index] = own.length;
      own.push(index);
      this.#own.set(sender, own);
    }
    for (let index = senders.length - 1; index >= 0; index--)
      this.#runEnd[index] =
        senders[index] === senders[index + 1] ? (this.#runEnd[index + 1] ?? 0) : index + 1;
  }

  /** @param index of the entry, `viewSize` at most that */
  between(viewSize: number, index: number): { unseenCount: number; unseen: number[] } {
    const sender = this.#senders[index];
    if (sender === undefined) return { unseenCount: 0, unseen: [] };
    const ownBetween = (this.#rank[index] ?? 0) - countBelow(this.#own.get(sender) ?? [], viewSize);
    const unseenCount = index - viewSize - ownBetween;
    const unseen: number[] = [];
    for (let other = viewSize; other < index && unseen.length < Math.min(unseenCount, maxUnseenListed); ) {
      if (this.#senders[other] === sender) other = this.#runEnd[other] ?? index;
      else unseen.push(other++);
    }
    return { unseenCount, unseen };
  }
}

/** @returns how many of these ascending numbers are below `limit` */
function countBelow(ascending: readonly number[], limit: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((ascending[middle] ?? 0) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
