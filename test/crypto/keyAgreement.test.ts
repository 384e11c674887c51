import { describe, expect, test } from "bun:test";
import { ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { xwing, xwingDecapsulate, xwingEncapsulate, xwingGenerate } from "../../src/crypto/xwing.ts";
import { hex, providers, rejectedCode, thrownCode } from "./providers.ts";

/** Coordinates of the points of low order and their non-canonical twins (RFC 7748 §6.1, cr.yp.to/ecdh.html). */
const lowOrder = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map(hex);

/** RFC 7748 §6.1 */
const aliceSecret = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
const bobSecret = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";

/** draft-connolly-cfrg-xwing-kem-10, appendix C; the long values by their SHA-256. */
const xwingVectors = [
  {
    seed: "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
    eseed:
      "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e235b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
    publicKey: "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
    ciphertext: "17cd532d657e44c897ca6583e548a5424fc70bf54f99515a4d2bcf99e3469f33",
    sharedSecret: "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
  },
  {
    seed: "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
    eseed:
      "17cda7cfad765f5623474d368ccca8af0007cd9f5e4c849f167a580b14aabdefaee7eef47cb0fca9767be1fda69419dfb927e9df07348b196691abaeb580b32d",
    publicKey: "c42ba5f8430d7d2c83739338203819f090e8303ce9c8b02107c272bfa5376916",
    ciphertext: "1661ea86d608a1924ba30840cb0a65f13ae051e3aec9cf0f064efc0bc92f2154",
    sharedSecret: "f2e86241c64d60f6649fbc6c5b7d17180b780a3f34355e64a85749949c45f150",
  },
  {
    seed: "ef58538b8d23f87732ea63b02b4fa0f4873360e2841928cd60dd4cee8cc0d4c9",
    eseed:
      "22a96188d032675c8ac850933c7aff1533b94c834adbb69c6115bad4692d8619f90b0cdf8a7b9c264029ac185b70b83f2801f2f4b3f70c593ea3aeeb613a7f1b",
    publicKey: "6b080d6b84f095342092fa7a22423e58bd681397ad0ef00eac92bd254db4fa95",
    ciphertext: "d3ca5578500344b5896cffc4fd740c9311946b82951df155e6fd86a7966b43c6",
    sharedSecret: "953f7f4e8c5b5049bdc771d1dffada0dd961477d1a2ae0988baa7ea6898d893f",
  },
].map(({ seed, eseed, publicKey, ciphertext, sharedSecret }) => ({
  seed: hex(seed),
  eseed: hex(eseed),
  publicKey,
  ciphertext,
  sharedSecret: hex(sharedSecret),
}));

describe.each(providers)("key agreement of $name", (provider) => {
  test("x25519() gives the answers of RFC 7748 §5.2", () => {
    expect(
      provider.x25519(
        hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
        hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
      ),
    ).toEqual(hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
    // The coordinate has its top bit set, which is ignored.
    expect(
      provider.x25519(
        hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
        hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
      ),
    ).toEqual(hex("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"));
  });

  test("x25519() and x25519PublicKey() give the answers of RFC 7748 §6.1", () => {
    const alice = hex(aliceSecret);
    const bob = hex(bobSecret);
    const alicePublic = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    const bobPublic = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    expect(provider.x25519PublicKey(alice)).toEqual(alicePublic);
    expect(provider.x25519PublicKey(bob)).toEqual(bobPublic);
    const shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    expect(provider.x25519(alice, bobPublic)).toEqual(shared);
    expect(provider.x25519(bob, alicePublic)).toEqual(shared);
  });

  test("x25519() refuses every low-order peer key, with either top bit", () => {
    for (const point of lowOrder) {
      expect(provider.x25519(hex(bobSecret), point)).toBeUndefined();
      const high = point.slice();
      high[31] = (high[31] ?? 0) | 0x80;
      expect(provider.x25519(hex(bobSecret), high)).toBeUndefined();
    }
  });

  test("x25519() refuses keys of other lengths than 32", () => {
    for (const length of [0, 31, 33]) {
      const wrong = new Uint8Array(length);
      expect(thrownCode(() => provider.x25519PublicKey(wrong))).toBe("WRONG_LENGTH");
      expect(thrownCode(() => provider.x25519(wrong, hex(bobSecret)))).toBe("WRONG_LENGTH");
      expect(thrownCode(() => provider.x25519(hex(bobSecret), wrong))).toBe("WRONG_LENGTH");
    }
  });

  test("mlKem768Encapsulate() refuses a key with a coefficient of q or more", async () => {
    const { publicKey } = await provider.mlKem768Generate(systemRandom(64));
    for (const position of [0, 1, 2, 1149, 1150, 1151]) {
      const wrong = publicKey.slice();
      wrong[position] = 0xff;
      wrong[position % 3 === 0 ? position + 1 : position - 1] = 0xff;
      expect(await provider.mlKem768Encapsulate(wrong)).toBeUndefined();
    }
    // 3328 = 0xd00 is the largest coefficient, 3329 = 0xd01 the first too large.
    const largest = publicKey.slice();
    largest.set([0x00, 0x0d, 0xd0], 0);
    expect(await provider.mlKem768Encapsulate(largest)).toBeDefined();
    largest.set([0x01, 0x0d, 0xd0], 0);
    expect(await provider.mlKem768Encapsulate(largest)).toBeUndefined();
    largest.set([0x00, 0x1d, 0xd0], 0);
    expect(await provider.mlKem768Encapsulate(largest)).toBeUndefined();
  });

  test("mlKem768Decapsulate() gives the same unrelated secret for each foreign ciphertext", async () => {
    const { publicKey, secretKey } = await provider.mlKem768Generate(systemRandom(64));
    const made = await provider.mlKem768Encapsulate(publicKey);
    if (made === undefined) throw new Error("refused its own key");
    expect(await provider.mlKem768Decapsulate(secretKey, made.ciphertext)).toEqual(made.sharedSecret);
    const foreign = made.ciphertext.slice();
    foreign[5] = (foreign[5] ?? 0) ^ 1;
    const rejected = await provider.mlKem768Decapsulate(secretKey, foreign);
    expect(rejected).toHaveLength(32);
    expect(rejected).not.toEqual(made.sharedSecret);
    expect(await provider.mlKem768Decapsulate(secretKey, foreign)).toEqual(rejected);
  });

  test("mlKem768Encapsulate() makes another secret each time", async () => {
    const { publicKey } = await provider.mlKem768Generate(systemRandom(64));
    const first = await provider.mlKem768Encapsulate(publicKey);
    const second = await provider.mlKem768Encapsulate(publicKey);
    expect(first?.sharedSecret).not.toEqual(second?.sharedSecret);
    expect(first?.ciphertext).not.toEqual(second?.ciphertext);
  });

  test("ML-KEM-768 refuses seeds, keys and ciphertexts of other lengths", async () => {
    const { secretKey } = await provider.mlKem768Generate(systemRandom(64));
    expect(await rejectedCode(provider.mlKem768Generate(new Uint8Array(63)))).toBe("WRONG_LENGTH");
    expect(await rejectedCode(provider.mlKem768Encapsulate(new Uint8Array(1183)))).toBe("WRONG_LENGTH");
    expect(await rejectedCode(provider.mlKem768Decapsulate(secretKey, new Uint8Array(1087)))).toBe(
      "WRONG_LENGTH",
    );
  });

  test("X-Wing gives the answers of the draft", async () => {
    for (const vector of xwingVectors) {
      const { publicKey, secretKey } = await xwingGenerate(vector.seed, provider);
      expect(provider.sha256(publicKey).toHex()).toBe(vector.publicKey);
      // The coins are not a parameter here, so the draft's ciphertext comes from the library, checked by its hash.
      const { cipherText } = ml_kem768_x25519.encapsulate(publicKey, vector.eseed);
      expect(provider.sha256(cipherText).toHex()).toBe(vector.ciphertext);
      expect(await xwingDecapsulate(secretKey, cipherText, provider)).toEqual(vector.sharedSecret);
      expect(await xwingDecapsulate(vector.seed, cipherText, provider)).toEqual(vector.sharedSecret);
    }
  });

  test("xwingEncapsulate() to a key of the library is opened by the library", async () => {
    const seed = systemRandom(xwing.seed);
    const { publicKey, secretKey } = ml_kem768_x25519.keygen(seed);
    const made = await xwingEncapsulate(publicKey, systemRandom, provider);
    if (made === undefined) throw new Error("refused a good key");
    expect(made.sharedSecret).toEqual(ml_kem768_x25519.decapsulate(made.ciphertext, secretKey));
    expect(made.ciphertext).toHaveLength(xwing.ciphertext);
  });

  test("xwingEncapsulate() wipes the ephemeral secret, also when it refuses the key", async () => {
    const { publicKey } = await xwingGenerate(systemRandom(xwing.seed), provider);
    const lowOrder = publicKey.slice().fill(0, -32);
    const notReduced = publicKey.slice().fill(0xff, 0, 3);
    for (const key of [publicKey, lowOrder, notReduced]) {
      let ephemeral = new Uint8Array(0);
      await xwingEncapsulate(key, (length) => (ephemeral = systemRandom(length).slice()), provider);
      expect(ephemeral).toEqual(new Uint8Array(32));
    }
  });

  test("X-Wing refuses a low-order X25519 half on either side and an ML-KEM half that fails its check", async () => {
    const { publicKey, secretKey } = await xwingGenerate(systemRandom(xwing.seed), provider);
    const made = await xwingEncapsulate(publicKey, systemRandom, provider);
    if (made === undefined) throw new Error("refused a good key");
    for (const point of lowOrder) {
      const wrongKey = publicKey.slice();
      wrongKey.set(point, 1184);
      expect(await xwingEncapsulate(wrongKey, systemRandom, provider)).toBeUndefined();
      const wrongCiphertext = made.ciphertext.slice();
      wrongCiphertext.set(point, 1088);
      expect(await xwingDecapsulate(secretKey, wrongCiphertext, provider)).toBeUndefined();
    }
    const wrongKey = publicKey.slice();
    wrongKey.fill(0xff, 0, 3);
    expect(await xwingEncapsulate(wrongKey, systemRandom, provider)).toBeUndefined();
  });

  test("xwingDecapsulate() gives another secret when either half of the ciphertext is changed", async () => {
    const { publicKey, secretKey } = await xwingGenerate(systemRandom(xwing.seed), provider);
    const made = await xwingEncapsulate(publicKey, systemRandom, provider);
    if (made === undefined) throw new Error("refused a good key");
    expect(await xwingDecapsulate(secretKey, made.ciphertext, provider)).toEqual(made.sharedSecret);
    for (const position of [0, 1087, 1088, 1118]) {
      const changed = made.ciphertext.slice();
      changed[position] = (changed[position] ?? 0) ^ 1;
      expect(await xwingDecapsulate(secretKey, changed, provider)).not.toEqual(made.sharedSecret);
    }
  });

  test("X-Wing refuses seeds, keys and ciphertexts of other lengths", async () => {
    const { secretKey } = await xwingGenerate(systemRandom(32), provider);
    expect(await rejectedCode(xwingGenerate(new Uint8Array(31), provider))).toBe("WRONG_LENGTH");
    expect(await rejectedCode(xwingEncapsulate(new Uint8Array(1215), systemRandom, provider))).toBe(
      "WRONG_LENGTH",
    );
    expect(await rejectedCode(xwingDecapsulate(secretKey, new Uint8Array(1121), provider))).toBe(
      "WRONG_LENGTH",
    );
  });
});

describe("secret keys of ML-KEM-768", () => {
  test("mlKem768Decapsulate() refuses a key of the other provider", async () => {
    for (const [one, other] of [
      [noble, native],
      [native, noble],
    ] as const) {
      const { secretKey } = await one.mlKem768Generate(systemRandom(64));
      expect(await rejectedCode(other.mlKem768Decapsulate(secretKey, new Uint8Array(1088)))).toBe(
        "UNSUPPORTED_KEY",
      );
    }
  });

  test("the handle of a secret key shows nothing of it", async () => {
    for (const provider of providers) {
      const { secretKey } = await provider.mlKem768Generate(systemRandom(64));
      expect(Reflect.ownKeys(secretKey)).toEqual([]);
    }
  });
});
