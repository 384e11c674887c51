import { writeFileSync } from "node:fs";
import { decodeUtf8 } from "../base/bytes.ts";
import { encodeHex } from "../base/hex.ts";
import { type DisclosedEntry, encodeDisclosure, verifyDisclosed } from "../evidence/disclosure.ts";
import { parseTranscriptLine } from "../log/transcript.ts";
import { ClientError } from "./clientError.ts";
import type { Conversation } from "./conversation.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { decodeOpening, numberedKey } from "./vaultRecords.ts";

/** A message as the client remembers it. */
export interface RememberedMessage {
  readonly index: number;
  readonly seqno: number;
  readonly at: number;
  readonly from: string;
  readonly email: string;
  /** `undefined`: it could not be read, or words are not kept. */
  readonly text: string | undefined;
}

/** Entries `from` … `to`, both inclusive. */
export interface IndexRange {
  readonly from: number;
  readonly to: number;
}

/** @returns the messages of a conversation in order, the last `count` of them when that is given */
export function history(
  { vault }: Pick<ConversationContext, "vault">,
  conversation: Conversation,
  count = Number.POSITIVE_INFINITY,
): RememberedMessage[] {
  const { id, standing, state } = conversation;
  const messages: RememberedMessage[] = [];
  for (const { line } of standing.folder.lines()) {
    const { entry, index, at } = parseTranscriptLine(line);
    if (entry.kind !== "message") continue;
    const { username: from = "", email = "" } = state?.senders.get(entry.sender) ?? {};
    const stored = vault.read("opening", numberedKey(id, index));
    const text = stored === undefined ? undefined : decodeUtf8(decodeOpening(stored).plaintext);
    messages.push({ index, seqno: entry.seqno, at, from, email, text });
    if (messages.length > count) messages.shift();
  }
  return messages;
}

/**
 * Writes `disclosure.json`, or `file`, which must not exist yet: openings and words of the messages in the ranges, each checked against its commitment first.
 *
 * @returns the file and the indexes that are in it
 * @throws {ClientError} `DISCLOSURE_NOT_WRITTEN`, `NO_HISTORY` words are not kept, `BAD_RANGE` nothing in the ranges can be disclosed
 */
export function disclose(
  { vault, keepHistory }: Pick<ConversationContext, "vault" | "keepHistory">,
  conversation: Conversation,
  { ranges, file }: { ranges: readonly IndexRange[] | "all"; file: string | undefined },
): { file: string; indexes: readonly number[] } {
  if (!keepHistory)
    throw new ClientError(
      "NO_HISTORY",
      "nothing can be disclosed: words and openings are not kept (--no-history)",
    );
  const { id, standing } = conversation;
  const isWanted = (index: number) =>
    ranges === "all" || ranges.some(({ from, to }) => from <= index && index <= to);
  const entries: DisclosedEntry[] = [];
  for (const { line } of standing.folder.lines()) {
    const { entry, index } = parseTranscriptLine(line);
    const stored = isWanted(index) ? vault.read("opening", numberedKey(id, index)) : undefined;
    if (stored === undefined) continue;
    const { opening, plaintext } = decodeOpening(stored);
    const disclosed = { index, opening: encodeHex(opening), plaintext: decodeUtf8(plaintext) ?? "" };
    verifyDisclosed(id, disclosed, entry);
    entries.push(disclosed);
  }
  if (entries.length === 0)
    throw new ClientError("BAD_RANGE", "there are no words of messages in this range");
  const json = encodeDisclosure({ conversation: id, entries });
  const written = file === undefined ? standing.folder.writeDisclosure(json) : writeNewFile(file, json);
  return { file: written, indexes: entries.map(({ index }) => index) };
}

function writeNewFile(file: string, content: Uint8Array): string {
  try {
    writeFileSync(file, content, { mode: 0o600, flag: "wx" });
    return file;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : "";
    throw new ClientError("DISCLOSURE_NOT_WRITTEN", `the disclosure can't be written: ${why}`, { cause });
  }
}
