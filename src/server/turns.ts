import { isTurnAwaited } from "../store/endOfTurn.ts";

/** Longest that one task keeps the event loop from the others, ms, but for a step that can't be divided. */
const sliceMs = 1;

/** @returns in the next turn of the event loop, after sockets were read and written */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The share of one task in the event loop: a peer that asks for much must not keep everybody else waiting. */
export class TimeSlice {
  #endsMs = performance.now() + sliceMs;

  /** The task has waited since then (on the monotonic clock): when that took a slice's time, the others had their turn. */
  waitedSince(atMs: number): void {
    const nowMs = performance.now();
    if (nowMs - atMs >= sliceMs) this.#endsMs = nowMs + sliceMs;
  }

  /** To be awaited between two steps of work: lets the others in when the slice is over. */
  async orNextTurn(): Promise<void> {
    if (performance.now() < this.#endsMs) return;
    await nextTurn();
    this.#endsMs = performance.now() + sliceMs;
  }
}

/** How many requests of those who are logged in are being worked on. */
export class WorkInProgress {
  #count = 0;
  #lastEndMs = Number.NEGATIVE_INFINITY;

  /** Whether there is any, or was within so many ms. */
  anyWithin(ms: number): boolean {
    return this.#count > 0 || performance.now() - this.#lastEndMs < ms;
  }

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    this.#lastEndMs = performance.now();
  }
}

/** Of the last handshakes, about so many tell whether strangers mean it. */
const outcomesKept = 64;
/** When most of them came to nothing, and somebody who is logged in had work within so many ms, */
const activeMs = 20;
/** then so many ms for everybody else lie between two steps. */
const restMs = 1;

/**
 * Lets the steps of handshakes through one a turn, so that however many there are, those who are logged in keep most of
 * the time. What has been begun goes first: with more than can be served in time, some are served instead of none. Those
 * that begin take turns by network, so nobody stands behind the whole of somebody else's flood. Everybody coming back at once
 * ends in handshakes that succeed, and is served as fast as it goes; a flood doesn't, and rests.
 */
export class HandshakeTurns {
  readonly #beginning = new Map<string, (() => void)[]>();
  readonly #begun: (() => void)[] = [];
  readonly #others: WorkInProgress;
  #isRunning = false;
  #hasYielded = false;
  /** Share of failures among the last handshakes, 0 to 1. */
  #failing = 0;

  constructor(others: WorkInProgress) {
    this.#others = others;
  }

  /**
   * Resolves when it is the caller's turn.
   *
   * @param network the client's, as `networkOf` names it; @param isFirst whether nothing was done for this handshake yet
   */
  next(network: string, isFirst: boolean): Promise<void> {
    return new Promise((resolve) => {
      const line = isFirst ? this.#beginning.get(network) : this.#begun;
      if (line === undefined) this.#beginning.set(network, [resolve]);
      else line.push(resolve);
      if (this.#isRunning) return;
      this.#isRunning = true;
      setImmediate(() => this.#admit());
    });
  }

  /** A handshake is over. */
  ended(hasSucceeded: boolean): void {
    this.#failing += ((hasSucceeded ? 0 : 1) - this.#failing) / outcomesKept;
  }

  #admit(): void {
    // Who is logged in goes first, once.
    this.#hasYielded = !this.#hasYielded && isTurnAwaited();
    if (!this.#hasYielded) (this.#begun.shift() ?? this.#shiftBeginning())?.();
    this.#isRunning = this.#begun.length > 0 || this.#beginning.size > 0;
    if (!this.#isRunning) return;
    if (!this.#hasYielded && this.#failing > 0.5 && this.#others.anyWithin(activeMs))
      setTimeout(() => this.#admit(), restMs);
    else setImmediate(() => this.#admit());
  }

  /** The next network's first, which goes behind the others then. */
  #shiftBeginning(): (() => void) | undefined {
    for (const [network, line] of this.#beginning) {
      this.#beginning.delete(network);
      const first = line.shift();
      if (line.length > 0) this.#beginning.set(network, line);
      return first;
    }
    return undefined;
  }
}
