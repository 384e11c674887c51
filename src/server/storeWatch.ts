import type { Store } from "../store/store.ts";
import { StoreError } from "../store/storeError.ts";
import { describeError } from "./describeError.ts";
import type { ServerLog } from "./serverLog.ts";

const probeEveryMs = 1_000;

interface StoreWatchOptions {
  readonly store: Store;
  readonly now: () => number;
  readonly log: ServerLog;
}

/**
 * Whether the store does what it is asked. Its trouble is told once when it begins and once when it is over, not with
 * every request that it keeps from being done. It is over when a write has succeeded: a full disk can still be read.
 */
export class StoreWatch {
  /** The store, watched. */
  readonly store: Store;
  readonly #options: StoreWatchOptions;
  #troubleSinceMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
    const { store } = options;
    this.store = {
      ...store,
      accounts: this.#watched(store.accounts),
      keyPackages: this.#watched(store.keyPackages),
      blobs: this.#watched(store.blobs),
      log: this.#watched(store.log),
      receipts: this.#watched(store.receipts),
      restoration: this.#watched(store.restoration),
    };
  }

  /** Whether, as far as is known, a request that needs the store can be done. */
  get isReachable(): boolean {
    return this.#troubleSinceMs === undefined;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #watched<T extends object>(part: T): T {
    return new Proxy(part, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function") return method;
        return async (...args: readonly unknown[]) => {
          try {
            return await Reflect.apply(method, target, args);
          } catch (error) {
            this.#failed(error);
            throw error;
          }
        };
      },
    });
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
