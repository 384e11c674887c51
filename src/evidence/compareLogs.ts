import { equalBytes } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import type { ComparisonReport, Difference } from "./comparisonReport.ts";
import type { DigestList } from "./digestList.ts";
import type { EntrySummary, TranscriptReading } from "./transcriptReading.ts";

/** @returns how many entries both logs begin with */
export function commonEntries(a: TranscriptReading, b: TranscriptReading): number {
  // A root covers everything before it, so logs that differ once differ from there on.
  let [low, high] = [0, Math.min(a.leaves.length, b.leaves.length)];
  while (low < high) {
    const size = Math.ceil((low + high) / 2);
    if (a.rootAt(size) === b.rootAt(size)) low = size;
    else high = size - 1;
  }
  return low;
}

/** @param index the first entry that is not the same, in both logs */
export function describeDifference(
  a: TranscriptReading,
  b: TranscriptReading,
  index: number,
): ComparisonReport["difference"] {
  const [inA, inB] = [a.entryAt(index), b.entryAt(index)];
  if (inA === undefined || inB === undefined) return null;
  return { index, kind: differenceAt(a, b, index), a: inA, b: inB };
}

function differenceAt(a: TranscriptReading, b: TranscriptReading, index: number): Difference {
  const [inA, inB] = [a.signedDigests.at(index), b.signedDigests.at(index)];
  if (inA === undefined || inB === undefined) return "content";
  if (equalBytes(inA, inB)) return a.times[index] === b.times[index] ? "signature" : "time";
  const isLaterInB = isBehind(b.signedDigests, index, inA);
  const isLaterInA = isBehind(a.signedDigests, index, inB);
  if (isLaterInA && isLaterInB) return "order";
  return isLaterInA || isLaterInB ? "omitted" : "content";
}

function isBehind(digests: DigestList, index: number, wanted: Uint8Array): boolean {
  for (let other = index + 1; other < digests.length; other++) {
    const digest = digests.at(other);
    if (digest !== undefined && equalBytes(digest, wanted)) return true;
  }
  return false;
}

/**
 * Certificates that have signed two different entries under one seqno, behind the common ones. An honest client does
 * that only when it was told that the first one was refused.
 *
 * @returns the first pair of each
 */
export function contradictingEntries(
  a: TranscriptReading,
  b: TranscriptReading,
  common: number,
): { a: EntrySummary; b: EntrySummary }[] {
  const ofA = indexesBySender(a, common);
  const pairs: { a: EntrySummary; b: EntrySummary }[] = [];
  for (const [sender, inB] of indexesBySender(b, common)) {
    // Seqnos have no gaps and both logs begin alike, so the n-th entries of a sender have the same one.
    const inA = ofA.get(sender) ?? [];
    const position = inB.findIndex((index, n) => {
      const [digestA, digestB] = [a.signedDigests.at(inA[n] ?? -1), b.signedDigests.at(index)];
      return digestA !== undefined && digestB !== undefined && !equalBytes(digestA, digestB);
    });
    const [first, second] = [a.entryAt(inA[position] ?? -1), b.entryAt(inB[position] ?? -1)];
    if (first !== undefined && second !== undefined) pairs.push({ a: first, b: second });
  }
  return pairs;
}

function indexesBySender({ senders }: TranscriptReading, from: number): Map<Hex, number[]> {
  const indexes = new Map<Hex, number[]>();
  for (let index = from; index < senders.length; index++) {
    const sender = senders[index];
    if (sender === undefined) break;
    const own = indexes.get(sender);
    if (own === undefined) indexes.set(sender, [index]);
    else own.push(index);
  }
  return indexes;
}
