import type { Subprocess } from "bun";

/** Longest wait for what a terminal is to show. */
const patienceMs = 30_000;

/** A command on a pseudo-terminal of its own, as somebody sits before it: keys go in, and what is shown can be waited for. */
export class TerminalProcess {
  readonly #child: Subprocess;
  readonly #exited: Promise<number>;
  readonly #decoder = new TextDecoder();
  #shown = "";
  #waiting: (() => void)[] = [];
  #ended = false;

  constructor(command: readonly string[], options: { folder: string; env: Record<string, string> }) {
    // The terminal ends when all that was written to it has been read: later than the process, at times.
    const drained = Promise.withResolvers<void>();
    this.#child = Bun.spawn([...command], {
      cwd: options.folder,
      env: { TERM: "xterm-256color", ...options.env },
      terminal: {
        cols: 200,
        rows: 50,
        data: (_terminal, data) => {
          this.#shown += this.#decoder.decode(data, { stream: true });
          this.#wake();
        },
        exit: () => drained.resolve(),
      },
    });
    this.#exited = drained.promise.then(() => this.#child.exited);
    void this.#exited.then(() => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** Everything that was written to the terminal, control sequences included. */
  get shown(): string {
    return this.#shown;
  }

  get exited(): Promise<number> {
    return this.#exited;
  }

  /** Types this and the return key. */
  type(line: string): void {
    this.press(`${line}\r`);
  }

  press(keys: string): void {
    this.#child.terminal?.write(keys);
  }

  /** Waits until this is shown behind `from`, in whatever colours. @returns the place behind it, colours not counted */
  async waitFor(text: string, from = 0): Promise<number> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const at = this.#shown.replace(/\u001b\[[0-9;]*m/g, "").indexOf(text, from);
      if (at >= 0) return at + text.length;
      if (this.#ended || Date.now() > deadline)
        throw new Error(`"${text}" was not shown. The terminal has:\n${JSON.stringify(this.#shown)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(1, deadline - Date.now()));
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Takes the terminal away, as closing its window does; the process may go on. */
  hangUp(): void {
    this.#child.terminal?.close();
  }

  /** The exit code of the process, whatever was read from its terminal. */
  get ended(): Promise<number> {
    return this.#child.exited;
  }

  stop(signal: "SIGTERM" | "SIGINT" | "SIGKILL" = "SIGTERM"): void {
    this.#child.kill(signal);
    if (signal === "SIGKILL") this.#child.terminal?.close();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
