import { hex, integer, list, literal, object } from "../base/schema.ts";
import { certificateChain } from "./handshakeMessages.ts";
import { checkpointSchema, maxEntriesPerAnswer, storedEntrySchema } from "./storedEntry.ts";

/**
 * What a client hands back to a server that has fewer entries than it has signed for, because its store was put back to an
 * older state.
 */

/** Most chains that come with entries. */
export const maxReturnedChains = 64;
/** A tree of 2^53 leaves has that many levels, and one more for the smaller tree. */
const maxPath = 54;

const id = integer(1, 0xffff_ffff);
const conversation = hex(16);

export const restoreRequests = {
  return_entries: object({
    type: literal("return_entries"),
    id,
    conversation,
    /** Index of the first one: where the server's log ends. */
    from: integer(),
    entries: list(storedEntrySchema, maxEntriesPerAnswer),
    /** Of certificates that these entries and the checkpoint name; known ones may be left out. */
    chains: list(certificateChain, maxReturnedChains),
    /** By this server, of an earlier time, over these entries and perhaps more. */
    checkpoint: checkpointSchema,
    /** Shows that the log with these entries is a prefix of that one (RFC 9162 §2.1.4). */
    path: list(hex(32), maxPath),
  }),
  logs_returned: object({ type: literal("logs_returned"), id }),
} as const;

export const restoreAnswers = {
  entries_taken: object({
    type: literal("entries_taken"),
    id,
    conversation,
    /** Of the server's log now. */
    size: integer(),
  }),
  logs_noted: object({ type: literal("logs_noted"), id }),
} as const;
