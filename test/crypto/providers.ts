import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";

/** Every test of the crypto floor runs against both, whichever the rest of the suite uses. */
export const providers: readonly CryptoProvider[] = [noble, native];

/** @returns the bytes of hex text in which white space may stand */
export function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replace(/\s+/g, ""));
}

/** @returns `length` bytes 0, 1, 2 … */
export function countingBytes(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => from + i);
}

/** @returns the `code` of what `operation` throws, or "nothing thrown" */
export function thrownCode(operation: () => unknown): unknown {
  try {
    operation();
  } catch (error) {
    return typeof error === "object" && error !== null && "code" in error ? error.code : error;
  }
  return "nothing thrown";
}

/** As `thrownCode`, for a promise. */
export async function rejectedCode(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return typeof error === "object" && error !== null && "code" in error ? error.code : error;
  }
  return "nothing thrown";
}
