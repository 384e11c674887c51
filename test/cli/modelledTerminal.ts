import { TerminalModel } from "./terminalModel.ts";

/** Longest wait for what a terminal is to show. */
const patienceMs = 30_000;
/** termios: c_lflag of a terminal that edits lines and echoes, as a shell left it. */
const icanon = 0x2;
const echo = 0x8;

export interface TerminalOptions {
  readonly columns: number;
  readonly rows: number;
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A program on a pseudo-terminal, and a model of what somebody before it sees. */
export class ModelledTerminal {
  readonly model: TerminalModel;
  readonly #child: Bun.Subprocess;
  readonly #exited: Promise<number>;
  #output = "";
  #failure: unknown;
  #ended = false;
  #wake: () => void = () => {};

  constructor(command: readonly string[], { columns, rows, folder, env = {} }: TerminalOptions) {
    this.model = new TerminalModel(columns, rows);
    const { PATH = "", HOME = "" } = process.env;
    const decoder = new TextDecoder();
    const drained = Promise.withResolvers<void>();
    this.#child = Bun.spawn([...command], {
      cwd: folder,
      env: { PATH, HOME, TZ: "UTC", TERM: "xterm-256color", ...env },
      terminal: {
        cols: columns,
        rows,
        data: (_terminal, data) => {
          this.#output += decoder.decode(data, { stream: true });
          try {
            this.model.feed(data);
          } catch (error) {
            this.#failure ??= error;
          }
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

  /** All bytes that the program wrote, control sequences included. */
  get output(): string {
    return this.#output;
  }

  get exited(): Promise<number> {
    return this.#exited;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Whether the terminal edits lines, echoes, wraps and pastes as it did before the program. */
  get isRestored(): boolean {
    const flags = this.#child.terminal?.localFlags ?? 0;
    return (flags & icanon) !== 0 && (flags & echo) !== 0 && this.model.modes.size === 0;
  }

  press(keys: string): void {
    this.#child.terminal?.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.model.resize(columns, rows);
    this.#child.terminal?.resize(columns, rows);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until the screen's rows, with what was scrolled out, are so. @returns them */
  async waitFor(what: string, isSo: (rows: readonly string[]) => boolean): Promise<readonly string[]> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const rows = this.model.everything;
      if (isSo(rows)) return rows;
      if (this.#ended || Date.now() > deadline) throw new Error(`${what} was not shown:\n${rows.join("\n")}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(1, deadline - Date.now()));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Waits until a row starts so. */
  waitForRow(start: string): Promise<readonly string[]> {
    return this.waitFor(`"${start}"`, (rows) => rows.some((row) => row.startsWith(start)));
  }

  /** Waits until the cursor stands behind this text. */
  async waitForInput(text: string): Promise<void> {
    await this.waitFor(`input "${text}"`, () => {
      const { row, column } = this.model.cursor;
      const shown = this.model.screen[row] ?? "";
      return shown === text && column >= Bun.stringWidth(text);
    });
  }

  async dispose(): Promise<void> {
    this.#child.kill("SIGKILL");
    this.#child.terminal?.close();
    await this.#child.exited;
  }
}
