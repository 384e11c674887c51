import type { Hex } from "../base/hex.ts";

/**
 * Whether the store is, or was, behind what its server has signed for, because it was put back to an older state.
 * `copied`: it is a backup that nobody has served from yet. `waiting`: clients may hand back what it lacks, and logs wait
 * for their members. `over`: everybody was heard, or the operator has ended the wait.
 */
export interface Restoration {
  readonly stage: "copied" | "waiting" | "over";
  /** When this stage began, ms. `over` keeps when the wait began: whatever was signed before that may have been lost then. */
  readonly atMs: number;
}

/** Writes are durable and atomic when their promise resolves. */
export interface RestorationStore {
  /** @returns the last one; `undefined` when this store was never put back */
  current(): Promise<Restoration | undefined>;

  /** Begins a wait in which nobody was heard yet. One-time key packages are deleted, and the last-resort ones count as
   *  handed out: which of them were used since the backup is not known. */
  begin(nowMs: number): Promise<void>;

  /** The holder of the certificate, which is in the store, has handed back what it holds. */
  hear(fingerprint: Hex): Promise<void>;

  /** @returns those who were not heard in this wait */
  unheard(fingerprints: readonly Hex[]): Promise<readonly Hex[]>;

  /** Nobody is waited for any longer, or at all where the store is a copy that was not served from yet. */
  end(): Promise<void>;
}
