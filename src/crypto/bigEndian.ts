/** @returns the unsigned number that `bytes` are in big-endian order; no bytes are zero */
export function bigintFromBytes(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toHex()}`);
}

/** @param value from 0 to 256^length - 1. @returns `length` bytes, big-endian */
export function bytesFromBigint(value: bigint, length: number): Uint8Array {
  return Uint8Array.fromHex(value.toString(16).padStart(2 * length, "0"));
}

/** @returns how many bits `value` >= 0 has; 0 has none */
export function bitLength(value: bigint): number {
  if (value === 0n) return 0;
  const hex = value.toString(16);
  return 4 * hex.length - Math.clz32(Number.parseInt(hex.charAt(0), 16)) + 28;
}
