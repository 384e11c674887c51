import type { Hex } from "../base/hex.ts";

/** Something that another process has stored. Ids only: what it is has to be read from the store. */
export type Change =
  | { readonly kind: "log"; readonly conversation: Hex }
  | { readonly kind: "receipt"; readonly conversation: Hex; readonly size: number };

export interface ChangeListener {
  /** The change is durable. Changes of this store object itself are not told, those of one log come in their order; several
   *  to one log may be told as one. */
  changed(change: Change): void;
  /** Changes may have been missed, because the connection was lost: whatever is followed has to be read again. */
  missed(): void;
}

/** Tells a process what others have changed, so that it can tell its own clients. It loses no data when it is silent. */
export interface ChangeFeed {
  /** Resolves once changes are told; they are until the function that it resolves with is called or the store is closed.
   *  @throws {StoreError} `UNAVAILABLE` */
  follow(listener: ChangeListener): Promise<() => Promise<void>>;
}
