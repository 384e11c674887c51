import type { Brand } from "./brand.ts";

/** Lower-case hex of an even number of digits. */
export type Hex = Brand<string, "Hex">;

const lowerHex = /^(?:[0-9a-f]{2})*$/;

/** @returns lower-case hex, two digits a byte */
export function encodeHex(bytes: Uint8Array): Hex {
  return bytes.toHex() as Hex;
}

/**
 * @param bytes the length that the value must have, in bytes
 * @returns whether `text` is lower-case hex (of that length)
 */
export function isHex(text: string, bytes?: number): text is Hex {
  return lowerHex.test(text) && (bytes === undefined || text.length === 2 * bytes);
}

/** @returns the bytes, or `undefined` when `text` is not lower-case hex (of `bytes` bytes, when given) */
export function decodeHex(text: string, bytes?: number): Uint8Array | undefined {
  return isHex(text, bytes) ? Uint8Array.fromHex(text) : undefined;
}
