import type { Hex } from "../base/hex.ts";
import type { Store } from "../store/store.ts";
import { StoreError } from "../store/storeError.ts";
import { BoundedCache } from "./boundedCache.ts";
import { describeError } from "./describeError.ts";
import { tryLater } from "./refusal.ts";
import type { TokenBucket } from "./serverLimits.ts";
import type { ServerLog } from "./serverLog.ts";

/** The store's bucket of a person holds so many parts: a process that has drawn one asks no more until that is used up. */
const parts = 128;
/** No part is smaller than the longest request. */
const minPartBytes = 256 * 1024;
/** Whoever has taken a whole part while one is being drawn comes again so much later. */
const drawingMs = 1_000;
/** Persons whose drawn parts are remembered; whoever is forgotten draws another one. */
const maxPersons = 16_384;

interface Drawn {
  /** Bytes of drawn parts that are not used; below zero what was taken while a part was being drawn. */
  left: number;
  isDrawing: boolean;
  /** ms since the epoch: the store has no part before. */
  emptyUntilMs: number;
}

/**
 * How many bytes the store keeps for one person. The bucket is in the store, so it holds at all servers on that and over a restart; from it
 * each process draws a part at a time (1/128 of it, but 256 KiB at least), so that a post costs no query. What was drawn and not used is lost
 * when the process ends.
 */
export class StorageQuota {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #log: ServerLog;
  readonly #partBytes: number;
  readonly #bucket: TokenBucket;
  readonly #drawn = new BoundedCache<Hex, Drawn>(maxPersons);

  /** @param options.limit in bytes */
  constructor(options: { store: Store; limit: TokenBucket; now: () => number; log: ServerLog }) {
    const { store, limit, now, log } = options;
    this.#store = store;
    this.#now = now;
    this.#log = log;
    this.#partBytes = Math.min(limit.capacity, Math.max(minPartBytes, Math.ceil(limit.capacity / parts)));
    this.#bucket = {
      capacity: Math.max(1, Math.floor(limit.capacity / this.#partBytes)),
      refillMs: this.#partBytes * limit.refillMs,
    };
  }

  /**
   * What a person makes the store keep counts, whether the request is refused for something else or not.
   *
   * @throws {Refusal} `TRY_LATER`
   */
  charge({ person }: { readonly person: Hex }, bytes: number): void {
    const drawn = this.#drawn.find(person) ?? { left: 0, isDrawing: false, emptyUntilMs: 0 };
    this.#drawn.keep(person, drawn);
    if (drawn.left < 0) {
      const isAhead = drawn.isDrawing && drawn.left < -this.#partBytes;
      const waitMs = Math.max(drawn.emptyUntilMs - this.#now(), isAhead ? drawingMs : 0);
      if (waitMs > 0) throw tryLater("you have stored as much as this server takes of one person", waitMs);
    }
    drawn.left -= bytes;
    if (drawn.left < 0 && !drawn.isDrawing) void this.#draw(person, drawn);
  }

  async #draw(person: Hex, drawn: Drawn): Promise<void> {
    drawn.isDrawing = true;
    try {
      while (drawn.left < 0) {
        const nowMs = this.#now();
        const asked = { subject: `storage:${person}`, ...this.#bucket, nowMs };
        const waitMs = await this.#store.accounts.takeToken(asked);
        if (waitMs > 0) drawn.emptyUntilMs = nowMs + waitMs;
        if (waitMs > 0) return;
        drawn.left += this.#partBytes;
      }
    } catch (error) {
      // That the store fails is told by whoever watches it. Nothing can be stored then, and the next request asks again.
      if (error instanceof StoreError && error.code === "UNAVAILABLE") return;
      this.#log("ERROR", `Not known how much a person has stored: ${describeError(error)}`);
    } finally {
      drawn.isDrawing = false;
    }
  }
}
