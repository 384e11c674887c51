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

  get any(): boolean {
    return this.#count > 0;
  }

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
  }
}

/** With more than so many in line it is a crowd: */
const crowd = 16;
/** then so many ms of everybody else's work lie between two steps, as long as there is any. */
const crowdRestMs = 1;

/**
 * Lets the steps of handshakes through one a turn, so that however many there are, those who are logged in keep most of
 * the time. What has been begun goes first: with more than can be served in time, some are served instead of none.
 */
export class HandshakeTurns {
  readonly #beginning: (() => void)[] = [];
  readonly #begun: (() => void)[] = [];
  readonly #others: WorkInProgress;

  constructor(others: WorkInProgress) {
    this.#others = others;
  }

  /** Resolves when it is the caller's turn. @param isFirst whether nothing was done for this handshake yet */
  next(isFirst: boolean): Promise<void> {
    return new Promise((resolve) => {
      (isFirst ? this.#beginning : this.#begun).push(resolve);
      if (this.#inLine === 1) setImmediate(() => this.#admit());
    });
  }

  get #inLine(): number {
    return this.#beginning.length + this.#begun.length;
  }

  #admit(): void {
    const admit = this.#begun.shift() ?? this.#beginning.shift();
    admit?.();
    if (this.#inLine > crowd && this.#others.any) setTimeout(() => this.#admit(), crowdRestMs);
    else if (this.#inLine > 0) setImmediate(() => this.#admit());
  }
}
