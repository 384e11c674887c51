import { type Hex, isHex } from "../base/hex.ts";
import { StoreError } from "./storeError.ts";

/** @returns text from the store as hex of `bytes` bytes @throws {StoreError} `CORRUPT` */
export function hexColumn(text: string, bytes: number): Hex {
  if (!isHex(text, bytes))
    throw new StoreError("CORRUPT", `a row of the store does not hold ${bytes} bytes of hex`);
  return text;
}
