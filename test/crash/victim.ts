import type { Subprocess } from "bun";

type JsonEvent = Record<string, unknown>;

/** One life of a process that may be killed at any point. Its lines are handed on as they come, the last ones before it has `exited`. */
export class Victim {
  readonly #child: Subprocess<"pipe", "pipe", "pipe">;
  readonly exited: Promise<number | undefined>;
  #errors = "";
  readonly #lastLines: string[] = [];

  constructor(
    command: readonly string[],
    options: { folder: string; env: Record<string, string>; onLine: (line: string) => void },
  ) {
    this.#child = Bun.spawn([...command], {
      cwd: options.folder,
      env: options.env,
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    const read = [
      eachLine(this.#child.stdout, (line) => {
        this.#lastLines.push(line);
        if (this.#lastLines.length > 20) this.#lastLines.shift();
        options.onLine(line);
      }),
      eachLine(this.#child.stderr, (line) => {
        this.#errors += `${line}\n`;
      }),
    ];
    this.exited = Promise.all(read).then(async () => {
      await this.#child.exited;
      return this.#child.signalCode === null ? (this.#child.exitCode ?? undefined) : undefined;
    });
  }

  /** The end of what it printed. */
  get lastWords(): string {
    return `${this.#lastLines.join("\n")}\n${this.#errors}`;
  }

  /** What is typed at somebody who dies is lost. */
  type(lines: readonly string[]): void {
    try {
      this.#child.stdin.write(lines.map((line) => `${line}\n`).join(""));
      void Promise.resolve(this.#child.stdin.flush()).catch(() => undefined);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
    }
  }

  endInput(): void {
    void Promise.resolve(this.#child.stdin.end()).catch(() => undefined);
  }

  /** Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }
}

/** A last line without its end was torn by the kill: it counts for nothing. */
async function eachLine(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
}

export function parseEvent(line: string): JsonEvent {
  return JSON.parse(line) as JsonEvent;
}
