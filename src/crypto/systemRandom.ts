/** What one call of the Web Crypto API gives at most (W3C Web Cryptography §10.1.1). */
const quotaBytes = 65_536;

/**
 * The system's cryptographic random numbers. Callers above hand it down as `random`; tests hand down something else.
 *
 * @returns `length` fresh bytes
 */
export function systemRandom(length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let offset = 0; offset < length; offset += quotaBytes)
    globalThis.crypto.getRandomValues(out.subarray(offset, offset + quotaBytes));
  return out;
}
