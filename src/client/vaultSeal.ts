import { concatBytes } from "../base/bytes.ts";
import { crypto } from "../crypto/crypto.ts";

const nonceBytes = 12;
const tagBytes = 16;

/** @returns `nonce(12) || AES-256-GCM(key, nonce, value)` with `context` as AAD */
export function sealValue(options: {
  key: Uint8Array;
  random: (length: number) => Uint8Array;
  value: Uint8Array;
  context: Uint8Array;
}): Uint8Array {
  const { key, random, value, context } = options;
  const nonce = random(nonceBytes);
  return concatBytes(nonce, crypto().aesGcmSeal(key, nonce, value, context));
}

/** @returns the value; `undefined` when it was altered, or sealed under another key or context */
export function unsealValue(
  key: Uint8Array,
  sealed: Uint8Array,
  context: Uint8Array,
): Uint8Array | undefined {
  // The type of a column binds nobody who writes the file without SQLite.
  if (!(sealed instanceof Uint8Array) || sealed.length < nonceBytes + tagBytes) return undefined;
  return crypto().aesGcmOpen(key, sealed.subarray(0, nonceBytes), sealed.subarray(nonceBytes), context);
}
