import { buildStatement } from "../../src/evidence/receiptStatement.ts";
import { formatCheckpoint, signCheckpoint } from "../../src/log/checkpoint.ts";
import { formatTranscriptLine, verifyTranscript } from "../../src/log/transcript.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import { Conversation } from "../log/conversation.ts";
import { certificatesOf, type Device } from "../log/organisation.ts";
import type { Files, MadeEvidence } from "./madeEvidence.ts";

type Made = Omit<MadeEvidence, "files">;

/** What a cheating server shows to somebody else: a log of its own that begins with the first `size` entries. */
export function forkAt({ organisation, conversation }: Made, size: number): Conversation {
  const other = new Conversation(certificatesOf(organisation));
  Object.defineProperty(other, "id", { value: conversation.id });
  for (const { entry, at } of conversation.lines.slice(0, size)) other.post(entry, at);
  return other;
}

/** A line of `checkpoints.jsonl` over the log as it stands, or over a prefix of it. */
export function checkpointLine(
  conversation: Conversation,
  server: Device,
  size = conversation.state.size,
): string {
  const { context, state } = conversation;
  const root = size === state.size ? state.root : (context.rootAt(size) ?? state.root);
  const at = conversation.lines[size - 1]?.at ?? state.lastAt;
  const unsigned = { conversation: conversation.id, size, root, at, server: server.fingerprint };
  return `${formatCheckpoint(signCheckpoint(unsigned, server.key))}\n`;
}

/** Only a transcript, certificates and what the server signed: what somebody has who never made a receipt. */
export function withoutReceipts(files: Files): Files {
  return without(files, "receipt.json", "receipt.p7s", "disclosure.json");
}

export function without(files: Files, ...names: string[]): Files {
  return Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)));
}

/** The statement about a log, and the signatures of these devices alone under it, without any counter signature. */
export async function receiptOf(
  made: Made,
  ...signers: Device[]
): Promise<{ json: Uint8Array; p7s: Uint8Array[] }> {
  const { organisation, conversation } = made;
  const lines = conversation.lines.map(formatTranscriptLine);
  const json = buildStatement(await verifyTranscript(lines, { certificateAt: certificatesOf(organisation) }));
  const signingTimeMs = Math.ceil(conversation.state.lastAt / 1000) * 1000;
  const p7s = signers.map(({ certificate, key }) =>
    signDetached({ content: json, certificate, key, includeCertificates: [], signingTimeMs }),
  );
  return { json, p7s };
}
