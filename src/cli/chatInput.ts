import { createInterface, type Interface } from "node:readline";

/** Longest line that is read; what a message may hold, the client says. */
const maxLineChars = 256 * 1024;

/** The lines that a user or a script types, and where lines of the chat are put meanwhile. */
export interface ChatInput {
  readonly lines: AsyncIterable<string>;
  write(stream: "out" | "err", line: string): void;
  /** No more input is wanted. */
  close(): void;
}

/** Lines of a pipe or file. A last line without its line end counts. */
export function pipedInput(): ChatInput {
  return {
    lines: linesOf(process.stdin),
    write: (stream, line) => void (stream === "out" ? process.stdout : process.stderr).write(`${line}\n`),
    close: () => process.stdin.destroy(),
  };
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

const prompt = "Message (or 'quit'): ";

/** A terminal: what arrives is written above the prompt, and what is being typed stays. */
export function terminalInput(onInterrupt: () => void): ChatInput {
  const readline: Interface = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: true,
    prompt,
    historySize: 200,
  });
  readline.on("SIGINT", onInterrupt);
  let open = true;
  readline.on("close", () => {
    open = false;
  });
  readline.prompt();
  return {
    lines: (async function* () {
      for await (const line of readline) {
        // The echo of what was typed gives way to the line that says that it was sent.
        process.stdout.write("\u001b[1A\r\u001b[K");
        yield line;
        if (open) readline.prompt();
      }
    })(),
    write: (_stream, line) => {
      process.stdout.write(`${open ? "\r\u001b[K" : ""}${line}\n`);
      if (open) readline.prompt(true);
    },
    close: () => {
      if (!open) return;
      process.stdout.write("\r\u001b[K");
      readline.close();
    },
  };
}
