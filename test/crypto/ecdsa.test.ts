import { describe, expect, test } from "bun:test";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { concatBytes, encodeUtf8 } from "../../src/base/bytes.ts";
import { derTag, encodeDer } from "../../src/crypto/der.ts";
import {
  decodeEcdsaSignature,
  encodeEcdsaSignature,
  isLowS,
  normalizeLowS,
} from "../../src/crypto/ecdsaSignature.ts";
import { noble } from "../../src/crypto/noble.ts";
import { encodePrivateKeyInfo } from "../../src/crypto/privateKeyInfo.ts";
import type { SignatureScheme } from "../../src/crypto/provider.ts";
import { encodePublicKeyInfo } from "../../src/crypto/subjectPublicKeyInfo.ts";
import { hex, providers } from "./providers.ts";

/** RFC 6979 §A.2.5 to §A.2.7: key and signatures with the hash of the size of the curve, over "sample". */
const rfc6979 = [
  {
    curve: "p256",
    scheme: "ecdsa-p256-sha256",
    x: "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
    y: "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    r: "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
    s: "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
  },
  {
    curve: "p384",
    scheme: "ecdsa-p384-sha384",
    x: "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13",
    y: "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
    r: "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
    s: "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
  },
  {
    curve: "p521",
    scheme: "ecdsa-p521-sha512",
    x: "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4",
    y: "00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
    r: "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa",
    s: "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
  },
] as const;

const vectors = rfc6979.map(({ curve, scheme, x, y, r, s }) => ({
  curve,
  scheme: scheme satisfies SignatureScheme,
  spki: encodePublicKeyInfo({ type: curve, point: concatBytes(Uint8Array.of(4), hex(x), hex(y)) }),
  r: hex(r),
  s: hex(s),
}));
const sample = encodeUtf8("sample");
const orders = { p256: p256.Point.Fn.ORDER, p384: p384.Point.Fn.ORDER, p521: p521.Point.Fn.ORDER };

describe.each(providers)("ECDSA of $name", (provider) => {
  test("verifies the signatures of RFC 6979 §A.2.5 to §A.2.7, with low and with high S", () => {
    for (const { curve, scheme, spki, r, s } of vectors) {
      const key = provider.importPublicKey(spki);
      const der = encodeEcdsaSignature({ r, s });
      const twin = encodeEcdsaSignature({ r, s: fromBigint(orders[curve] - toBigint(s), s.length) });
      expect(isLowS(der, curve)).not.toBe(isLowS(twin, curve));
      expect(key.verify(scheme, sample, der)).toBe(true);
      expect(key.verify(scheme, sample, twin)).toBe(true);
      expect(key.verify(scheme, encodeUtf8("Sample"), der)).toBe(false);
    }
  });

  test("verify() is false for the scheme of another key", () => {
    const [first] = vectors;
    if (first === undefined) throw new Error("no vector");
    const key = provider.importPublicKey(first.spki);
    const der = encodeEcdsaSignature(first);
    for (const scheme of ["ecdsa-p384-sha384", "ecdsa-p521-sha512", "ed25519", "rsa-pkcs1-sha256"] as const)
      expect(key.verify(scheme, sample, der)).toBe(false);
  });

  test("verify() is false for malformed and out-of-range signatures", () => {
    for (const { curve, scheme, spki, r, s } of vectors) {
      const key = provider.importPublicKey(spki);
      for (const der of malformed(r, s, orders[curve])) {
        expect(key.verify(scheme, sample, der)).toBe(false);
        expect(decodeEcdsaSignature(der, curve)).toBeUndefined();
        expect(isLowS(der, curve)).toBe(false);
        expect(normalizeLowS(der, curve)).toBeUndefined();
      }
    }
  });

  test("sign() always makes the low S", async () => {
    const key = provider.importPrivateKey(await provider.generatePrivateKey("p256"));
    const own = provider.importPublicKey(key.spki);
    for (let i = 0; i < 24; i++) {
      const message = Uint8Array.of(i);
      const signature = key.sign(message);
      expect(isLowS(signature, "p256")).toBe(true);
      expect(own.verify("ecdsa-p256-sha256", message, signature)).toBe(true);
    }
  });
});

test("noble signs with the nonce of RFC 6979 §A.2.5, then takes the low S", () => {
  const secret = hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
  const key = noble.importPrivateKey(encodePrivateKeyInfo({ type: "p256", secret, publicKey: undefined }));
  const [first] = vectors;
  if (first === undefined) throw new Error("no vector");
  expect(key.spki).toEqual(first.spki);
  const high = encodeEcdsaSignature(first);
  expect(isLowS(high, "p256")).toBe(false);
  expect(key.sign(sample)).toEqual(normalizeLowS(high, "p256") ?? new Uint8Array(0));
});

test("isLowS() has its border at n / 2, and normalizeLowS() reaches the other one", () => {
  for (const curve of ["p256", "p384", "p521"] as const) {
    const order = orders[curve];
    const bytes = Math.ceil(order.toString(16).length / 2);
    const half = order / 2n;
    const signature = (s: bigint) =>
      encodeEcdsaSignature({ r: fromBigint(1n, bytes), s: fromBigint(s, bytes) });
    for (const s of [1n, half - 1n, half]) {
      expect(isLowS(signature(s), curve)).toBe(true);
      expect(normalizeLowS(signature(s), curve)).toEqual(signature(s));
      expect(isLowS(signature(order - s), curve)).toBe(false);
      expect(normalizeLowS(signature(order - s), curve)).toEqual(signature(s));
    }
  }
});

/** One fault each. */
function malformed(r: Uint8Array, s: Uint8Array, order: bigint): Uint8Array[] {
  const bytes = r.length;
  const good = encodeEcdsaSignature({ r, s });
  const body = good.subarray(good[1] === 0x81 ? 3 : 2);
  const zero = new Uint8Array(bytes);
  const tooLarge = [order, order + toBigint(r), 2n ** BigInt(8 * bytes) - 1n].filter(
    (value) => value < 2n ** BigInt(8 * bytes),
  );
  const integer = (...content: number[]) => encodeDer(derTag.integer, Uint8Array.from(content));
  const one = integer(1);
  return [
    new Uint8Array(0),
    Uint8Array.of(0x30),
    Uint8Array.of(0x30, 0x00),
    good.subarray(0, good.length - 1),
    concatBytes(good, Uint8Array.of(0)),
    encodeDer(derTag.sequence, body, Uint8Array.of(0)),
    encodeDer(derTag.sequence, body, one),
    encodeDer(derTag.set, body),
    encodeDer(derTag.sequence, one),
    encodeDer(derTag.sequence, integer(), one),
    encodeDer(derTag.sequence, one, integer()),
    encodeDer(derTag.sequence, integer(0), one),
    encodeDer(derTag.sequence, one, integer(0)),
    encodeDer(derTag.sequence, integer(0x80), one),
    encodeDer(derTag.sequence, integer(0, 1), one),
    encodeDer(derTag.sequence, encodeDer(derTag.octetString, Uint8Array.of(1)), one),
    // Lengths that are not the shortest, and the indefinite one.
    concatBytes(Uint8Array.of(0x30, 0x82, 0x00, body.length), body),
    ...(body.length < 128 ? [concatBytes(Uint8Array.of(0x30, 0x81, body.length), body)] : []),
    concatBytes(Uint8Array.of(0x30, 0x80), body, Uint8Array.of(0, 0)),
    concatBytes(r, s),
    encodeEcdsaSignature({ r: zero, s }),
    encodeEcdsaSignature({ r, s: zero }),
    ...tooLarge.map((value) => encodeEcdsaSignature({ r: fromBigint(value, bytes), s })),
    ...tooLarge.map((value) => encodeEcdsaSignature({ r, s: fromBigint(value, bytes) })),
  ];
}

function toBigint(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytes.toHex()}`);
}

function fromBigint(value: bigint, length: number): Uint8Array {
  return Uint8Array.fromHex(value.toString(16).padStart(2 * length, "0"));
}
