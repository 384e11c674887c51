import { bigintFromBytes, bitLength, bytesFromBigint } from "./bigEndian.ts";
import { CryptoError } from "./cryptoError.ts";
import { DerReader } from "./der.ts";
import { checkRsaLimits } from "./subjectPublicKeyInfo.ts";

export interface RsaPrivateKeyInfo {
  readonly type: "rsa2048" | "rsa3072";
  readonly modulus: bigint;
  readonly exponent: bigint;
  /**
   * The private exponent, 0 < d < lcm(p-1, q-1), big-endian, without leading zeros. A file may hold another one (older
   * programs reduce by (p-1)(q-1)); this one is the same for all of them.
   */
  readonly secret: Uint8Array;
  /** The RSAPrivateKey as it was read. */
  readonly der: Uint8Array;
}

/**
 * RSAPrivateKey (RFC 8017 §A.1.2), two primes, whose numbers must fit together; whether the factors are prime is not
 * tested. The key file is its owner's, so this is about damage, not about attack.
 *
 * @param outerPublicKey `publicKey` of the OneAsymmetricKey around it: the DER of the RSAPublicKey
 * @throws {CryptoError} `MALFORMED_KEY` or `UNSUPPORTED_KEY`
 */
export function decodeRsaPrivateKey(
  der: Uint8Array,
  outerPublicKey: Uint8Array | undefined,
): RsaPrivateKeyInfo {
  const outer = new DerReader(der);
  const fields = outer.sequence("RSAPrivateKey");
  outer.end("RSAPrivateKey");
  const next = (what: string) => bigintFromBytes(fields.unsigned(what));
  if (next("version") !== 0n) throw new CryptoError("UNSUPPORTED_KEY", "RSA key with more than two primes");
  const { modulus, exponent } = checkRsaLimits(next("modulus"), next("publicExponent"));
  const d = next("privateExponent");
  const p = next("prime1");
  const q = next("prime2");
  const dP = next("exponent1");
  const dQ = next("exponent2");
  const inverse = next("coefficient");
  fields.end("coefficient");

  const fits =
    p > 1n &&
    q > 1n &&
    p !== q &&
    p * q === modulus &&
    d > 1n &&
    d < modulus &&
    (d * exponent) % (p - 1n) === 1n &&
    (d * exponent) % (q - 1n) === 1n &&
    dP === d % (p - 1n) &&
    dQ === d % (q - 1n) &&
    inverse < p &&
    (inverse * q) % p === 1n;
  if (!fits)
    throw new CryptoError("MALFORMED_KEY", "the numbers of the RSA private key don't belong together");
  if (outerPublicKey !== undefined) checkOuterPublicKey(outerPublicKey, modulus, exponent);

  const bits = bitLength(modulus);
  if (bits !== 2048 && bits !== 3072)
    throw new CryptoError("UNSUPPORTED_KEY", `RSA private key of ${bits} bits, use 2048 or 3072`);
  const smallest = d % leastCommonMultiple(p - 1n, q - 1n);
  return {
    type: bits === 2048 ? "rsa2048" : "rsa3072",
    modulus,
    exponent,
    secret: bytesFromBigint(smallest, Math.ceil(bitLength(smallest) / 8)),
    der,
  };
}

function checkOuterPublicKey(der: Uint8Array, modulus: bigint, exponent: bigint): void {
  const outer = new DerReader(der);
  const fields = outer.sequence("RSAPublicKey");
  outer.end("RSAPublicKey");
  const same =
    bigintFromBytes(fields.unsigned("modulus")) === modulus &&
    bigintFromBytes(fields.unsigned("publicExponent")) === exponent;
  fields.end("publicExponent");
  if (!same) throw new CryptoError("MALFORMED_KEY", "private key carries the public half of another key");
}

function leastCommonMultiple(a: bigint, b: bigint): bigint {
  let x = a;
  let y = b;
  while (y !== 0n) [x, y] = [y, x % y];
  return (a / x) * b;
}
