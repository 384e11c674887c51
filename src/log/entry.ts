import { encodeBase64 } from "../base/base64.ts";
import { concatBytes, encodeUtf8, equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import {
  base64,
  formatJson,
  hex,
  integer,
  literal,
  object,
  oneOf,
  parseJson,
  type Schema,
  type SchemaType,
} from "../base/schema.ts";
import { crypto, type PrivateKey, sha256 } from "../crypto/crypto.ts";
import { labels } from "../crypto/labels.ts";
import { maxEntryLineBytes } from "../wire/sessionMessages.ts";
import { LogError, reasonOf } from "./logError.ts";

/** Longest plaintext of a message, UTF-8 bytes, inclusive. */
export const maxPlaintextBytes = 65_536;
/** Longest public body, bytes of JSON, inclusive. */
export const maxBodyBytes = 65_536;
/** Longest entry line without its line end, bytes, inclusive. */
export const maxLineBytes = maxEntryLineBytes;
/** The random key of a commitment. */
export const openingBytes = 32;

// ct of a message = 12-byte nonce || 16-byte tag and 64-byte blocks that hold opening || uint32 length || plaintext.
const sealBytes = 12 + 16;
const blockBytes = 64;
const maxBlocks = Math.ceil((openingBytes + 4 + maxPlaintextBytes) / blockBytes);
const maxCiphertextBytes = sealBytes + maxBlocks * blockBytes;
const maxSignatureBytes = 1024;

export const entryKinds = ["create", "message", "membership", "acknowledge", "leave"] as const;
export type EntryKind = (typeof entryKinds)[number];

/** What a sender decides on before it has the ciphertext: the associated data binds all of it. */
export interface UnsignedEntry {
  readonly v: 2;
  /** 16 bytes */
  readonly conversation: Hex;
  /** SHA-256 of the sender's certificate, DER. */
  readonly sender: Hex;
  /** From 1, without gaps, per sender and conversation. */
  readonly seqno: number;
  /** The sender's clock, ms since the epoch. */
  readonly ts: number;
  readonly kind: EntryKind;
  /** The prefix of the log that the sender had verified when it signed. */
  readonly view: { readonly size: number; readonly root: Hex };
  readonly epoch: number;
  /** `-` for every kind but `message`. */
  readonly commitment: Hex | "-";
}

export interface Entry extends UnsignedEntry {
  /** `message`: the ciphertext; else the public body, JSON. */
  readonly ct: Uint8Array;
  readonly sig: Uint8Array;
}

const digest = hex(32);

const commitmentSchema: Schema<Hex | "-"> = {
  read: (value, path) => (value === "-" ? value : digest.read(value, path)),
  write: (value) => value,
};

/** The fields of an entry line, in their order. */
export const entryFields = {
  v: literal(2),
  conversation: hex(16),
  sender: digest,
  seqno: integer(1),
  ts: integer(),
  kind: oneOf(entryKinds),
  view: object({ size: integer(), root: digest }),
  epoch: integer(),
  commitment: commitmentSchema,
  ct: base64({ min: 2, max: Math.max(maxCiphertextBytes, maxBodyBytes) }),
  sig: base64({ min: 1, max: maxSignatureBytes }),
};
const entrySchema = object(entryFields);

/**
 * Reads an entry line, which anybody may have written.
 *
 * @param line without its line end
 * @throws {LogError} `MALFORMED` unless it is the canonical form of an entry whose commitment and ciphertext fit its kind
 */
export function parseEntry(line: string): Entry {
  return parseLine(entrySchema, line, maxLineBytes);
}

/** @returns the entry line, without a line end */
export function formatEntry(entry: Entry): string {
  return formatJson(entrySchema, entry);
}

/**
 * Reads a line that has at least the fields of an entry.
 *
 * @throws {LogError} `MALFORMED`
 */
export function parseLine<T extends SchemaType<typeof entrySchema>>(
  schema: Schema<T>,
  line: string,
  maxBytes: number,
): T {
  // Only ASCII survives the check for the canonical form, so units of the string are bytes of the line.
  if (line.length > maxBytes) throw new LogError("MALFORMED", `line of more than ${maxBytes} bytes`);
  let entry: T;
  try {
    entry = parseJson(schema, line);
  } catch (cause) {
    throw new LogError("MALFORMED", `not an entry line: ${reasonOf(cause)}`, {
      cause,
    });
  }
  checkShape(entry);
  return entry;
}

function checkShape({ kind, commitment, ct }: SchemaType<typeof entrySchema>): void {
  if (kind !== "message") {
    if (commitment !== "-") throw new LogError("MALFORMED", `commitment of a ${kind} entry must be -`);
    if (ct.length > maxBodyBytes) throw new LogError("MALFORMED", `body of more than ${maxBodyBytes} bytes`);
    return;
  }
  if (commitment === "-") throw new LogError("MALFORMED", "message entry without a commitment");
  const blocks = (ct.length - sealBytes) / blockBytes;
  if (!Number.isInteger(blocks) || blocks < 1)
    throw new LogError(
      "MALFORMED",
      `ciphertext of ${ct.length} bytes is not ${sealBytes} plus a multiple of ${blockBytes}`,
    );
}

/** @returns the signed text without its last line: what the message cipher authenticates */
export function associatedData(unsigned: UnsignedEntry): Uint8Array {
  return encodeUtf8(signedText(unsigned));
}

/** @returns the signed text: one field a line, the last one SHA-256(ct) in hex */
export function signedBytes(unsigned: UnsignedEntry, ct: Uint8Array): Uint8Array {
  return encodeUtf8(`${signedText(unsigned)}${encodeHex(sha256(ct))}\n`);
}

function signedText(entry: UnsignedEntry): string {
  return (
    `${labels.entry}\n${entry.conversation}\n${entry.sender}\n${entry.seqno}\n${entry.ts}\n${entry.kind}\n` +
    `${entry.view.size}\n${entry.view.root}\n${entry.epoch}\n${entry.commitment}\n`
  );
}

/** @param key belongs to the certificate that `unsigned.sender` names */
export function signEntry(unsigned: UnsignedEntry, ct: Uint8Array, key: PrivateKey): Entry {
  return { ...unsigned, ct, sig: key.sign(signedBytes(unsigned, ct)) };
}

/**
 * The leaf of an entry in its log's tree (RFC 9162 §2.1.1).
 *
 * @param at the server's receive time, ms
 * @param signed `signedBytes` of the entry, where the caller has them already
 * @returns SHA-256(0x00 || signed bytes || sig in base64 || LF || at || LF)
 */
export function leafHash(entry: Entry, at: number, signed = signedBytes(entry, entry.ct)): Uint8Array {
  return sha256(concatBytes(leafPrefix, signed, encodeUtf8(`${encodeBase64(entry.sig)}\n${at}\n`)));
}

const leafPrefix = Uint8Array.of(0);

/**
 * What a message's author is bound to without showing it.
 *
 * @param opening 32 random bytes, the HMAC key; whoever has them can check the words
 * @param plaintext UTF-8
 */
export function computeCommitment(parts: {
  opening: Uint8Array;
  conversation: Hex;
  sender: Hex;
  seqno: number;
  plaintext: Uint8Array;
}): Hex {
  const context = encodeUtf8(
    `${labels.commitment}\n${parts.conversation}\n${parts.sender}\n${parts.seqno}\n`,
  );
  return encodeHex(crypto().hmac("sha256", parts.opening, concatBytes(context, parts.plaintext)));
}

/**
 * @returns whether `entry` says nothing that `stored` didn't: same signed bytes. The signature may be another one, as
 * ECDSA has many for one text; the stored one stays.
 */
export function isIdenticalRepost(stored: Entry, entry: Entry): boolean {
  return signedText(stored) === signedText(entry) && equalBytes(stored.ct, entry.ct);
}
