import { type Disclosure, parseDisclosure, verifyDisclosed } from "./disclosure.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import { EvidenceError } from "./evidenceError.ts";
import type { ProvenWords } from "./report.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

/** Checks disclosed words against the commitments that their authors signed. @returns the proven ones by index */
export function checkDisclosures(
  reading: TranscriptReading,
  { input, findings }: EvidenceContext,
): readonly ProvenWords[] {
  const words = new Map<number, ProvenWords>();
  for (const { name, bytes } of input.disclosures) {
    let disclosure: Disclosure;
    try {
      disclosure = parseDisclosure(bytes);
    } catch (error) {
      if (!(error instanceof EvidenceError)) throw error;
      findings.error("DISCLOSURE_MALFORMED", name, "", error.message);
      continue;
    }
    for (const [position, disclosed] of disclosure.entries.entries()) {
      const where = `field entries[${position}]`;
      const found = reading.messages.get(disclosed.index);
      try {
        if (found === undefined && disclosed.index < reading.senders.length)
          throw new EvidenceError("DISCLOSURE_NOT_A_MESSAGE", `entry ${disclosed.index} is no message`);
        verifyDisclosed(disclosure.conversation, disclosed, found?.entry);
      } catch (error) {
        if (!(error instanceof EvidenceError)) throw error;
        // Behind a refused line nothing is known; that line has its own finding.
        if (found !== undefined || reading.sha256 !== undefined)
          findings.error("DISCLOSURE_REFUSED", name, where, error.message);
        continue;
      }
      if (found === undefined) continue;
      const { entry, at } = found;
      const author = reading.state?.senders.get(entry.sender);
      words.set(disclosed.index, {
        index: disclosed.index,
        at,
        username: author?.username ?? "",
        email: author?.email ?? "",
        seqno: entry.seqno,
        text: disclosed.plaintext,
        unseen: unseenBy(reading, entry.sender, entry.view.size, disclosed.index),
        disputedBy: reading.disputes.get(disclosed.index) ?? [],
      });
    }
  }
  return [...words.values()].sort((a, b) => a.index - b.index);
}

function unseenBy(reading: TranscriptReading, sender: string, viewSize: number, index: number): number[] {
  const unseen: number[] = [];
  for (let other = viewSize; other < index; other++)
    if (reading.senders[other] !== sender) unseen.push(other);
  return unseen;
}
