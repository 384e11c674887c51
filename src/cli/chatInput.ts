/** Longest line that is read; what a message may hold, the client says. */
const maxLineChars = 256 * 1024;

/** The lines that a user or a script types. */
export interface ChatInput {
  readonly lines: AsyncIterable<string>;
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

async function* prompted(lines: AsyncIterable<string>, prompt: string): AsyncGenerator<string> {
  process.stderr.write(prompt);
  for await (const line of lines) {
    yield line;
    process.stderr.write(prompt);
  }
}

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) yield part.replace(/\r$/, "");
    if (rest.length > maxLineChars) throw new Error(`an input line has more than ${maxLineChars} characters`);
  }
  rest += decoder.decode();
  if (rest !== "") yield rest.replace(/\r$/, "");
}
