/**
 * The runtime answers with `Buffer`, whose `slice` shares memory and which compares unequal to a `Uint8Array` in deep
 * comparisons. @returns the same bytes as what the contract says, without a copy
 */
export function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
