import { writeSync } from "node:fs";
import { type KeyListener, keyboard } from "./terminalKeyboard.ts";
import { controls } from "./terminalScreen.ts";

export interface TerminalOwner extends KeyListener {
  /** The terminal has another size. */
  resized(): void;
  /** The program goes on after a stop (Ctrl-Z, `fg`), or another one has used the terminal. */
  resumed(): void;
}

type TerminalStream = NodeJS.WriteStream & { readonly fd: number };

/** SIGCONT and the timer that stands in for it come within this time. */
const continueMs = 100;
/** A size that lasts this long is drawn for. */
const settleMs = 50;

const fallbackSize = { columns: 80, rows: 24 };

/** @returns the stream that a live display may use; `undefined` when there is none, or no terminal that could show it */
export function terminalOutput(): TerminalStream | undefined {
  const { TERM = "" } = process.env;
  if (!process.stdin.isTTY || TERM === "dumb" || TERM === "") return undefined;
  return [process.stdout, process.stderr].find(({ isTTY }) => isTTY);
}

/**
 * The terminal while a live display has it: keys come one by one, and its modes are put back whatever ends the display,
 * a crash of the program included.
 */
export class TerminalDevice {
  readonly #output: TerminalStream;
  #owner: TerminalOwner | undefined;
  #isStopped = false;
  #resizing: Timer | undefined;
  #wentOnAtMs = Number.NEGATIVE_INFINITY;

  constructor(output: TerminalStream) {
    this.#output = output;
  }

  get columns(): number {
    return this.#output.columns || fallbackSize.columns;
  }

  get rows(): number {
    return this.#output.rows || fallbackSize.rows;
  }

  /** Whether nothing may be drawn now: another program has the terminal (Ctrl-Z), or its size is still changing. */
  get isAway(): boolean {
    return this.#isStopped || this.#resizing !== undefined;
  }

  write(text: string): void {
    this.#output.write(text);
  }

  open(owner: TerminalOwner): void {
    this.#owner = owner;
    this.#output.on("resize", this.#onResize).on("error", this.#onError);
    process.on("SIGCONT", this.#onContinue);
    process.on("exit", this.#onExit);
    this.write(controls.bracketedPaste(true));
    keyboard.listen(owner);
  }

  close(): void {
    if (this.#owner === undefined) return;
    this.#owner = undefined;
    clearTimeout(this.#resizing);
    this.#resizing = undefined;
    keyboard.release();
    this.write(controls.bracketedPaste(false));
    this.#output.off("resize", this.#onResize).off("error", this.#onError);
    process.off("SIGCONT", this.#onContinue);
    process.off("exit", this.#onExit);
  }

  /** Stops the program and whatever it runs in, as Ctrl-Z does. The owner is told when it goes on. */
  suspend(): void {
    this.write(controls.bracketedPaste(false));
    keyboard.setRaw(false);
    this.#isStopped = true;
    // The whole process group: a shell script or package runner that started the program has to stop as well.
    process.kill(0, "SIGTSTP");
    // Where nobody could let it go on (an orphaned group) the signal does nothing, and none tells of going on.
    setTimeout(() => {
      if (this.#isStopped) this.#goOn();
    }, continueMs);
  }

  readonly #onContinue = (): void => {
    if (this.#isStopped || performance.now() - this.#wentOnAtMs > continueMs) this.#goOn();
  };

  #goOn(): void {
    this.#isStopped = false;
    this.#wentOnAtMs = performance.now();
    if (this.#owner === undefined) return;
    keyboard.setRaw(true);
    this.write(controls.bracketedPaste(true));
    this.#owner.resumed();
  }

  /** A window's border is dragged: what is drawn for one size reaches the terminal at the next. So the last one is waited for. */
  readonly #onResize = (): void => {
    clearTimeout(this.#resizing);
    this.#resizing = setTimeout(() => {
      this.#resizing = undefined;
      this.#owner?.resized();
    }, settleMs);
  };

  /** A terminal that is gone can't be told anything; its keyboard ends, and so does the display. */
  readonly #onError = (): void => {};

  /** Still open when the process ends: something unforeseen has happened. */
  readonly #onExit = (): void => {
    try {
      writeSync(this.#output.fd, `${controls.wrap(true)}${controls.bracketedPaste(false)}\r\n`);
    } catch {}
  };
}
