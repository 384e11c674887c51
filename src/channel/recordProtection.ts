import { encodeUint32 } from "../base/bytes.ts";
import { crypto } from "../crypto/crypto.ts";
import type { TrafficKeys } from "./keySchedule.ts";

/**
 * The first byte of what a record encrypts. `control`: one JSON text of src/wire/handshakeMessages.ts, for the channel
 * itself. `message`: bytes for whoever uses the channel.
 */
export const contentTypes = { control: 1, message: 2 } as const;

const tagBytes = 16;
/** What a record is longer than its content: the content type and the tag. */
export const recordOverheadBytes = 1 + tagBytes;

/** What a record encrypts. */
export interface RecordContent {
  /** In an opened record: any byte that the peer chose. */
  readonly contentType: number;
  readonly content: Uint8Array;
}

/**
 * @param number of the record under these keys, from 0, never used twice
 * @returns AES-256-GCM(key, iv XOR number, content type || content), `recordOverheadBytes` longer than `content`
 */
export function sealRecord(
  keys: TrafficKeys,
  number: number,
  { contentType, content }: RecordContent,
): Uint8Array {
  const plaintext = new Uint8Array(1 + content.length);
  plaintext[0] = contentType;
  plaintext.set(content, 1);
  const header = encodeUint32(plaintext.length + tagBytes);
  const record = crypto().aesGcmSeal(keys.key.bytes, recordNonce(keys, number), plaintext, header);
  plaintext.fill(0);
  return record;
}

/** @returns `undefined` unless `record` was sealed with the same keys as the same number */
export function openRecord(keys: TrafficKeys, number: number, record: Uint8Array): RecordContent | undefined {
  if (record.length < recordOverheadBytes) return undefined;
  const header = encodeUint32(record.length);
  const plaintext = crypto().aesGcmOpen(keys.key.bytes, recordNonce(keys, number), record, header);
  const contentType = plaintext?.[0];
  if (plaintext === undefined || contentType === undefined) return undefined;
  return { contentType, content: plaintext.subarray(1) };
}

/** RFC 8446 §5.3: the record number as a uint64, padded on the left to the iv's length, XOR the iv. */
function recordNonce(keys: TrafficKeys, number: number): Uint8Array {
  const nonce = keys.iv.bytes.slice();
  // Plain arithmetic: a DataView or a BigInt for each record costs as much as sealing a short one.
  for (let at = nonce.length - 1, rest = number; rest > 0; at--, rest = Math.floor(rest / 256))
    nonce[at] = (nonce[at] ?? 0) ^ (rest % 256);
  return nonce;
}
