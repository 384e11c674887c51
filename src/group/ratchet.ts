import { concatBytes, decodeUint32, encodeUint32, encodeUtf8 } from "../base/bytes.ts";
import { decodeHex, type Hex } from "../base/hex.ts";
import { crypto } from "../crypto/crypto.ts";
import { labels } from "../crypto/labels.ts";
import { maxPlaintextBytes, openingBytes } from "../log/entry.ts";
import { GroupError } from "./groupError.ts";
import { fingerprintBytes } from "./profile.ts";

/*
 * Messages are protected by one hash ratchet for each sender and epoch. The log gives them a total order without gaps, so
 * there are neither skipped nor late keys. All of it is HKDF-Expand with SHA-256 (RFC 5869 §2.3):
 *
 *   chain_0     = Expand(seed, "chain" || fingerprint (32 bytes), 32)
 *   key_n       = Expand(chain_n, "message", 32)
 *   chain_{n+1} = Expand(chain_n, "chain", 32)
 *
 * where n counts the sender's `message` entries of the epoch. The chain moves when the entry stands in the log, whether
 * or not it could be opened, and the chain before it is wiped by whoever holds it.
 */
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const blockBytes = 64;
const headerBytes = openingBytes + 4;

/** The first chain of a sender. @param seed what the epoch's exporter gives, 32 bytes, pseudorandom */
export function deriveChain(seed: Uint8Array, fingerprint: Hex): Uint8Array {
  const sender = decodeHex(fingerprint, fingerprintBytes);
  if (sender === undefined) throw new GroupError("MALFORMED", "a fingerprint has 32 bytes");
  return expand(seed, concatBytes(encodeUtf8(labels.ratchetChain), sender));
}

/** The key of the message that the chain stands at. It seals one message, however often that one has to be sealed again. */
export function messageKey(chain: Uint8Array): Uint8Array {
  return expand(chain, encodeUtf8(labels.ratchetMessage));
}

/** The chain behind that message; wipe the one that it came from. */
export function nextChain(chain: Uint8Array): Uint8Array {
  return expand(chain, encodeUtf8(labels.ratchetChain));
}

/**
 * @param nonce12 fresh randomness for every call: a refused entry is sealed again under the same key
 * @param associatedData the signed bytes of the entry without their last line
 * @param opening32 fresh randomness, the key of the commitment
 * @param plaintext 0 to 65 536 bytes
 * @returns nonce || AES-256-GCM(opening || uint32 length || plaintext || zeros to a multiple of 64 bytes)
 * @throws {GroupError} `TOO_LARGE`, `MALFORMED`
 */
export function sealMessage({
  key,
  nonce12,
  associatedData,
  opening32,
  plaintext,
}: {
  key: Uint8Array;
  nonce12: Uint8Array;
  associatedData: Uint8Array;
  opening32: Uint8Array;
  plaintext: Uint8Array;
}): Uint8Array {
  if (plaintext.length > maxPlaintextBytes)
    throw new GroupError("TOO_LARGE", `a message has at most ${maxPlaintextBytes} bytes`);
  if (nonce12.length !== nonceBytes || opening32.length !== openingBytes)
    throw new GroupError("MALFORMED", "nonce or opening of another length");
  const padded = new Uint8Array(paddedLength(plaintext.length));
  padded.set(opening32);
  padded.set(encodeUint32(plaintext.length), openingBytes);
  padded.set(plaintext, headerBytes);
  const sealed = crypto().aesGcmSeal(key, nonce12, padded, associatedData);
  padded.fill(0);
  return concatBytes(nonce12, sealed);
}

/**
 * @param ct by the sender
 * @returns `undefined` when it was not made with this key for this entry, or its padding is not exactly as specified
 */
export function openMessage({
  key,
  associatedData,
  ct,
}: {
  key: Uint8Array;
  associatedData: Uint8Array;
  ct: Uint8Array;
}): { opening: Uint8Array; plaintext: Uint8Array } | undefined {
  const paddedBytes = ct.length - nonceBytes - tagBytes;
  if (
    paddedBytes < blockBytes ||
    paddedBytes > paddedLength(maxPlaintextBytes) ||
    paddedBytes % blockBytes !== 0
  )
    return undefined;
  const nonce = ct.subarray(0, nonceBytes);
  const padded = crypto().aesGcmOpen(key, nonce, ct.subarray(nonceBytes), associatedData);
  if (padded === undefined) return undefined;
  const length = decodeUint32(padded, openingBytes);
  if (length > maxPlaintextBytes || paddedLength(length) !== padded.length) return undefined;
  const end = headerBytes + length;
  for (let i = end; i < padded.length; i++) if (padded[i] !== 0) return undefined;
  const opened = { opening: padded.slice(0, openingBytes), plaintext: padded.slice(headerBytes, end) };
  padded.fill(0);
  return opened;
}

function paddedLength(plaintextBytes: number): number {
  return Math.ceil((headerBytes + plaintextBytes) / blockBytes) * blockBytes;
}

function expand(secret: Uint8Array, info: Uint8Array): Uint8Array {
  return crypto().hkdfExpand("sha256", secret, info, keyBytes);
}
