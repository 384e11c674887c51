import type { Hex } from "../base/hex.ts";
import type { Vault, VaultBatch } from "./vault.ts";
import { decodeRecord, encodeRecord, toldSchema } from "./vaultRecords.ts";

/** The mark is written with the next batch of entries, or when none came for so long. */
const quietMs = 250;

/**
 * How far whoever shows a conversation was told of it. The mark becomes durable a moment after the telling, so a client that
 * is killed may tell of some messages twice, and misses none. Without history there are no words to tell again, and no mark.
 */
export class ToldMark {
  readonly #vault: Vault;
  readonly #conversation: Hex;
  readonly #isUsed: boolean;
  #size: number | undefined;
  #writtenSize: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ vault, keepHistory }: { vault: Vault; keepHistory: boolean }, conversation: Hex) {
    this.#vault = vault;
    this.#conversation = conversation;
    this.#isUsed = keepHistory;
    this.#size = readToldSize(vault, conversation);
    this.#writtenSize = this.#size;
  }

  /** Entries before it were told of; `undefined` when nothing is known of that. */
  get size(): number | undefined {
    return this.#isUsed ? this.#size : undefined;
  }

  /** @param size of the log as far as it was told */
  advance(size: number): void {
    if (!this.#isUsed || size === this.#size) return;
    this.#size = size;
    this.#timer ??= setTimeout(() => this.keep(), quietMs);
  }

  /** Goes with what is written anyway. A conversation that is new begins with the mark at 0. */
  stage(batch: VaultBatch): void {
    if (!this.#isUsed) return;
    const size = this.#size ?? 0;
    if (size === this.#writtenSize) return;
    batch.write("told", this.#conversation, encodeRecord(toldSchema, { size }));
    this.#writtenSize = size;
  }

  /** Writes it now. Where that fails, the same words are told once more: nothing else depends on it. */
  keep(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#vault.batch();
    this.stage(batch);
    try {
      this.#vault.keep(batch);
    } catch {
      this.#writtenSize = undefined;
    }
  }
}

/** @returns entries that were told of; `undefined` when nothing is known of that */
export function readToldSize(vault: Vault, conversation: Hex): number | undefined {
  const stored = vault.read("told", conversation);
  return stored === undefined ? undefined : decodeRecord(toldSchema, stored, "mark").size;
}
