import type { Hex } from "../base/hex.ts";

/** Something that another process has stored, or was told. Ids and numbers only: what it is has to be read from the store. */
export type Change =
  | LogChange
  | { readonly kind: "receipt"; readonly conversation: Hex; readonly size: number }
  /** An account was disabled or enabled, or a session of it began. */
  | { readonly kind: "account"; readonly account: number }
  /** There is a newer revocation list. */
  | { readonly kind: "crl" }
  /** A wait has begun, see `RestorationStore`. */
  | { readonly kind: "restoring" }
  | DeliveredChange;

/** A member says that it has received so many entries. Not stored anywhere: what it is, is here. */
export interface DeliveredChange {
  readonly kind: "delivered";
  readonly conversation: Hex;
  /** Fingerprint of the certificate of its session. */
  readonly member: Hex;
  readonly size: number;
}

/** A log went on. */
export interface LogChange {
  readonly kind: "log";
  readonly conversation: Hex;
  /** Its size before and after. */
  readonly from: number;
  readonly size: number;
  /** Whether its members are others now. */
  readonly members: boolean;
}

export interface ChangeListener {
  /** The change is durable. Changes of this store object itself are not told, those of one log come in their order. */
  changed(change: Change): void;
  /** Changes may have been missed, because the connection was lost: whatever is followed has to be read again. */
  missed(): void;
}

/** Tells a process what others have changed, so that it can tell its own clients. It loses no data when it is silent. */
export interface ChangeFeed {
  /** Resolves once changes are told; they are until the function that it resolves with is called or the store is closed.
   *  @throws {StoreError} `UNAVAILABLE` */
  follow(listener: ChangeListener): Promise<() => Promise<void>>;

  /** Tells others what is not stored. @throws {StoreError} */
  tell(changes: readonly DeliveredChange[]): Promise<void>;
}
