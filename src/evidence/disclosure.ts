import { encodeUtf8 } from "../base/bytes.ts";
import { hex, integer, list, object, type SchemaType, text } from "../base/schema.ts";
import { computeCommitment, type Entry, maxPlaintextBytes, openingBytes } from "../log/entry.ts";
import { reasonOf } from "../log/logError.ts";
import { EvidenceError } from "./evidenceError.ts";
import { decodeJsonFile, encodeJsonFile } from "./evidenceFile.ts";

/** Longest `disclosure.json`, bytes, inclusive. */
export const maxDisclosureBytes = 64 * 1024 * 1024;
/** What fits into a disclosure anyway. */
const maxDisclosedEntries = 1024 * 1024;

const disclosedEntrySchema = object({
  index: integer(),
  opening: hex(openingBytes),
  /** The words themselves: a message's plaintext is UTF-8. */
  plaintext: text({ max: maxPlaintextBytes }),
});
export type DisclosedEntry = SchemaType<typeof disclosedEntrySchema>;

const disclosureSchema = object({
  conversation: hex(16),
  /** Ascending by index. */
  entries: list(disclosedEntrySchema, maxDisclosedEntries),
});
/** Words that a holder of a conversation shows to somebody else. */
export type Disclosure = SchemaType<typeof disclosureSchema>;

/** @returns `disclosure.json` */
export function encodeDisclosure(disclosure: Disclosure): Uint8Array {
  return encodeJsonFile(disclosureSchema, disclosure);
}

/**
 * Reads a `disclosure.json` that anybody may have made.
 *
 * @throws {EvidenceError} `DISCLOSURE_MALFORMED`
 */
export function parseDisclosure(bytes: Uint8Array): Disclosure {
  if (bytes.length <= maxDisclosureBytes && !isShaped(bytes))
    throw malformed("more values in it, or deeper ones, than a disclosure has");
  let disclosure: Disclosure;
  try {
    disclosure = decodeJsonFile(disclosureSchema, bytes, maxDisclosureBytes);
  } catch (cause) {
    throw malformed(reasonOf(cause), cause);
  }
  const { entries } = disclosure;
  if (entries.length === 0) throw malformed("it discloses nothing");
  for (let i = 1; i < entries.length; i++)
    if ((entries[i]?.index ?? 0) <= (entries[i - 1]?.index ?? 0))
      throw malformed("entries must ascend by index");
  return disclosure;
}

/**
 * Checks words against what their author signed.
 *
 * @param conversation that the disclosure names
 * @param entry the one at `disclosed.index` of a verified log, `undefined` when it ends before that
 * @throws {EvidenceError} `DISCLOSURE_NO_SUCH_ENTRY`, `DISCLOSURE_WRONG_CONVERSATION`, `DISCLOSURE_NOT_A_MESSAGE`, or `DISCLOSURE_MISMATCH` when the
 *  opening doesn't open the entry's commitment to these words
 */
export function verifyDisclosed(
  conversation: string,
  disclosed: DisclosedEntry,
  entry: Entry | undefined,
): void {
  const { index, opening, plaintext } = disclosed;
  if (entry === undefined)
    throw new EvidenceError("DISCLOSURE_NO_SUCH_ENTRY", `the log has no entry ${index}`);
  if (entry.conversation !== conversation)
    throw new EvidenceError(
      "DISCLOSURE_WRONG_CONVERSATION",
      `disclosure is of the conversation ${conversation}`,
    );
  if (entry.kind !== "message")
    throw new EvidenceError("DISCLOSURE_NOT_A_MESSAGE", `entry ${index} is no message but ${entry.kind}`);
  const commitment = computeCommitment({
    opening: Uint8Array.fromHex(opening),
    conversation: entry.conversation,
    sender: entry.sender,
    seqno: entry.seqno,
    plaintext: encodeUtf8(plaintext),
  });
  if (commitment !== entry.commitment)
    throw new EvidenceError(
      "DISCLOSURE_MISMATCH",
      `entry ${index} does not commit its author to these words`,
    );
}

const [quote, backslash] = [0x22, 0x5c];
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];
/** The object, its list of entries, an entry. */
const maxDepth = 3;

/**
 * A parser makes up to a hundred bytes out of one byte of the file, and whoever made the file chooses them: 64 MiB of
 * brackets would fill several GiB before a schema is asked. Whether it is JSON at all is the parser's business.
 *
 * @returns whether objects, lists and texts in it are no more, and no deeper, than those of a disclosure
 */
function isShaped(bytes: Uint8Array): boolean {
  let [depth, opened, texts, inText] = [0, 0, 0, false];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (inText) {
      if (byte === backslash) i++;
      else if (byte === quote) inText = false;
    } else if (byte === quote) {
      inText = true;
      // In an entry three names and two values; around the entries two names and a value.
      if (++texts > 5 * maxDisclosedEntries + 3) return false;
    } else if (byte === openBracket || byte === openBrace) {
      if (++depth > maxDepth || ++opened > maxDisclosedEntries + 2) return false;
    } else if (byte === closeBracket || byte === closeBrace) depth--;
  }
  return true;
}

function malformed(message: string, cause?: unknown): EvidenceError {
  return new EvidenceError("DISCLOSURE_MALFORMED", `disclosure.json: ${message}`, { cause });
}
