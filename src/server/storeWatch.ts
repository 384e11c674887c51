import type { Store } from "../store/store.ts";
import { StoreError } from "../store/storeError.ts";
import { describeError } from "./describeError.ts";
import { observedStore } from "./observedStore.ts";
import type { ServerLog } from "./serverLog.ts";
import type { ServerMeter } from "./serverMeter.ts";
import { timed } from "./timed.ts";

const probeEveryMs = 1_000;

interface StoreWatchOptions {
  readonly store: Store;
  readonly meter: ServerMeter;
  readonly now: () => number;
  readonly log: ServerLog;
}

/**
 * Whether the store does what it is asked. Its trouble is told once when it begins and once when it is over, not with
 * every request that it keeps from being done. It is over when a write has succeeded: a full disk can still be read.
 */
export class StoreWatch {
  /** The store, watched and measured. */
  readonly store: Store;
  readonly #options: StoreWatchOptions;
  #troubleSinceMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
    const { store, meter } = options;
    this.store = observedStore(store, async (name, call) => {
      try {
        return await timed(call, (outcome, seconds) => meter.stored(name, outcome, seconds));
      } catch (error) {
        this.#failed(error);
        throw error;
      }
    });
  }

  /** Whether, as far as is known, a request that needs the store can be done. */
  get isReachable(): boolean {
    return this.#troubleSinceMs === undefined;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #failed(error: unknown): void {
    if (!(error instanceof StoreError) || error.code !== "UNAVAILABLE" || !this.isReachable) return;
    this.#troubleSinceMs = this.#options.now();
    this.#options.log(
      "ERROR",
      `The store fails: ${describeError(error)}; what needs it is refused until it works again`,
    );
    this.#probeLater();
  }

  #probeLater(): void {
    this.#timer = setTimeout(() => void this.#probe(), probeEveryMs);
  }

  async #probe(): Promise<void> {
    const { store, now, log } = this.#options;
    try {
      await store.accounts.takeToken({ subject: "store:probe", capacity: 60, refillMs: 1, nowMs: now() });
    } catch (error) {
      if (!(error instanceof StoreError && error.code === "CLOSED")) this.#probeLater();
      return;
    }
    const seconds = Math.round((now() - (this.#troubleSinceMs ?? now())) / 1000);
    this.#troubleSinceMs = undefined;
    log("INFO", `The store works again after ${seconds} s`);
  }
}
