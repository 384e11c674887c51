import { encodeHex } from "../base/hex.ts";
import {
  boolean,
  decodeJson,
  encodeJson,
  hex,
  integer,
  list,
  literal,
  object,
  oneOf,
  SchemaError,
  text,
} from "../base/schema.ts";
import type { LogState } from "../log/conversationLog.ts";
import { adminsSchema, rosterRowSchema, rosterSchema } from "../log/roster.ts";

/** Of a state with 256 rows and thousands of former devices. */
const maxStateBytes = 16 * 1024 * 1024;

const name = text({ max: 254 });
const digest = hex(32);

const schema = object({
  v: literal(1),
  conversation: hex(16),
  kind: oneOf(["direct", "group"]),
  title: text({ max: 1024 }),
  server: object({ name, fingerprint: digest }),
  creator: object({ username: name, email: name, authority: digest }),
  admins: adminsSchema,
  roster: rosterSchema,
  epoch: integer(),
  epochIndex: integer(),
  size: integer(1),
  peaks: list(digest, 64),
  root: digest,
  firstAt: integer(),
  lastAt: integer(),
  senders: list(
    object({
      fingerprint: digest,
      username: name,
      email: name,
      authority: digest,
      notAfterMs: integer(),
      lastSeqno: integer(),
      lastViewSize: integer(),
      admittedIndex: integer(),
      inRoster: boolean,
      left: boolean,
    }),
    65_536,
  ),
  departed: list(rosterRowSchema, 256),
  closed: boolean,
});

/** @returns the state as it is kept beside the log, to go on from without reading all entries again */
export function encodeLogState(state: LogState): Uint8Array {
  const { frontier, senders, ...rest } = state;
  return encodeJson(schema, {
    v: 1,
    ...rest,
    peaks: frontier.peaks.map((peak) => encodeHex(peak)),
    senders: [...senders].map(([fingerprint, sender]) => ({ fingerprint, ...sender })),
  });
}

/** @returns `undefined` when the record is of another version or damaged: then the state has to be made from the entries */
export function decodeLogState(bytes: Uint8Array): LogState | undefined {
  try {
    const { v: _, peaks, senders: rows, ...rest } = decodeJson(schema, bytes, maxStateBytes);
    const senders = new Map(rows.map(({ fingerprint, ...sender }) => [fingerprint, sender]));
    // The last of two rows for one device would win, and an earlier seqno could be used again.
    if (senders.size !== rows.length) return undefined;
    return {
      ...rest,
      frontier: { size: rest.size, peaks: peaks.map((peak) => Uint8Array.fromHex(peak)) },
      senders,
    };
  } catch (error) {
    if (error instanceof SchemaError) return undefined;
    throw error;
  }
}
