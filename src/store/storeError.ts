import { CodedError } from "../base/codedError.ts";

export type StoreErrorCode =
  /** The file or database can't be opened: missing folder, no permission. */
  | "CANNOT_OPEN"
  /** What was opened is not a store of SecureChat. */
  | "NOT_A_STORE"
  /** The store was written by a newer SecureChat. */
  | "NEWER_SCHEMA"
  /** For now the store can't do it: locked, disk full, no connection. Whether the write is durable is unknown. */
  | "UNAVAILABLE"
  /** A row is not what was written. */
  | "CORRUPT"
  /** `close` was called before. */
  | "CLOSED"
  /** The caller broke the contract of the interface. */
  | "MISUSE";

/** The store can't do what was asked. Outcomes that a correct caller has to expect are results, not errors. */
export class StoreError extends CodedError<StoreErrorCode> {
  override readonly name = "StoreError";
}
