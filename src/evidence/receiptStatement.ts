import type { Hex } from "../base/hex.ts";
import { hex, integer, list, literal, object, type SchemaType, text } from "../base/schema.ts";
import type { LogState } from "../log/conversationLog.ts";
import { reasonOf } from "../log/logError.ts";
import { compareRows } from "../log/roster.ts";
import { EvidenceError } from "./evidenceError.ts";
import { decodeJsonFile, encodeJsonFile } from "./evidenceFile.ts";

/** Longest `receipt.json`, bytes, inclusive. */
export const maxStatementBytes = 1024 * 1024;
/** What fits into a statement anyway. */
const maxMembers = 8192;

const digest = hex(32);

const statementSchema = object({
  type: literal("receipt"),
  version: literal(2),
  conversation: hex(16),
  /** As `create` names it. */
  server: object({ name: text({ min: 1, max: 253 }), fingerprint: digest }),
  /** Every device that was in the roster of one of these entries, in the order of rosters. */
  members: list(
    object({
      username: text({ min: 1, max: 253 }),
      email: text({ max: 254 }),
      fingerprint: digest,
      /** 1, or 0 for who has written nothing. */
      first_seq: integer(0, 1),
      last_seq: integer(),
    }),
    maxMembers,
  ),
  /** The statement is about the entries 0 … size-1. */
  size: integer(1),
  root: digest,
  /** What `head -n SIZE transcript.jsonl | sha256sum` prints. */
  transcript_sha256: digest,
  /** `at` of entry 0 and of entry size-1, ms. */
  from: integer(),
  to: integer(),
});

/** What the signers of a receipt sign. */
export type ReceiptStatement = SchemaType<typeof statementSchema>;

/**
 * The statement about a log, a pure function of its entries: whoever holds them makes the same bytes.
 *
 * @param prefix as `verifyTranscript` gives it for the whole or for one of its prefixes
 * @returns `receipt.json`
 */
export function buildStatement({ state, sha256 }: { state: LogState; sha256: Hex }): Uint8Array {
  const members = [...state.senders].map(([fingerprint, { username, email, lastSeqno }]) => ({
    username,
    email,
    fingerprint,
    first_seq: Math.min(lastSeqno, 1),
    last_seq: lastSeqno,
  }));
  return encodeJsonFile(statementSchema, {
    type: "receipt",
    version: 2,
    conversation: state.conversation,
    server: state.server,
    members: members.sort(compareRows),
    size: state.size,
    root: state.root,
    transcript_sha256: sha256,
    from: state.firstAt,
    to: state.lastAt,
  });
}

/**
 * Reads a `receipt.json` that anybody may have made. Whether it is true of a log is seen by building it from the log: the
 * bytes are the same or not.
 *
 * @throws {EvidenceError} `STATEMENT_MALFORMED` unless the bytes could be those of a statement
 */
export function parseStatement(bytes: Uint8Array): ReceiptStatement {
  let statement: ReceiptStatement;
  try {
    statement = decodeJsonFile(statementSchema, bytes, maxStatementBytes);
  } catch (cause) {
    throw malformed(reasonOf(cause), cause);
  }
  const { members, from, to } = statement;
  if (members.length < 2) throw malformed("members must be two at least");
  members.forEach((member, i) => {
    const before = members[i - 1];
    if (before !== undefined && compareRows(before, member) >= 0) throw malformed("members must be in order");
    if (member.first_seq !== Math.min(member.last_seq, 1))
      throw malformed(`members[${i}].first_seq must be 1, or 0 like last_seq`);
  });
  if (from > to) throw malformed("from must not be after to");
  return statement;
}

function malformed(message: string, cause?: unknown): EvidenceError {
  return new EvidenceError("STATEMENT_MALFORMED", `receipt.json: ${message}`, { cause });
}
