import type { Hex } from "../base/hex.ts";
import { hexColumn } from "./hexColumn.ts";
import type { EntryRecord } from "./logStore.ts";

/** An entry as both backends select it. */
export interface EntryRow {
  readonly entry_index: number;
  readonly at: number;
  readonly line: string;
}
export const entryColumns = "e.entry_index, e.at, e.line";

export function entryOf({ entry_index, at, line }: EntryRow): EntryRecord {
  return { index: entry_index, at, line };
}

/** @throws {StoreError} `CORRUPT` */
export function summaryOf({ conversation, size }: { conversation: string; size: number }): {
  conversation: Hex;
  size: number;
} {
  return { conversation: hexColumn(conversation, 16), size };
}
