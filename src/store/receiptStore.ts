import type { Hex } from "../base/hex.ts";

export interface ReceiptRecord {
  readonly conversation: Hex;
  readonly size: number;
  /** The exact bytes that are signed. */
  readonly statement: Uint8Array;
  /** CMS SignedData, DER. */
  readonly signedData: Uint8Array;
  /** Counts the changes of `signedData` from 1. */
  readonly version: number;
}

/** One signed receipt per conversation and size; statement, file and version change together. */
export interface ReceiptStore {
  receipt(conversation: Hex, size: number): Promise<ReceiptRecord | undefined>;

  /** @returns the sizes that there is a receipt for, ascending */
  sizes(conversation: Hex): Promise<readonly number[]>;

  /** Stores the receipt if the stored one has version `record.version - 1` (1: if there is none). Durable when it
   *  resolves with true; false: somebody else was faster, nothing changed. */
  save(record: ReceiptRecord, nowMs: number): Promise<boolean>;
}
