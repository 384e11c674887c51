import { decodePrivateKeyInfo } from "../../src/crypto/privateKeyInfo.ts";
import { integer, sequence } from "./derPieces.ts";

/** The numbers of an RSAPrivateKey (RFC 8017 §A.1.2), to build damaged ones from. */
export interface RsaNumbers {
  readonly n: bigint;
  readonly e: bigint;
  readonly d: bigint;
  readonly p: bigint;
  readonly q: bigint;
  readonly dP: bigint;
  readonly dQ: bigint;
  readonly inverse: bigint;
}

export function rsaNumbers(key: Uint8Array): RsaNumbers {
  const info = decodePrivateKeyInfo(key);
  if (info.type !== "rsa2048") throw new Error("not RSA");
  const values: bigint[] = [];
  // SEQUENCE with a length of two octets, then INTEGERs.
  for (let offset = 4; offset < info.der.length; ) {
    const first = info.der[offset + 1] ?? 0;
    const header = first < 0x80 ? 2 : 2 + (first & 0x7f);
    const length =
      first < 0x80 ? first : Number.parseInt(info.der.subarray(offset + 2, offset + header).toHex(), 16);
    values.push(BigInt(`0x${info.der.subarray(offset + header, offset + header + length).toHex()}`));
    offset += header + length;
  }
  const [, n = 0n, e = 0n, d = 0n, p = 0n, q = 0n, dP = 0n, dQ = 0n, inverse = 0n] = values;
  return { n, e, d, p, q, dP, dQ, inverse };
}

export function rsaDer({ n, e, d, p, q, dP, dQ, inverse }: RsaNumbers, version = 0n): Uint8Array {
  return sequence(...[version, n, e, d, p, q, dP, dQ, inverse].map(integer));
}

export function modularInverse(value: bigint, modulus: bigint): bigint {
  let [r, nextR, t, nextT] = [modulus, value % modulus, 0n, 1n];
  while (nextR !== 0n) {
    const quotient = r / nextR;
    [r, nextR, t, nextT] = [nextR, r - quotient * nextR, nextT, t - quotient * nextT];
  }
  return ((t % modulus) + modulus) % modulus;
}

/** @param p, q primes. @returns the numbers of the key with the exponent 65537 */
export function rsaNumbersOf(p: bigint, q: bigint): RsaNumbers {
  const e = 65_537n;
  const d = modularInverse(e, (p - 1n) * (q - 1n));
  return { n: p * q, e, d, p, q, dP: d % (p - 1n), dQ: d % (q - 1n), inverse: modularInverse(q, p) };
}
