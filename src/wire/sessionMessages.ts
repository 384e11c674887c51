import {
  base64,
  boolean,
  hex,
  integer,
  list,
  literal,
  nullable,
  object,
  oneOf,
  type SchemaType,
  tagged,
  text,
} from "../base/schema.ts";
import { deliveryAnswers, deliveryPushes, deliveryRequests } from "./deliveryMessages.ts";
import { certificateChain } from "./handshakeMessages.ts";
import { keyPackage } from "./keyPackageForm.ts";
import { authenticatedSchema, requestId as id, username } from "./loginMessages.ts";
import { operatorAnswers, operatorRequests } from "./operatorMessages.ts";
import { pairAnswers, pairRequests } from "./pairMessages.ts";
import { restoreAnswers, restoreRequests } from "./restoreMessages.ts";
import { checkpointSchema, entryLine, maxEntriesPerAnswer, storedEntrySchema } from "./storedEntry.ts";

export {
  checkpointSchema,
  maxEntriesPerAnswer,
  maxEntryLineBytes,
  type StoredEntry,
  type WireCheckpoint,
} from "./storedEntry.ts";

/**
 * What client and server say to each other inside the channel once the client is logged in (before: loginMessages.ts).
 * Every request has an `id`; the server answers each exactly once with the same `id`. Pushes have none.
 */

/** Most raw bytes of a blob in one message. */
export const maxBlobPieceBytes = 64 * 1024;
/** Longest blob that is stored. */
export const maxBlobBytes = 4 * 1024 * 1024;
export const maxKeyPackagesPerMessage = 10;
export const maxStatementBytes = 64 * 1024;
/** One signer's SignedData with the certificates of its path. */
export const maxSignatureBytes = 64 * 1024;
/** All signers' SignedData: as much as fits into a message as base64. The most signers that such a file may have, 64, take
 *  80 KB with P-256 keys and some 150 KB with RSA-3072. */
export const maxReceiptBytes = 188 * 1024;
export const maxCrlBytes = 96 * 1024;

const conversation = hex(16);
const fingerprint = hex(32);
const digest = hex(32);
const count = integer();
const time = integer();

/** Requests of an authenticated client. */
export const requestSchema = tagged("type", {
  ping: object({ type: literal("ping"), id }),
  publish_key_packages: object({
    type: literal("publish_key_packages"),
    id,
    packages: list(keyPackage, maxKeyPackagesPerMessage),
    last_resort: nullable(keyPackage),
  }),
  fetch_key_packages: object({ type: literal("fetch_key_packages"), id, username }),
  fetch_certificates: object({
    type: literal("fetch_certificates"),
    id,
    fingerprints: list(fingerprint, 64),
  }),
  put_blob: object({
    type: literal("put_blob"),
    id,
    sha256: digest,
    size: integer(1, maxBlobBytes),
    offset: integer(0, maxBlobBytes),
    data: base64({ min: 1, max: maxBlobPieceBytes }),
  }),
  fetch_blob: object({ type: literal("fetch_blob"), id, sha256: digest, offset: integer(0, maxBlobBytes) }),
  post: object({ type: literal("post"), id, line: entryLine }),
  list_conversations: object({ type: literal("list_conversations"), id, after: nullable(conversation) }),
  fetch_entries: object({
    type: literal("fetch_entries"),
    id,
    conversation,
    from: count,
    limit: integer(1, maxEntriesPerAnswer),
  }),
  sign_receipt: object({
    type: literal("sign_receipt"),
    id,
    conversation,
    statement: base64({ min: 1, max: maxStatementBytes }),
    signed_data: base64({ min: 1, max: maxSignatureBytes }),
  }),
  fetch_receipt: object({ type: literal("fetch_receipt"), id, conversation, size: integer(1) }),
  ...operatorRequests,
  ...deliveryRequests,
  ...pairRequests,
  ...restoreRequests,
});
export type Request = SchemaType<typeof requestSchema>;

/** Why a request was refused. The first group is about the request, the second about an entry (DESIGN: Acceptance). */
export const refusalCodes = [
  "MALFORMED",
  "UNEXPECTED",
  "IDENTITY_MISMATCH",
  "AUTHENTICATION_FAILED",
  "TAKEN",
  "REGISTRATION_CLOSED",
  "ACCOUNT_DISABLED",
  "WEAK_PASSWORD",
  "PASSWORD_CHANGE_REQUIRED",
  "PASSWORD_EXPIRED",
  "TICKET_REFUSED",
  "TRY_LATER",
  "TOO_MANY",
  "NOT_FOUND",
  "EXPIRED",
  "NO_KEY_PACKAGE",
  "BAD_KEY_PACKAGE",
  "BAD_BLOB",
  "BAD_RECEIPT",
  "CONVERSATION_EXISTS",
  "UNAVAILABLE",
  "RESTORING",
  "INTERNAL",
  "UNKNOWN_SENDER",
  "REPLAY",
  "GAP",
  "BAD_SIGNATURE",
  "BAD_VIEW",
  "STALE_EPOCH",
  "CLOCK",
  "CERTIFICATE_INVALID",
  "CERTIFICATE_REVOKED",
  "REKEY_NEEDED",
  "BAD_BODY",
  "FORBIDDEN",
  "CLOSED",
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

const conversationSummary = object({ conversation, size: integer(1) });
export type ConversationSummary = SchemaType<typeof conversationSummary>;

/** What the server sends: answers (with `id`) and pushes (without). */
export const serverMessageSchema = tagged("type", {
  refused: object({
    type: literal("refused"),
    id,
    code: oneOf(refusalCodes),
    message: text({ max: 512 }),
    /** CONVERSATION_EXISTS: the other conversation's id. TRY_LATER: milliseconds. CLOCK: server time. GAP, REPLAY: the next seqno.
     *  EXPIRED: how many days the server keeps a conversation, "" when it keeps them now. Else "". */
    detail: text({ max: 128 }),
  }),
  pong: object({ type: literal("pong"), id }),
  authenticated: authenticatedSchema,
  published: object({ type: literal("published"), id, one_time: count, last_resort: boolean }),
  key_packages: object({
    type: literal("key_packages"),
    id,
    username,
    packages: list(object({ package: keyPackage, last_resort: boolean }), 16),
  }),
  certificates: object({ type: literal("certificates"), id, chains: list(certificateChain, 64) }),
  blob_stored: object({ type: literal("blob_stored"), id, sha256: digest, complete: boolean }),
  blob: object({
    type: literal("blob"),
    id,
    sha256: digest,
    size: integer(1, maxBlobBytes),
    offset: integer(0, maxBlobBytes),
    data: base64({ max: maxBlobPieceBytes }),
  }),
  accepted: object({
    type: literal("accepted"),
    id,
    conversation,
    index: count,
    at: time,
    checkpoint: checkpointSchema,
  }),
  conversations: object({
    type: literal("conversations"),
    id,
    conversations: list(conversationSummary, 256),
    more: boolean,
  }),
  entries: object({
    type: literal("entries"),
    id,
    conversation,
    from: count,
    entries: list(storedEntrySchema, maxEntriesPerAnswer),
    checkpoint: checkpointSchema,
  }),
  countersigned: object({
    type: literal("countersigned"),
    id,
    conversation,
    size: integer(1),
    signed_data: base64({ min: 1, max: maxReceiptBytes }),
  }),
  ...operatorAnswers,
  ...deliveryAnswers,
  ...pairAnswers,
  ...deliveryPushes,
  ...restoreAnswers,
  crl: object({ type: literal("crl"), crl: base64({ min: 1, max: maxCrlBytes }) }),
  pushed: object({
    type: literal("pushed"),
    conversation,
    from: count,
    entries: list(storedEntrySchema, maxEntriesPerAnswer),
    checkpoint: checkpointSchema,
  }),
  receipt: object({
    type: literal("receipt"),
    conversation,
    size: integer(1),
    signed_data: base64({ min: 1, max: maxReceiptBytes }),
  }),
});
export type ServerMessage = SchemaType<typeof serverMessageSchema>;
