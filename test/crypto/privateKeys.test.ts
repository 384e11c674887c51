import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { p256 } from "@noble/curves/nist.js";
import { concatBytes, encodeUtf8 } from "../../src/base/bytes.ts";
import { bytesFromBigint } from "../../src/crypto/bigEndian.ts";
import { derTag, encodeDer } from "../../src/crypto/der.ts";
import { native } from "../../src/crypto/native.ts";
import { decodePrivateKeyInfo } from "../../src/crypto/privateKeyInfo.ts";
import { keyTypes } from "../../src/crypto/provider.ts";
import {
  bits,
  ec,
  ecSpki,
  ed25519,
  ed25519Algorithm,
  integer,
  nullValue,
  octets,
  oid,
  p256Algorithm,
  prime256v1,
  rsa,
  rsaAlgorithm,
  secp384r1,
  sequence,
} from "./derPieces.ts";
import { hex, providers, thrownCode } from "./providers.ts";
import { modularInverse, type RsaNumbers, rsaDer, rsaNumbers } from "./rsaNumbers.ts";

// RSA keys take seconds on a busy machine.
setDefaultTimeout(60_000);

const scalar = hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
const point = p256.getPublicKey(scalar, false);
const seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
const edKey = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
const [pkcs8Rsa, otherRsa] = await Promise.all([
  native.generatePrivateKey("rsa2048"),
  native.generatePrivateKey("rsa2048"),
]);

const ecInner = (parts: {
  secret?: Uint8Array;
  parameters?: Uint8Array;
  publicKey?: Uint8Array;
  version?: bigint;
}) =>
  sequence(
    integer(parts.version ?? 1n),
    octets(parts.secret ?? scalar),
    ...(parts.parameters === undefined ? [] : [encodeDer(0xa0, parts.parameters)]),
    ...(parts.publicKey === undefined ? [] : [encodeDer(0xa1, bits(parts.publicKey))]),
  );
const pkcs8 = (algorithm: Uint8Array, key: Uint8Array, ...more: Uint8Array[]) =>
  sequence(integer(0n), algorithm, octets(key), ...more);
const pkcs8v2 = (algorithm: Uint8Array, key: Uint8Array, ...more: Uint8Array[]) =>
  sequence(integer(1n), algorithm, octets(key), ...more);
const implicitBits = (key: Uint8Array) => encodeDer(0x81, Uint8Array.of(0), key);
/** An attribute as some systems write it: key usage digitalSignature. */
const attributes = encodeDer(0xa0, sequence(oid("551d0f"), encodeDer(derTag.set, hex("03020780"))));

describe.each(providers)("private keys of $name", (provider) => {
  test("importPrivateKey() takes every encoding of a p256 key and derives the same secrets", () => {
    const encodings = [
      pkcs8(p256Algorithm, ecInner({})),
      pkcs8(p256Algorithm, ecInner({ publicKey: point })),
      pkcs8(p256Algorithm, ecInner({ parameters: prime256v1, publicKey: point })),
      pkcs8(p256Algorithm, ecInner({ parameters: prime256v1 }), attributes),
      pkcs8v2(p256Algorithm, ecInner({}), implicitBits(point)),
      pkcs8v2(p256Algorithm, ecInner({}), attributes, implicitBits(point)),
      pkcs8v2(p256Algorithm, ecInner({})),
    ];
    const secret = expectedSecret(scalar, "label");
    for (const encoding of encodings) {
      const key = provider.importPrivateKey(encoding);
      expect({ kind: key.kind, type: key.type, scheme: key.scheme }).toEqual({
        kind: "private",
        type: "p256",
        scheme: "ecdsa-p256-sha256",
      });
      expect(key.spki).toEqual(ecSpki(point));
      expect(key.deriveSecret("label")).toEqual(secret);
      expect(key.deriveSecret("other label")).not.toEqual(secret);
    }
  });

  test("importPrivateKey() takes every encoding of an Ed25519 key and derives the same secrets", () => {
    const encodings = [
      pkcs8(ed25519Algorithm, octets(seed)),
      pkcs8(ed25519Algorithm, octets(seed), attributes),
      pkcs8v2(ed25519Algorithm, octets(seed), implicitBits(edKey)),
    ];
    for (const encoding of encodings) {
      const key = provider.importPrivateKey(encoding);
      expect([key.type, key.scheme]).toEqual(["ed25519", "ed25519"]);
      expect(key.spki).toEqual(sequence(ed25519Algorithm, bits(edKey)));
      expect(key.deriveSecret("label")).toEqual(expectedSecret(seed, "label"));
    }
  });

  test("deriveSecret() of an RSA key does not depend on the multiple that the private exponent was reduced by", () => {
    const numbers = rsaNumbers(pkcs8Rsa);
    const key = provider.importPrivateKey(pkcs8Rsa);
    const { n, e, d, p, q, dP, dQ, inverse } = numbers;
    const phi = (p - 1n) * (q - 1n);
    const larger = modularInverse(e, phi);
    const swapped = rsaDer({ ...numbers, p: q, q: p, dP: dQ, dQ: dP, inverse: modularInverse(p, q) });
    const variants = [rsaDer({ ...numbers, d: larger }), swapped, rsaDer({ n, e, d, p, q, dP, dQ, inverse })];
    const info = decodePrivateKeyInfo(pkcs8Rsa);
    for (const der of variants) {
      const variant = provider.importPrivateKey(pkcs8(rsaAlgorithm, der));
      expect(variant.deriveSecret("label")).toEqual(key.deriveSecret("label"));
      expect(variant.deriveSecret("label")).toEqual(expectedSecret(info.secret, "label"));
      expect(variant.sign(seed)).toEqual(key.sign(seed));
    }
  });

  test("importPrivateKey() refuses what it does not support", () => {
    const unsupported = {
      "a key on P-384": pkcs8(sequence(ec, secp384r1), ecInner({ secret: new Uint8Array(48).fill(1) })),
      "a key on secp256k1": pkcs8(sequence(ec, oid("2b8104000a")), ecInner({})),
      X25519: pkcs8(sequence(oid("2b656e")), octets(seed)),
      "RSA with more than two primes": pkcs8(rsaAlgorithm, rsaDer(rsaNumbers(pkcs8Rsa), 1n)),
      "RSA with exponent 3": pkcs8(rsaAlgorithm, rsaDer({ ...rsaNumbers(pkcs8Rsa), e: 3n })),
    };
    for (const [what, key] of Object.entries(unsupported))
      expect([what, thrownCode(() => provider.importPrivateKey(key))]).toEqual([what, "UNSUPPORTED_KEY"]);
  });

  test("importPrivateKey() refuses what is malformed or does not belong together", () => {
    const good = pkcs8(p256Algorithm, ecInner({ publicKey: point }));
    const otherPoint = p256.getPublicKey(p256.utils.randomSecretKey(), false);
    const order = p256.Point.Fn.ORDER;
    const numbers = rsaNumbers(pkcs8Rsa);
    const other = rsaNumbers(otherRsa);
    const damaged = Object.keys(numbers)
      .filter((name) => name !== "n" && name !== "e")
      .map((name): [string, Uint8Array] => [
        `RSA with another ${name}`,
        pkcs8(rsaAlgorithm, rsaDer({ ...numbers, [name]: other[name as keyof RsaNumbers] })),
      ]);
    const malformed = {
      "no bytes": new Uint8Array(0),
      "an octet behind": concatBytes(good, Uint8Array.of(0)),
      "a missing octet": good.subarray(0, good.length - 1),
      "a length with superfluous octets": concatBytes(
        Uint8Array.of(0x30, 0x82, 0, good.length - 3),
        good.subarray(3),
      ),
      "version 2": sequence(integer(2n), p256Algorithm, octets(ecInner({}))),
      "a public key in version 0": pkcs8(p256Algorithm, ecInner({}), implicitBits(point)),
      "attributes behind the public key": pkcs8v2(
        p256Algorithm,
        ecInner({}),
        implicitBits(point),
        attributes,
      ),
      "attributes that are no sequence": pkcs8(p256Algorithm, ecInner({}), encodeDer(0xa0, nullValue)),
      "ECPrivateKey version 0": pkcs8(p256Algorithm, ecInner({ version: 0n })),
      "a scalar of 31 bytes": pkcs8(p256Algorithm, ecInner({ secret: scalar.subarray(1) })),
      "a scalar of 33 bytes": pkcs8(
        p256Algorithm,
        ecInner({ secret: concatBytes(Uint8Array.of(0), scalar) }),
      ),
      "the scalar 0": pkcs8(p256Algorithm, ecInner({ secret: new Uint8Array(32) })),
      "the scalar n": pkcs8(p256Algorithm, ecInner({ secret: bytesFromBigint(order, 32) })),
      "the scalar 2^256 - 1": pkcs8(p256Algorithm, ecInner({ secret: new Uint8Array(32).fill(0xff) })),
      "another curve inside": pkcs8(p256Algorithm, ecInner({ parameters: secp384r1 })),
      "another public key": pkcs8(p256Algorithm, ecInner({ publicKey: otherPoint })),
      "another public key outside": pkcs8v2(p256Algorithm, ecInner({}), implicitBits(otherPoint)),
      "the compressed public key": pkcs8(
        p256Algorithm,
        ecInner({ publicKey: p256.getPublicKey(scalar, true) }),
      ),
      "the public key twice": pkcs8v2(p256Algorithm, ecInner({ publicKey: point }), implicitBits(point)),
      "an octet behind ECPrivateKey": pkcs8(p256Algorithm, concatBytes(ecInner({}), Uint8Array.of(0))),
      "an Ed25519 seed without its OCTET STRING": pkcs8(ed25519Algorithm, seed),
      "an Ed25519 seed of 31 bytes": pkcs8(ed25519Algorithm, octets(seed.subarray(1))),
      "an octet behind the Ed25519 seed": pkcs8(
        ed25519Algorithm,
        concatBytes(octets(seed), Uint8Array.of(0)),
      ),
      "another Ed25519 public key": pkcs8v2(ed25519Algorithm, octets(seed), implicitBits(seed)),
      "Ed25519 with NULL parameters": pkcs8(sequence(ed25519, nullValue), octets(seed)),
      "RSA without NULL": pkcs8(sequence(rsa), rsaDer(numbers)),
      "RSA with an octet behind": pkcs8(rsaAlgorithm, concatBytes(rsaDer(numbers), Uint8Array.of(0))),
      "RSA with the public half of another": pkcs8v2(
        rsaAlgorithm,
        rsaDer(numbers),
        implicitBits(sequence(integer(other.n), integer(other.e))),
      ),
      "RSA with equal primes": pkcs8(
        rsaAlgorithm,
        rsaDer({ ...numbers, n: numbers.p * numbers.p, q: numbers.p, dQ: numbers.dP }),
      ),
      "an encrypted key": sequence(sequence(oid("2a864886f70d01050d"), sequence()), octets(seed)),
      "more than 8192 bytes": pkcs8(p256Algorithm, new Uint8Array(8192)),
      ...Object.fromEntries(damaged),
    };
    for (const [what, key] of Object.entries(malformed))
      expect([what, thrownCode(() => provider.importPrivateKey(key))]).toEqual([what, "MALFORMED_KEY"]);
  });

  test("importPrivateKey() keeps a copy: later changes of the input change nothing", () => {
    const input = pkcs8(p256Algorithm, ecInner({ publicKey: point }));
    const key = provider.importPrivateKey(input);
    input.fill(0);
    expect(key.deriveSecret("label")).toEqual(expectedSecret(scalar, "label"));
    expect(provider.importPublicKey(key.spki).verify(key.scheme, seed, key.sign(seed))).toBe(true);
  });

  test("a private key shows its secret in no property", () => {
    const key = provider.importPrivateKey(pkcs8(p256Algorithm, ecInner({})));
    expect(Bun.inspect(key, { depth: 10 })).not.toContain("201, 175, 169");
    expect(Object.keys(key).sort()).toEqual(["deriveSecret", "kind", "scheme", "sign", "spki", "type"]);
  });

  test("generatePrivateKey() makes a new key of each type in the one form that is written", async () => {
    for (const type of keyTypes) {
      const [first, second] = await Promise.all([
        provider.generatePrivateKey(type),
        provider.generatePrivateKey(type),
      ]);
      expect(first).not.toEqual(second);
      expect(first.constructor).toBe(Uint8Array);
      const key = provider.importPrivateKey(first);
      expect(key.type).toBe(type);
      const message = encodeUtf8("to be signed");
      expect(provider.importPublicKey(key.spki).verify(key.scheme, message, key.sign(message))).toBe(true);
      const info = decodePrivateKeyInfo(first);
      if (info.type === "p256")
        expect(first).toEqual(
          pkcs8(p256Algorithm, ecInner({ secret: info.secret, publicKey: key.spki.slice(-65) })),
        );
      if (info.type === "ed25519") expect(first).toEqual(pkcs8(ed25519Algorithm, octets(info.secret)));
    }
  });
});

/** HKDF as `PrivateKey.deriveSecret` states it, step by step. */
function expectedSecret(secret: Uint8Array, label: string): Uint8Array {
  const bytes = encodeUtf8(label);
  return native.hkdfExpand("sha256", native.hkdfExtract("sha256", bytes, secret), bytes, 32);
}
