/** Longest that one task keeps the event loop from the others, ms, but for a step that can't be divided. */
const sliceMs = 1;

/** @returns in the next turn of the event loop, after sockets were read and written */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The share of one task in the event loop: a peer that asks for much must not keep everybody else waiting. */
export class TimeSlice {
  #endsMs = performance.now() + sliceMs;

  /** To be awaited between two steps of work: lets the others in when the slice is over. */
  async orNextTurn(): Promise<void> {
    if (performance.now() < this.#endsMs) return;
    await nextTurn();
    this.#endsMs = performance.now() + sliceMs;
  }
}

/** With more than so many in line it is a flood: */
const crowd = 16;
/** then so many ms of everybody else's work lie between two steps. */
const crowdRestMs = 1;

/** Lets work of one kind through one step a turn, so that however much of it there is, the others keep most of the time. */
export class OneATurn {
  readonly #waiting: (() => void)[] = [];

  /** Resolves when it is the caller's turn. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(() => this.#admit());
    });
  }

  #admit(): void {
    this.#waiting.shift()?.();
    if (this.#waiting.length > crowd) setTimeout(() => this.#admit(), crowdRestMs);
    else if (this.#waiting.length > 0) setImmediate(() => this.#admit());
  }
}
