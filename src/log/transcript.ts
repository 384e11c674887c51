import { decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { formatJson, integer, object } from "../base/schema.ts";
import { crypto, type Sha256Stream } from "../crypto/crypto.ts";
import { type LogContext, type LogState, verifyEntry } from "./conversationLog.ts";
import { type Entry, entryFields, maxLineBytes, parseLine } from "./entry.ts";
import { LogError } from "./logError.ts";
import { RootHistory } from "./rootHistory.ts";

/** `,"index":` and `,"at":` with sixteen digits each. */
const appendedBytes = 9 + 16 + 6 + 16;
/** Longest line of `transcript.jsonl` without its line end, bytes, inclusive. */
export const maxTranscriptLineBytes = maxLineBytes + appendedBytes;

const lineSchema = object({ ...entryFields, index: integer(), at: integer() });

/** An entry and its place in the log. */
export interface TranscriptLine {
  readonly entry: Entry;
  readonly index: number;
  /** When the server received it, ms. */
  readonly at: number;
}

/** @returns the entry line with `index` and `at` appended, without a line end */
export function formatTranscriptLine({ entry, index, at }: TranscriptLine): string {
  return formatJson(lineSchema, { ...entry, index, at });
}

/** @param line without its line end @throws {LogError} `MALFORMED` unless it is the canonical form of such a line */
export function parseTranscriptLine(line: string): TranscriptLine {
  const { index, at, ...entry } = parseLine(lineSchema, line, maxTranscriptLineBytes);
  return { entry, index, at };
}

/** What a prefix of a transcript amounts to. */
export interface TranscriptPrefix {
  readonly state: LogState;
  /** SHA-256 of its lines with their line ends: `head -n SIZE transcript.jsonl | sha256sum`. */
  readonly sha256: Hex;
}

export interface VerifiedTranscript extends TranscriptPrefix {
  /** The root of the first `size` entries. */
  rootAt(size: number): Hex | undefined;
  /** One for each size that was asked for and that the transcript reaches. */
  readonly prefixes: ReadonlyMap<number, TranscriptPrefix>;
}

/**
 * Verifies a transcript line by line, with memory for the roots and one line.
 *
 * @param lines as `readLines` cuts them
 * @param options.certificateAt see `LogContext`
 * @param options.prefixSizes sizes whose state and digest are wanted too, such as those of older receipts
 * @param options.onEntry called with each entry that has been verified and the state with it
 * @throws {LogError} the code of the first broken rule, with `index` of the line; `MALFORMED` also when there is none
 */
export async function verifyTranscript(
  lines: AsyncIterable<string> | Iterable<string>,
  options: {
    certificateAt: LogContext["certificateAt"];
    prefixSizes?: readonly number[];
    onEntry?: (line: TranscriptLine, state: LogState) => void;
  },
): Promise<VerifiedTranscript> {
  const { certificateAt, prefixSizes = [], onEntry } = options;
  const roots = new RootHistory();
  const rootAt = (size: number) => roots.at(size);
  const whole = crypto().sha256Stream();
  const digests = new Map<number, Sha256Stream>(prefixSizes.map((size) => [size, crypto().sha256Stream()]));
  const prefixes = new Map<number, TranscriptPrefix>();
  let state: LogState | undefined;
  let index = 0;

  for await (const text of lines) {
    const { line, next } = located(index, () => {
      const line = parseTranscriptLine(text);
      if (line.index !== index) throw new LogError("MALFORMED", `index must be ${index}, not ${line.index}`);
      return { line, next: verifyEntry(state, line.entry, line.at, { certificateAt, rootAt }) };
    });
    state = next;
    index = next.size;
    roots.append(next.root);
    const bytes = encodeUtf8(`${text}\n`);
    whole.update(bytes);
    for (const [size, digest] of digests) {
      if (index <= size) digest.update(bytes);
      if (index === size) prefixes.set(size, { state: next, sha256: encodeHex(digest.digest()) });
    }
    onEntry?.(line, next);
  }
  if (state === undefined) throw new LogError("MALFORMED", "transcript without entries");
  return { state, sha256: encodeHex(whole.digest()), rootAt, prefixes };
}

/**
 * Cuts a file into lines at LF and nothing else. Every line has its LF, the last one too: one without is torn.
 *
 * @param chunks the bytes in whatever pieces they come
 * @param maxBytes longest line without its LF, inclusive; no more than that is held
 * @throws {LogError} `MALFORMED`: too long, not UTF-8, torn
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number = maxTranscriptLineBytes,
): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let held = 0;
  let index = 0;
  for await (const chunk of chunks) {
    let start = 0;
    while (start < chunk.length) {
      const end = chunk.indexOf(0x0a, start);
      const piece = chunk.subarray(start, end === -1 ? chunk.length : end);
      held += piece.length;
      if (held > maxBytes) throw new LogError("MALFORMED", `line of more than ${maxBytes} bytes`, { index });
      pieces.push(end === -1 ? piece.slice() : piece);
      if (end === -1) break;
      const line = decodeUtf8(join(pieces, held));
      if (line === undefined) throw new LogError("MALFORMED", "line is not UTF-8", { index });
      yield line;
      pieces = [];
      held = 0;
      index += 1;
      start = end + 1;
    }
  }
  if (held > 0) throw new LogError("MALFORMED", "the last line has no line end", { index });
}

/** Not `concatBytes`: there may be as many pieces as bytes, more than a call takes arguments. */
function join(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

/** Adds the place to what a rule says. */
function located<T>(index: number, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof LogError)) throw cause;
    throw new LogError(cause.code, `entry ${index}: ${cause.message}`, { cause, index });
  }
}
