import { type Subprocess, spawn } from "bun";

/** How this very program is started again: the executable alone, or Bun with the entry point when run from source. */
export function selfCommand(): readonly string[] {
  return Bun.main.startsWith("/$bunfs/") || Bun.main.includes("~BUN")
    ? [process.execPath]
    : [process.execPath, Bun.main];
}

/** Longest wait for one event; then it fails with what was printed until then. */
const patienceMs = 30_000;

export interface Finished {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment of this process without what would lead a child elsewhere. */
function environment(extra: Record<string, string>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && !/^(SECURECHAT_(?:KEY_|NEW_)?PASS|DATABASE_URL$|DB_)/.test(name))
      out[name] = value;
  return { ...out, ...extra };
}

export interface ChildOptions {
  readonly folder: string;
  /** Added to the environment; secrets travel here and never as arguments. */
  readonly env?: Record<string, string>;
}

/** Runs one command to its end. */
export async function runToEnd(command: readonly string[], options: ChildOptions): Promise<Finished> {
  const child = spawn([...command], {
    cwd: options.folder,
    env: environment(options.env ?? {}),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}

/** A long-running command whose lines can be waited for: the server, or a chat client fed over its standard input. */
export class ChildProcess {
  readonly #child: Subprocess<"pipe", "pipe", "pipe">;
  readonly #lines: string[] = [];
  readonly #name: string;
  /** Its exit code, once all that it printed has been read. */
  readonly #exited: Promise<number>;
  /** Everybody who waits for a line. */
  #waiting: (() => void)[] = [];
  #ended = false;

  /** @param name how failures call it */
  constructor(name: string, command: readonly string[], options: ChildOptions) {
    this.#name = name;
    this.#child = spawn([...command], {
      cwd: options.folder,
      env: environment(options.env ?? {}),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    const read = [this.#collect(this.#child.stdout), this.#collect(this.#child.stderr)];
    this.#exited = Promise.all(read).then(() => this.#child.exited);
    void this.#exited.then(() => {
      this.#ended = true;
      this.#wake();
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): Promise<number> {
    return this.#exited;
  }

  get output(): string {
    return this.#lines.join("\n");
  }

  /** Types one line. */
  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
    void this.#child.stdin.flush();
  }

  /** Ends its standard input. */
  endInput(): void {
    void this.#child.stdin.end();
  }

  stop(signal: "SIGTERM" | "SIGINT" | "SIGKILL" = "SIGTERM"): void {
    this.#child.kill(signal);
  }

  /** Tells a server to read its files again. */
  hangUp(): void {
    this.#child.kill("SIGHUP");
  }

  /** @returns the first line from `from` on for which `find` gives a value, and that value */
  async waitFor<T>(what: string, find: (line: string) => T | undefined): Promise<T> {
    const deadline = Date.now() + patienceMs;
    for (let next = 0; ; ) {
      for (; next < this.#lines.length; next++) {
        const found = find(this.#lines[next] ?? "");
        if (found !== undefined) return found;
      }
      if (this.#ended || Date.now() > deadline)
        throw new Error(`${this.#name}: ${what} did not happen. It printed:\n${this.output}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(1, deadline - Date.now()));
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Waits for a JSON event (of `connect --json`) that `matches`. */
  async waitForEvent(
    what: string,
    matches: (event: Record<string, unknown>) => boolean,
  ): Promise<Record<string, unknown>> {
    return await this.waitFor(what, (line) => {
      const event = parseEvent(line);
      return event !== undefined && matches(event) ? event : undefined;
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      this.#lines.push(...parts);
      this.#wake();
    }
    if (rest !== "") this.#lines.push(rest);
    this.#wake();
  }
}

function parseEvent(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
