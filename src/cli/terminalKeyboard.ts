import { exitCodes } from "./cliError.ts";
import { type Key, KeyDecoder } from "./terminalKeys.ts";

/** Who reads keys: one at a time. */
export interface KeyListener {
  /** @param keys what came in one read @returns those that are left for the next listener, which takes over */
  keys(keys: readonly Key[]): readonly Key[];
  /** The terminal is gone. */
  end(): void;
}

/** They end the program; the terminal is put back before. */
export const endingSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** An escape sequence comes at once; after this time an escape was typed. */
const escapeMs = 60;
/** A paste that stops for this long has lost its end. */
const pasteMs = 1000;

/** The process's keyboard: standard input without echo, line buffer and signals while somebody listens. */
class Keyboard {
  readonly #decoder = new KeyDecoder();
  #listener: KeyListener | undefined;
  /** Typed ahead: nobody has taken them yet. */
  #ahead: Key[] = [];
  #timer: Timer | undefined;
  #isOpen = false;
  #hasEnded = false;

  listen(listener: KeyListener): void {
    if (this.#listener !== undefined) throw new Error("the keyboard is in use");
    this.#listener = listener;
    this.#open();
    queueMicrotask(() => {
      const ahead = this.#ahead;
      this.#ahead = [];
      if (ahead.length > 0) this.#hand(ahead);
      if (this.#hasEnded) this.#listener?.end();
    });
  }

  release(): void {
    this.#listener = undefined;
    clearTimeout(this.#timer);
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.stdin.off("data", this.#onData).off("end", this.#onEnd).off("error", this.#onEnd);
    process.stdin.pause();
    this.setRaw(false);
    process.off("exit", this.#onExit);
    for (const signal of endingSignals) process.off(signal, this.#onSignal);
  }

  /** Fails on a terminal that is gone, which then doesn't matter. */
  setRaw(isRaw: boolean): void {
    try {
      process.stdin.setRawMode(isRaw);
    } catch {}
  }

  #open(): void {
    this.#isOpen = true;
    this.setRaw(true);
    process.stdin.on("data", this.#onData).on("end", this.#onEnd).on("error", this.#onEnd);
    process.stdin.resume();
    process.on("exit", this.#onExit);
    for (const signal of endingSignals) process.on(signal, this.#onSignal);
  }

  readonly #onExit = (): void => this.setRaw(false);

  /** Nobody else sees to it: the program ends as it would have, but through its exit handlers. */
  readonly #onSignal = (signal: (typeof endingSignals)[number]): void => {
    if (process.listenerCount(signal) === 1) process.exit(exitCodes.interrupted);
  };

  readonly #onData = (chunk: Uint8Array): void => {
    clearTimeout(this.#timer);
    this.#hand(this.#decoder.push(chunk));
    if (this.#decoder.isWaiting)
      this.#timer = setTimeout(() => this.#hand(this.#decoder.flush()), this.#patienceMs);
  };

  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    this.#listener?.end();
  };

  get #patienceMs(): number {
    return this.#decoder.isPasting ? pasteMs : escapeMs;
  }

  #hand(keys: readonly Key[]): void {
    if (keys.length === 0) return;
    const left = this.#listener === undefined ? keys : this.#listener.keys(keys);
    this.#ahead.push(...left);
  }
}

export const keyboard = new Keyboard();
