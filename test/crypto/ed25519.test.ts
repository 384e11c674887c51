import { describe, expect, test } from "bun:test";
import { ed25519 } from "@noble/curves/ed25519.js";
import { concatBytes, encodeUtf8 } from "../../src/base/bytes.ts";
import { isCanonicalEd25519PublicKey } from "../../src/crypto/ed25519PublicKey.ts";
import { noble } from "../../src/crypto/noble.ts";
import { encodePublicKeyInfo } from "../../src/crypto/subjectPublicKeyInfo.ts";
import { hex, providers, thrownCode } from "./providers.ts";

const { Point } = ed25519;
type EdwardsPoint = typeof Point.BASE;

/** RFC 8032 §7.1, tests 1 to 3. */
const rfc8032 = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature: `e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155
                5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b`,
  },
  {
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature: `92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
                085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00`,
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature: `6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac
                18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a`,
  },
].map(({ seed, publicKey, message, signature }) => ({
  seed: hex(seed),
  publicKey: hex(publicKey),
  message: hex(message),
  signature: hex(signature),
}));

const message = encodeUtf8("to be signed");

/** The eight points of low order: multiples of one of order 8. */
const generator8 = Point.fromBytes(hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"));
const lowOrder = Array.from({ length: 8 }, (_, i) => generator8.multiplyUnsafe(BigInt(i)));

/** Encodings of low-order points that no canonical encoder makes: y of p or p + 1, and a sign on x = 0. */
const notCanonical = [
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
].map(hex);

describe.each(providers)("Ed25519 of $name", (provider) => {
  const importRaw = (key: Uint8Array) =>
    provider.importPublicKey(encodePublicKeyInfo({ type: "ed25519", key }));
  const verifiesBothWays = (key: Uint8Array, text: Uint8Array, signature: Uint8Array): boolean => {
    const raw = provider.ed25519Verify(key, text, signature);
    expect(importRaw(key).verify("ed25519", text, signature)).toBe(raw);
    return raw;
  };

  test("signs and verifies as RFC 8032 §7.1", () => {
    for (const vector of rfc8032) {
      expect(provider.ed25519PublicKey(vector.seed)).toEqual(vector.publicKey);
      expect(provider.ed25519Sign(vector.seed, vector.message)).toEqual(vector.signature);
      expect(verifiesBothWays(vector.publicKey, vector.message, vector.signature)).toBe(true);
      expect(
        verifiesBothWays(
          vector.publicKey,
          concatBytes(vector.message, vector.message, message),
          vector.signature,
        ),
      ).toBe(false);
    }
  });

  test("refuses every low-order public key, which verifies anything in the runtime", () => {
    // With A of low order, S = 0 and R = -[k]A, some message in a few verifies without a secret.
    for (const point of lowOrder) {
      const key = point.toBytes();
      expect(isCanonicalEd25519PublicKey(key)).toBe(false);
      expect(thrownCode(() => importRaw(key))).toBe("MALFORMED_KEY");
      const forged = lowOrder.map((r) => concatBytes(r.toBytes(), new Uint8Array(32)));
      expect(forged.some((signature) => provider.ed25519Verify(key, message, signature))).toBe(false);
    }
  });

  test("refuses public keys that are not canonical or not on the curve", () => {
    const { publicKey, message: text, signature } = nth(0);
    for (const key of [...notCanonical, offCurve(publicKey)]) {
      expect(thrownCode(() => importRaw(key))).toBe("MALFORMED_KEY");
      expect(provider.ed25519Verify(key, text, signature)).toBe(false);
    }
  });

  test("refuses S of L or more, and S + L of a good signature", () => {
    const { publicKey, message: text, signature } = nth(1);
    const s = littleEndian(signature.subarray(32));
    for (const wrong of [s + Point.Fn.ORDER, Point.Fn.ORDER, 2n ** 256n - 1n])
      expect(verifiesBothWays(publicKey, text, concatBytes(signature.subarray(0, 32), bytes32(wrong)))).toBe(
        false,
      );
  });

  test("verifies without the cofactor: a low-order component in R or in the key counts", () => {
    const seed = new Uint8Array(32).fill(7);
    const { scalar, point } = ed25519.utils.getExtendedPublicKey(seed);
    const nonce = 123_456_789n;
    for (const torsion of lowOrder) {
      // R with a component of low order: right up to it, so that a verifier that multiplies by 8 accepts.
      const forR = sign(scalar, point, nonce, Point.BASE.multiply(nonce).add(torsion));
      expect(ed25519.verify(forR, message, point.toBytes(), { zip215: false })).toBe(true);
      expect(verifiesBothWays(point.toBytes(), message, forR)).toBe(torsion.is0());

      // A key with such a component is a point of the curve that is not of low order: it is taken, and its
      // signatures hold for the messages whose k cancels the component.
      const mixed = point.add(torsion);
      const forA = sign(scalar, mixed, nonce, Point.BASE.multiply(nonce));
      const cancels = torsion.multiplyUnsafe(challenge(forA.subarray(0, 32), mixed)).is0();
      expect(verifiesBothWays(mixed.toBytes(), message, forA)).toBe(cancels);
    }
  });

  test("refuses keys and signatures of other lengths without an error: peers send both", () => {
    const { publicKey, message: text, signature } = nth(0);
    for (const length of [0, 31, 33])
      expect(provider.ed25519Verify(new Uint8Array(length).fill(3), text, signature)).toBe(false);
    for (const length of [0, 63, 65]) {
      const wrong = new Uint8Array(length);
      wrong.set(signature.subarray(0, length));
      expect(verifiesBothWays(publicKey, text, wrong)).toBe(false);
    }
  });

  test("refuses seeds of other lengths than 32", () => {
    for (const length of [0, 31, 33, 64]) {
      const wrong = new Uint8Array(length);
      expect(thrownCode(() => provider.ed25519PublicKey(wrong))).toBe("WRONG_LENGTH");
      expect(thrownCode(() => provider.ed25519Sign(wrong, message))).toBe("WRONG_LENGTH");
    }
  });
});

test("isCanonicalEd25519PublicKey() takes the largest y below p and its neighbours by value", () => {
  const p = 2n ** 255n - 19n;
  for (const [y, expected] of [
    [p - 2n, true],
    [p - 1n, false],
    [p, false],
    [p + 2n, false],
    [2n ** 255n - 1n, false],
    [0n, false],
    [1n, false],
    [2n, true],
    [0x7fn << 248n, true],
  ] as const)
    for (const sign of [0n, 1n << 255n])
      expect(isCanonicalEd25519PublicKey(bytes32(y + sign))).toBe(expected);
});

function nth(index: number) {
  const vector = rfc8032[index];
  if (vector === undefined) throw new Error("no such vector");
  return vector;
}

/** A signature made with the equation of RFC 8032 §5.1.6, over the R and the public key that are given. */
function sign(scalar: bigint, key: EdwardsPoint, nonce: bigint, r: EdwardsPoint): Uint8Array {
  const k = challenge(r.toBytes(), key);
  return concatBytes(r.toBytes(), bytes32(Point.Fn.create(nonce + k * scalar)));
}

function challenge(r: Uint8Array, key: EdwardsPoint): bigint {
  return littleEndian(noble.sha512(concatBytes(r, key.toBytes(), message))) % Point.Fn.ORDER;
}

/** The nearest y above that of `key` that no point of the curve has. */
function offCurve(key: Uint8Array): Uint8Array {
  for (let y = littleEndian(key) & (2n ** 255n - 1n); ; y++) {
    try {
      Point.fromBytes(bytes32(y));
    } catch {
      return bytes32(y);
    }
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytes.toReversed().toHex()}`);
}

function bytes32(value: bigint): Uint8Array {
  return Uint8Array.fromHex(value.toString(16).padStart(64, "0")).reverse();
}
