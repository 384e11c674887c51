import { decodeUtf8 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { parseTranscriptLine } from "../log/transcript.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { Standing } from "./standing.ts";
import { decodeOpening, numberedKey } from "./vaultRecords.ts";

/** A message whose words are kept. */
export interface UntoldMessage {
  readonly isOwn: boolean;
  readonly index: number;
  readonly seqno: number;
  readonly at: number;
  readonly from: string;
  readonly email: string;
  readonly text: string;
}

/** @returns the messages from entry `from` to before entry `to`, which the log has, as far as their words are kept */
export function untoldMessages(
  { vault, self }: Pick<ConversationContext, "vault" | "self">,
  { folder, log }: Standing,
  { conversation, from, to }: { conversation: Hex; from: number; to: number },
): UntoldMessage[] {
  const messages: UntoldMessage[] = [];
  for (const { line } of folder.lines()) {
    const { entry, index, at } = parseTranscriptLine(line);
    if (index < from || index >= to || entry.kind !== "message") continue;
    const stored = vault.read("opening", numberedKey(conversation, index));
    const text = stored === undefined ? undefined : decodeUtf8(decodeOpening(stored).plaintext);
    if (text === undefined) continue;
    const { username = "", email = "" } = log.state?.senders.get(entry.sender) ?? {};
    const isOwn = entry.sender === self.certificate.fingerprint;
    messages.push({ isOwn, index, seqno: entry.seqno, at, from: username, email, text });
  }
  return messages;
}
