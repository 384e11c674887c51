/**
 * Points whose order divides 8, by their y-coordinate (little-endian): 0 and ±1, and the two of order 8. Either sign
 * of x is of low order too.
 */
const lowOrderY: readonly Uint8Array[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map((hex) => Uint8Array.fromHex(hex));

/**
 * What an Ed25519 public key from a peer must satisfy besides being on the curve: y < p = 2^255 - 19, x = 0 not with a
 * sign (RFC 8032 §5.1.3), and not one of the eight points of low order, for which a signature over every message
 * can be made without a secret.
 *
 * @param key 32 bytes
 */
export function isCanonicalEd25519PublicKey(key: Uint8Array): boolean {
  return !isAboveField(key) && !lowOrderY.some((y) => hasY(key, y));
}

/** Whether y, the lower 255 bits, is p or more: only ed … ff to ff … ff, with ones between, are. */
function isAboveField(key: Uint8Array): boolean {
  if (((key[31] ?? 0) & 0x7f) !== 0x7f || (key[0] ?? 0) < 0xed) return false;
  for (let i = 1; i < 31; i++) if (key[i] !== 0xff) return false;
  return true;
}

function hasY(key: Uint8Array, y: Uint8Array): boolean {
  for (let i = 0; i < 31; i++) if (key[i] !== y[i]) return false;
  return ((key[31] ?? 0) & 0x7f) === y[31];
}
