import { createInterface } from "node:readline";
import { CliError, exitCodes } from "./cliError.ts";

/** Asks on stderr and reads one line from the terminal. @returns the line, or `fallback` when it is empty */
export async function promptLine(question: string, fallback = ""): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.on("SIGINT", () => reject(interrupted()));
      lines.on("close", () => reject(interrupted()));
      lines.question(question, (answer) => resolve(answer.trim() === "" ? fallback : answer.trim()));
    });
  } finally {
    lines.close();
  }
}

/** Asks without echo. Backspace and Ctrl-U edit, Ctrl-C ends the program. */
export async function promptSecret(question: string): Promise<string> {
  process.stderr.write(question);
  const input = process.stdin;
  input.setRawMode(true);
  input.resume();
  try {
    return await new Promise<string>((resolve, reject) => {
      const typed: string[] = [];
      const onData = (chunk: Buffer) => {
        for (const character of chunk.toString("utf8")) {
          if (character === "\r" || character === "\n") {
            input.off("data", onData);
            return resolve(typed.join(""));
          }
          if (character === "\u0003" || character === "\u0004") {
            input.off("data", onData);
            return reject(interrupted());
          }
          if (character === "\u007f" || character === "\b") typed.pop();
          else if (character === "\u0015") typed.length = 0;
          else if (character >= " ") typed.push(character);
        }
      };
      input.on("data", onData);
    });
  } finally {
    input.setRawMode(false);
    input.pause();
    process.stderr.write("\n");
  }
}

function interrupted(): CliError {
  return new CliError(exitCodes.interrupted, "interrupted");
}
