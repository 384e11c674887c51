import { encodeUtf8 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { base64, formatJson, hex, integer, object, parseJson, type SchemaType } from "../base/schema.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { labels } from "../crypto/labels.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { LogError, reasonOf } from "./logError.ts";
import { servesAs } from "./memberIdentity.ts";
import { isSignedBy } from "./signature.ts";

/** Longest line of `checkpoints.jsonl` without its line end, bytes, inclusive. */
export const maxCheckpointLineBytes = 2048;

const checkpointLineSchema = object({
  conversation: hex(16),
  size: integer(1),
  root: hex(32),
  /** When the server signed, ms. */
  at: integer(),
  /** SHA-256 of the signing server's certificate, DER. */
  server: hex(32),
  sig: base64({ min: 1, max: 1024 }),
});

/** A server's statement that a log begins with these `size` entries. */
export type Checkpoint = SchemaType<typeof checkpointLineSchema>;

/** @param key belongs to the certificate that `unsigned.server` names */
export function signCheckpoint(unsigned: Omit<Checkpoint, "sig">, key: PrivateKey): Checkpoint {
  return { ...unsigned, sig: key.sign(checkpointBytes(unsigned)) };
}

/**
 * @param server whose path the caller has verified for the time that it judges at
 * @param serverName the name in the conversation's `create`; any certificate of that name may sign
 * @throws {LogError} `CERTIFICATE_INVALID` when `server` is another certificate or not of that name, `BAD_SIGNATURE`
 */
export function verifyCheckpoint(
  checkpoint: Checkpoint,
  server: VerifiedCertificate,
  serverName: string,
): void {
  if (server.certificate.fingerprint !== checkpoint.server)
    throw new LogError(
      "CERTIFICATE_INVALID",
      `checkpoint is by certificate ${checkpoint.server}, not the one at hand`,
    );
  if (!servesAs(server.certificate, serverName))
    throw new LogError(
      "CERTIFICATE_INVALID",
      `checkpoint is not by a certificate of the server ${serverName}`,
    );
  if (!isSignedBy(server, checkpointBytes(checkpoint), checkpoint.sig))
    throw new LogError("BAD_SIGNATURE", `signature of the checkpoint at size ${checkpoint.size} is wrong`);
}

/** @returns the signed text: one field a line */
export function checkpointBytes(unsigned: Omit<Checkpoint, "sig">): Uint8Array {
  const { server, conversation, size, root, at } = unsigned;
  return encodeUtf8(`${labels.checkpoint}\n${server}\n${conversation}\n${size}\n${root}\n${at}\n`);
}

/** @returns the line of `checkpoints.jsonl`, without a line end */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  return formatJson(checkpointLineSchema, checkpoint);
}

/** @param line without its line end @throws {LogError} `MALFORMED` unless it is the canonical form of a checkpoint */
export function parseCheckpoint(line: string): Checkpoint {
  if (line.length > maxCheckpointLineBytes)
    throw new LogError("MALFORMED", `checkpoint of more than ${maxCheckpointLineBytes} bytes`);
  try {
    return parseJson(checkpointLineSchema, line);
  } catch (cause) {
    throw new LogError("MALFORMED", `not a checkpoint: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

/**
 * @returns whether no one log has both: same conversation and size, different roots. Two verified checkpoints that
 *  contradict prove that their server forked the log.
 */
export function contradict(a: CheckpointedPrefix, b: CheckpointedPrefix): boolean {
  return a.conversation === b.conversation && a.size === b.size && a.root !== b.root;
}

interface CheckpointedPrefix {
  readonly conversation: Hex;
  readonly size: number;
  readonly root: Hex;
}
