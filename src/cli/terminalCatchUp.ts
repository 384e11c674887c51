import type { ClientEvent } from "../client/clientEvents.ts";

export type MessageEvent = Extract<ClientEvent, { event: "message" }>;

/** Messages that are shown after a long absence; the ones before are counted. */
const maxShown = 40;

/** After a reconnection it has caught up when nothing came for this long, or after the second time at the latest. */
const quietMs = 500;
const longestMs = 10_000;

/** What came while the client caught up. */
export interface CaughtUp {
  /** The newest ones in the order of their times. */
  readonly shown: readonly MessageEvent[];
  /** How many came before them, by conversation. */
  readonly earlier: readonly { readonly name: string; readonly count: number }[];
}

/** Collects the messages of a catching-up, so that hundreds don't rush past: the last ones are shown, the rest counted. */
export class CatchUp {
  readonly #keepsAll: boolean;
  readonly #counts = new Map<string, number>();
  #shown: MessageEvent[] = [];
  #count = 0;

  /** @param options.keepsAll words are not kept elsewhere: whatever is not shown now is lost */
  constructor(options: { keepsAll: boolean }) {
    this.#keepsAll = options.keepsAll;
  }

  get count(): number {
    return this.#count;
  }

  add(event: MessageEvent): void {
    this.#count += 1;
    this.#shown.push(event);
    // Sorted and cut now and then: conversations come one after the other, and their times are mixed.
    if (!this.#keepsAll && this.#shown.length >= 4 * maxShown) this.#cut();
  }

  finish(): CaughtUp {
    this.#cut();
    const earlier = Array.from(this.#counts, ([name, count]) => ({ name, count }));
    return { shown: this.#shown, earlier };
  }

  #cut(): void {
    this.#shown.sort((a, b) => a.at - b.at);
    if (this.#keepsAll) return;
    for (const { to } of this.#shown.slice(0, -maxShown))
      this.#counts.set(to, (this.#counts.get(to) ?? 0) + 1);
    this.#shown = this.#shown.slice(-maxShown);
  }
}

/** Catching up after the login and after each reconnection, from when it begins until what came is shown. */
export class CatchingUp {
  readonly #options: { readonly keepsAll: boolean; readonly onEnd: (caughtUp: CaughtUp) => void };
  #running: CatchUp | undefined;
  #isLoggingIn = true;
  #timer: Timer | undefined;
  #latestAtMs = 0;

  constructor(options: { keepsAll: boolean; onEnd: (caughtUp: CaughtUp) => void }) {
    this.#options = options;
  }

  /** Messages so far; `undefined` when it is not catching up. */
  get count(): number | undefined {
    return this.#running?.count;
  }

  begin(): void {
    this.#running ??= new CatchUp({ keepsAll: this.#options.keepsAll });
    this.#latestAtMs = performance.now() + longestMs;
    this.#prolong();
  }

  /** @returns whether the message belongs to it: then it is shown in the end */
  take(event: MessageEvent): boolean {
    if (this.#running === undefined) return false;
    this.#running.add(event);
    this.#prolong();
    return true;
  }

  /** The first time somebody knows when everything has come; later the quiet tells. */
  loginIsOver(): void {
    this.#isLoggingIn = false;
    this.end();
  }

  end(): void {
    clearTimeout(this.#timer);
    const caughtUp = this.#running?.finish();
    this.#running = undefined;
    if (caughtUp !== undefined) this.#options.onEnd(caughtUp);
  }

  #prolong(): void {
    if (this.#isLoggingIn) return;
    clearTimeout(this.#timer);
    const leftMs = Math.max(0, this.#latestAtMs - performance.now());
    this.#timer = setTimeout(() => this.end(), Math.min(quietMs, leftMs));
  }
}
