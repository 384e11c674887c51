import { concatBytes } from "../base/bytes.ts";
import { decodeHex, encodeHex, type Hex } from "../base/hex.ts";
import {
  base64,
  boolean,
  decodeJson,
  encodeJson,
  hex,
  integer,
  list,
  nullable,
  object,
  oneOf,
  type Schema,
  type SchemaType,
  text,
} from "../base/schema.ts";
import { membershipActions } from "../log/bodies.ts";
import { maxLineBytes, maxPlaintextBytes, openingBytes } from "../log/entry.ts";
import { certificateChain } from "../wire/handshakeMessages.ts";
import { maxKeyPackageBytes } from "../wire/keyPackageForm.ts";
import { checkpointSchema, maxBlobBytes } from "../wire/sessionMessages.ts";
import { ClientError } from "./clientError.ts";

/** Values of the vault are JSON of at most so many bytes: the largest holds three blobs and a group state. */
const maxRecordBytes = 32 * 1024 * 1024;

const fingerprint = hex(32);

/** `keyPackage`, by reference. */
export const keyPackageSchema = object({
  public: base64({ min: 1, max: maxKeyPackageBytes }),
  private: base64({ min: 1, max: maxKeyPackageBytes }),
  last_resort: boolean,
  not_after: integer(),
});

/** Most certificates that are remembered of a person, and devices of a certificate; the oldest go first. */
export const maxPins = 256;

/** `person`, by `<username>/<email>/<authority>`: the certificates and devices that were seen, the newest last. */
export const personSchema = object({
  certificates: list(
    object({ fingerprint, first_seen: integer(), devices: list(fingerprint, maxPins) }),
    maxPins,
  ),
});
export type PersonRecord = SchemaType<typeof personSchema>;

/** `chain`, by fingerprint: the certificate and its intermediates, DER. */
export const chainSchema = certificateChain;

/** Most indexes that wait to be named in an `acknowledge`. */
export const maxComplaints = 1024;

/** `conversation`, by id: where the client stands in its log. */
export const conversationSchema = object({
  /** Name of its transcript folder; empty while an own `create` is under way. */
  folder: text({ max: 128 }),
  kind: oneOf(["direct", "group"]),
  /** The other one's name, or the title. */
  name: text({ max: 253 }),
  closed: boolean,
  /** Entries that are in the transcript and taken into account, and their root. */
  size: integer(),
  root: fingerprint,
  /** Indexes that the next `acknowledge` names. */
  disputed: list(integer(), maxComplaints),
  unprocessable: list(integer(), maxComplaints),
  /** The newest one that agrees with the log. */
  checkpoint: nullable(checkpointSchema),
  /** One that contradicts the log up to `checkpoint`: nothing is taken or sent any more. */
  contradiction: nullable(checkpointSchema),
  /** Size of `receipt.json`, 0 without one, and whether the server's signature and counter signature are in it. */
  receipt_size: integer(),
  receipt_complete: boolean,
});
export type ConversationRecord = SchemaType<typeof conversationSchema>;

/** `replaced`, by conversation: a newer one with the same person has taken its place, since then. */
export const replacedSchema = object({ at: integer() });

/** `told`, by conversation: whoever shows the conversation was told of the entries before `size`. */
export const toldSchema = object({ size: integer() });

/** Most days that a server may say to keep conversations. */
const maxKeptDays = 36_500;

/** `expired`, by conversation: since when the client knows that the server has deleted it, and how long that keeps one. */
export const expiredSchema = object({ at: integer(), kept_days: nullable(integer(1, maxKeptDays)) });
export type ExpiredRecord = SchemaType<typeof expiredSchema>;

/** @param detail of the refusal `EXPIRED`, controlled by the server @returns `null` when it names no number of days */
export function keptDaysOf(detail: string): number | null {
  const days = /^[1-9][0-9]{0,4}$/.test(detail) ? Number(detail) : 0;
  return days >= 1 && days <= maxKeptDays ? days : null;
}

/** `member`, by conversation: where the client stands in its group. What is secret is in `group` and `ratchet`. */
export const memberSchema = object({
  /** The own device in this conversation; `null` while there is none. */
  device: nullable(fingerprint),
  /** The epoch that group state and ratchets are of; 0: none, so the client is not (or no longer) in the group. */
  epoch: integer(),
  /** `at` of the entry that brought the last fresh path of this device, and its own messages since. */
  path_at: integer(),
  path_messages: integer(),
  /** A fresh path is due whatever its age: joined by a last-resort key package. */
  path_due: boolean,
});
export type MemberRecord = SchemaType<typeof memberSchema>;

/** `pending`, by conversation: an own commit that does not stand in the log yet. */
export const pendingSchema = object({
  action: oneOf(["create", ...membershipActions]),
  device: fingerprint,
  /** The epoch that it opens. */
  epoch: integer(1),
  commit: base64({ min: 1, max: maxBlobBytes }),
  welcome: nullable(base64({ min: 1, max: maxBlobBytes })),
  group: base64({ min: 1, max: maxBlobBytes }),
  next_state: base64({ min: 1, max: maxBlobBytes }),
});
export type PendingRecord = SchemaType<typeof pendingSchema>;

/** Newest epochs of a conversation whose public parts are kept. */
export const maxEpochs = 16;

/** `epoch`, by `<conversation>/<epoch>`: what the entry that opened it names, should the server lose it. Nothing secret. */
export const epochSchema = object({
  commit: base64({ min: 1, max: maxBlobBytes }),
  welcome: nullable(base64({ min: 1, max: maxBlobBytes })),
  group: base64({ min: 1, max: maxBlobBytes }),
});

/** `outgoing`, by `<conversation>/<order>`: an own entry that does not stand in the log yet. */
export const outgoingSchema = object({
  kind: oneOf(["create", "message", "membership", "acknowledge", "leave"]),
  /** `message`: the words, in UTF-8. Else the body. */
  content: base64({ max: maxPlaintextBytes }),
  /** `message`: drawn when it was first sealed; it belongs to `seqno` and `content` from then on. */
  opening: nullable(base64({ min: openingBytes, max: openingBytes })),
  seqno: nullable(integer(1)),
  /** The line that was signed last; it may have reached the server. */
  line: nullable(text({ min: 1, max: maxLineBytes })),
});
export type OutgoingRecord = SchemaType<typeof outgoingSchema>;

/** @throws {ClientError} `VAULT_UNUSABLE` */
export function decodeRecord<T>(schema: Schema<T>, bytes: Uint8Array, what: string): T {
  try {
    return decodeJson(schema, bytes, maxRecordBytes);
  } catch (cause) {
    throw unreadable(what, cause);
  }
}

export function encodeRecord<T>(schema: Schema<T>, value: T): Uint8Array {
  return encodeJson(schema, value);
}

/** Row key of something numbered: ordered as text, as the numbers are. */
export function numberedKey(conversation: Hex, number: number): string {
  return `${conversation}/${String(number).padStart(16, "0")}`;
}

/** @returns the number in a `numberedKey` */
export function numberOfKey(key: string): number {
  return Number(key.slice(key.indexOf("/") + 1));
}

const chainBytes = 32;

/** `ratchet`, by conversation: `fingerprint(32) || chain(32)` for each member. Binary, so that the copy can be wiped. */
export function encodeChains(chains: ReadonlyMap<Hex, Uint8Array>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [member, chain] of chains) parts.push(decodeHex(member, 32) ?? new Uint8Array(32), chain);
  return concatBytes(...parts);
}

/** @throws {ClientError} `VAULT_UNUSABLE` */
export function decodeChains(bytes: Uint8Array): Map<Hex, Uint8Array> {
  const chains = new Map<Hex, Uint8Array>();
  const rowBytes = 32 + chainBytes;
  for (let at = 0; at + rowBytes <= bytes.length; at += rowBytes)
    chains.set(encodeHex(bytes.subarray(at, at + 32)), bytes.slice(at + 32, at + rowBytes));
  // Neither a part of a row nor two rows for one member.
  if (chains.size * rowBytes !== bytes.length) throw unreadable("ratchet");
  return chains;
}

/** `opening`, by conversation and index: `opening(32) || plaintext`. */
export function encodeOpening(opening: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return concatBytes(opening, plaintext);
}

/** @throws {ClientError} `VAULT_UNUSABLE` */
export function decodeOpening(bytes: Uint8Array): { opening: Uint8Array; plaintext: Uint8Array } {
  if (bytes.length < openingBytes) throw unreadable("opening");
  return { opening: bytes.subarray(0, openingBytes), plaintext: bytes.subarray(openingBytes) };
}

function unreadable(what: string, cause?: unknown): ClientError {
  return new ClientError("VAULT_UNUSABLE", `the vault's ${what} is of another version`, { cause });
}
