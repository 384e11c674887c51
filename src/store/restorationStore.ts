import type { Hex } from "../base/hex.ts";

/**
 * Whether the store is, or was, behind what its server has signed for, because it was put back to an older state.
 * `copied`: it is a backup that nobody has served from yet. `waiting`: clients may hand back what it lacks, and logs wait
 * for their members. `claimed`: as `waiting`, for those logs alone that a client has shown to be too short. `over`: everybody was heard, or the operator has ended the wait.
 */
export interface Restoration {
  readonly stage: "copied" | "waiting" | "claimed" | "over";
  /** When this stage began, ms. `over` keeps when the wait began: whatever was signed before that may have been lost then. */
  readonly atMs: number;
}

export interface Wait {
  readonly atMs: number;
  /** The last one, as it was read: when another has begun since, this one doesn't. */
  readonly after: Restoration | undefined;
  /** A log of a `claimed` wait, besides those that waited in one already; without it, all logs wait. */
  readonly claim?: Hex;
}

/** Writes are durable and atomic when their promise resolves. */
export interface RestorationStore {
  /** @returns the last one; `undefined` when this store was never put back */
  current(): Promise<Restoration | undefined>;

  /**
   * Begins a wait in which nobody was heard yet. One-time key packages are deleted, and the last-resort ones count as
   * handed out: which of them were used since the backup is not known.
   *
   * @returns whether it has begun
   */
  begin(wait: Wait): Promise<boolean>;

  /** Has the log wait, too, while a `claimed` wait lasts. */
  claim(conversation: Hex): Promise<void>;

  /** Whether the log waits in a `claimed` wait. */
  isClaimed(conversation: Hex): Promise<boolean>;

  /** The holder of the certificate, which is in the store, has handed back what it holds. */
  hear(fingerprint: Hex): Promise<void>;

  /** @returns those who were not heard in this wait */
  unheard(fingerprints: readonly Hex[]): Promise<readonly Hex[]>;

  /** Nobody is waited for any longer, or at all where the store is a copy that was not served from yet. */
  end(): Promise<void>;
}
