import { concatBytes, decodeUtf8 } from "../base/bytes.ts";

/** Longest line that is read; what a message may hold, the client says. */
const maxLineBytes = 256 * 1024;
const lineEnd = 0x0a;

/** A line, or why there is none: what would have to be altered to be sent is not sent. */
export type InputLine = string | { readonly refused: string };

/** The lines that a user or a script types. */
export interface ChatInput {
  readonly lines: AsyncIterable<InputLine>;
  /** No more input is wanted. */
  close(): void;
}

/** Lines of a pipe or file. A last line without its line end counts. */
export function pipedInput(): ChatInput {
  return { lines: linesOf(process.stdin), close: () => process.stdin.destroy() };
}

/** Lines of a terminal that can't move its cursor: it edits and echoes them itself. */
export function plainTerminalInput(prompt: string): ChatInput {
  return { lines: prompted(linesOf(process.stdin), prompt), close: () => process.stdin.destroy() };
}

async function* prompted(lines: AsyncIterable<InputLine>, prompt: string): AsyncGenerator<InputLine> {
  process.stderr.write(prompt);
  for await (const line of lines) {
    yield line;
    process.stderr.write(prompt);
  }
}

/** @param stream controlled by whoever feeds standard input; of a line that is too long only the number of bytes is kept */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<InputLine> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let isFirst = true;
  const take = (part: Uint8Array) => {
    length += part.length;
    if (length <= maxLineBytes) parts.push(part);
    else parts = [];
  };
  const finish = (): InputLine => {
    const line = length > maxLineBytes ? tooLong(length) : decoded(concatBytes(...parts));
    const isMarked = isFirst && typeof line === "string" && line.startsWith("\ufeff");
    parts = [];
    length = 0;
    isFirst = false;
    return isMarked ? line.slice(1) : line;
  };
  for await (const chunk of stream) {
    let from = 0;
    for (let to = chunk.indexOf(lineEnd); to >= 0; to = chunk.indexOf(lineEnd, from)) {
      take(chunk.subarray(from, to));
      from = to + 1;
      yield finish();
    }
    // A copy: the stream may use its buffer again.
    if (from < chunk.length) take(chunk.slice(from));
  }
  if (length > 0) yield finish();
}

function tooLong(length: number): InputLine {
  return { refused: `an input line has at most ${maxLineBytes} bytes, this has ${length}: it was not sent` };
}

function decoded(bytes: Uint8Array): InputLine {
  const line = decodeUtf8(bytes)?.replace(/\r$/, "");
  return line ?? { refused: "an input line is not UTF-8: it was not sent" };
}
