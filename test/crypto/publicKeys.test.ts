import { describe, expect, test } from "bun:test";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { concatBytes } from "../../src/base/bytes.ts";
import { bytesFromBigint } from "../../src/crypto/bigEndian.ts";
import { derTag, encodeDer } from "../../src/crypto/der.ts";
import {
  bits,
  ec,
  ecSpki,
  ed25519,
  integer,
  modulusOf,
  nullValue,
  octets,
  oid,
  p256Algorithm,
  prime256v1,
  rsa,
  rsaSpki,
  secp384r1,
  secp521r1,
  sequence,
} from "./derPieces.ts";
import { hex, providers, thrownCode } from "./providers.ts";

const scalar = hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
const point = p256.getPublicKey(scalar, false);
const edKey = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");

describe.each(providers)("public keys of $name", (provider) => {
  test("importPublicKey() takes each kind of key and keeps its bytes", () => {
    const cases = [
      ["p256", 256, ecSpki(point)],
      ["p384", 384, ecSpki(p384.getPublicKey(p384.utils.randomSecretKey(), false), secp384r1)],
      ["p521", 521, ecSpki(p521.getPublicKey(p521.utils.randomSecretKey(), false), secp521r1)],
      ["ed25519", 255, sequence(sequence(ed25519), bits(edKey))],
      ["rsa", 2048, rsaSpki(modulusOf(2048), 65_537n)],
      ["rsa", 2049, rsaSpki(modulusOf(2049), 65_539n)],
      ["rsa", 8192, rsaSpki(modulusOf(8192), 2n ** 32n - 1n)],
    ] as const;
    for (const [type, size, spki] of cases) {
      const key = provider.importPublicKey(spki);
      expect({ kind: key.kind, type: key.type, bits: key.bits }).toEqual({
        kind: "public",
        type,
        bits: size,
      });
      expect(key.spki).toEqual(spki);
    }
  });

  test("importPublicKey() keeps a copy: later changes of the input change nothing", () => {
    const input = ecSpki(point);
    const key = provider.importPublicKey(input);
    const kept = input.slice();
    input.fill(0);
    expect(key.spki).toEqual(kept);
  });

  test("importPublicKey() refuses what it does not support", () => {
    const unsupported = {
      "another algorithm (X25519)": sequence(sequence(oid("2b656e")), bits(edKey)),
      "id-RSASSA-PSS": sequence(
        sequence(oid("2a864886f70d01010a")),
        bits(sequence(integer(modulusOf(2048)), integer(65_537n))),
      ),
      "another curve (secp256k1)": ecSpki(point, oid("2b8104000a")),
      "explicit curve parameters": ecSpki(point, sequence(integer(1n))),
      "a compressed point": ecSpki(p256.getPublicKey(scalar, true)),
      "RSA of 2047 bits": rsaSpki(modulusOf(2047), 65_537n),
      "RSA of 1024 bits": rsaSpki(modulusOf(1024), 65_537n),
      "RSA of 8193 bits": rsaSpki(modulusOf(8193), 65_537n),
      "RSA of 16384 bits": rsaSpki(modulusOf(16_384), 65_537n),
      "an even modulus": rsaSpki(modulusOf(2048) + 1n, 65_537n),
      "exponent 0": rsaSpki(modulusOf(2048), 0n),
      "exponent 1": rsaSpki(modulusOf(2048), 1n),
      "exponent 3": rsaSpki(modulusOf(2048), 3n),
      "exponent 65535": rsaSpki(modulusOf(2048), 65_535n),
      "exponent 65538": rsaSpki(modulusOf(2048), 65_538n),
      "exponent 2^32 + 1": rsaSpki(modulusOf(2048), 2n ** 32n + 1n),
      "an exponent as long as the modulus": rsaSpki(modulusOf(2048), modulusOf(2048) - 2n),
    };
    for (const [what, spki] of Object.entries(unsupported))
      expect([what, thrownCode(() => provider.importPublicKey(spki))]).toEqual([what, "UNSUPPORTED_KEY"]);
  });

  test("importPublicKey() refuses what is malformed", () => {
    const good = ecSpki(point);
    const rsaKey = sequence(integer(modulusOf(2048)), integer(65_537n));
    const offCurve = point.slice();
    offCurve[64] = (offCurve[64] ?? 0) ^ 1;
    const aboveField = concatBytes(Uint8Array.of(4), new Uint8Array(32).fill(0xff), point.subarray(33));
    // x = 0 is on P-256; as x = p it would be a second encoding of the same point.
    const zeroX = "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4";
    const fieldPrime = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    expect(provider.importPublicKey(ecSpki(hex(`04${"00".repeat(32)}${zeroX}`))).type).toBe("p256");
    const malformed = {
      "no bytes": new Uint8Array(0),
      "an octet behind": concatBytes(good, Uint8Array.of(0)),
      "a missing octet": good.subarray(0, good.length - 1),
      "a length with superfluous octets": concatBytes(
        Uint8Array.of(0x30, 0x81, good.length - 2),
        good.subarray(2),
      ),
      "a length of two octets for 200 bytes": concatBytes(
        Uint8Array.of(0x30, 0x82, 0, good.length - 2),
        good.subarray(2),
      ),
      "the indefinite length": concatBytes(Uint8Array.of(0x30, 0x80), good.subarray(2), Uint8Array.of(0, 0)),
      "a SET around": encodeDer(derTag.set, p256Algorithm, bits(point)),
      "a third field": sequence(p256Algorithm, bits(point), nullValue),
      "fields in another order": sequence(bits(point), p256Algorithm),
      "an OCTET STRING for the key": sequence(p256Algorithm, octets(point)),
      "unused bits": sequence(p256Algorithm, bits(point, 1)),
      "a BIT STRING without its first octet": sequence(p256Algorithm, encodeDer(derTag.bitString)),
      "EC without a curve": sequence(sequence(ec), bits(point)),
      "EC with NULL for a curve": sequence(sequence(ec, nullValue), bits(point)),
      "EC with something behind the curve": sequence(sequence(ec, prime256v1, nullValue), bits(point)),
      "the point at infinity": ecSpki(Uint8Array.of(0)),
      "no point": ecSpki(new Uint8Array(0)),
      "a point without its first octet": ecSpki(point.subarray(1)),
      "a hybrid point (0x06)": ecSpki(concatBytes(Uint8Array.of(6), point.subarray(1))),
      "a point one octet too long": ecSpki(concatBytes(point, Uint8Array.of(0))),
      "a point of P-256 on P-384": ecSpki(point, secp384r1),
      "a point off the curve": ecSpki(offCurve),
      "the origin": ecSpki(concatBytes(Uint8Array.of(4), new Uint8Array(64))),
      "a coordinate above the field": ecSpki(aboveField),
      "the coordinate p in place of 0": ecSpki(hex(`04${fieldPrime}${zeroX}`)),
      "RSA without NULL": sequence(sequence(rsa), bits(rsaKey)),
      "RSA with a NULL that has content": sequence(sequence(rsa, hex("050100")), bits(rsaKey)),
      "RSA with two NULLs": sequence(sequence(rsa, nullValue, nullValue), bits(rsaKey)),
      "RSA with an octet behind the key": sequence(
        sequence(rsa, nullValue),
        bits(concatBytes(rsaKey, Uint8Array.of(0))),
      ),
      "RSA with a third number": sequence(
        sequence(rsa, nullValue),
        bits(sequence(integer(modulusOf(2048)), integer(65_537n), integer(1n))),
      ),
      "a negative modulus": sequence(
        sequence(rsa, nullValue),
        bits(sequence(encodeDer(derTag.integer, bytesFromBigint(modulusOf(2048), 256)), integer(65_537n))),
      ),
      "a modulus with a superfluous zero": sequence(
        sequence(rsa, nullValue),
        bits(
          sequence(
            encodeDer(derTag.integer, new Uint8Array(2), bytesFromBigint(modulusOf(2048), 256)),
            integer(65_537n),
          ),
        ),
      ),
      "Ed25519 with NULL parameters": sequence(sequence(ed25519, nullValue), bits(edKey)),
      "Ed25519 of 31 bytes": sequence(sequence(ed25519), bits(edKey.subarray(1))),
      "Ed25519 of 33 bytes": sequence(sequence(ed25519), bits(concatBytes(edKey, Uint8Array.of(0)))),
      "the Ed25519 identity": sequence(sequence(ed25519), bits(bytesFromBigint(1n, 32).reverse())),
      "more than 4096 bytes": ecSpki(new Uint8Array(4096)),
    };
    for (const [what, spki] of Object.entries(malformed))
      expect([what, thrownCode(() => provider.importPublicKey(spki))]).toEqual([what, "MALFORMED_KEY"]);
  });
});
