import { describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { countingBytes, hex, providers, rejectedCode, thrownCode } from "./providers.ts";

const empty = new Uint8Array(0);
const abc = encodeUtf8("abc");
const twoBlocks = encodeUtf8("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");

describe.each(providers)("hashes of $name", (provider) => {
  test("sha256() gives the answers of FIPS 180-4", () => {
    expect(provider.sha256(empty)).toEqual(
      hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    );
    expect(provider.sha256(abc)).toEqual(
      hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    );
    expect(provider.sha256(twoBlocks)).toEqual(
      hex("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
    );
  });

  test("sha512() gives the answer of FIPS 180-4", () => {
    expect(provider.sha512(abc)).toEqual(
      hex(`ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
           2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f`),
    );
  });

  test("sha3_256() and shake256() give the answers of FIPS 202", () => {
    expect(provider.sha3_256(empty)).toEqual(
      hex("a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"),
    );
    expect(provider.sha3_256(abc)).toEqual(
      hex("3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
    );
    expect(provider.shake256(empty, 64)).toEqual(
      hex(`46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f
           d75dc4ddd8c0f200cb05019d67b592f6fc821c49479ab48640292eacb3b7c4be`),
    );
  });

  test("shake256() refuses an output of no bytes or more than 65 535", () => {
    expect(thrownCode(() => provider.shake256(abc, 0))).toBe("WRONG_LENGTH");
    expect(thrownCode(() => provider.shake256(abc, 65_536))).toBe("WRONG_LENGTH");
    expect(provider.shake256(abc, 65_535)).toHaveLength(65_535);
  });

  test("sha256Stream() hashes what came in pieces and ends with its digest", () => {
    const stream = provider.sha256Stream();
    for (const octet of twoBlocks) stream.update(Uint8Array.of(octet));
    expect(stream.digest()).toEqual(provider.sha256(twoBlocks));
    expect(() => stream.update(abc)).toThrow();
    expect(() => stream.digest()).toThrow();
  });

  test("hmac() gives the answers of RFC 4231 §4.2, §4.3 and §4.7 (a key longer than a block)", () => {
    expect(provider.hmac("sha256", new Uint8Array(20).fill(0x0b), encodeUtf8("Hi There"))).toEqual(
      hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    );
    expect(provider.hmac("sha512", encodeUtf8("Jefe"), encodeUtf8("what do ya want for nothing?"))).toEqual(
      hex(`164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
           9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737`),
    );
    expect(
      provider.hmac(
        "sha256",
        new Uint8Array(131).fill(0xaa),
        encodeUtf8("Test Using Larger Than Block-Size Key - Hash Key First"),
      ),
    ).toEqual(hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
  });

  test("hmac() takes an empty key", () => {
    expect(provider.hmac("sha256", empty, empty)).toEqual(
      hex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
    );
  });

  test("hkdfExtract() and hkdfExpand() give the answers of RFC 5869 §A.1 to §A.3", () => {
    const cases = [
      {
        ikm: new Uint8Array(22).fill(0x0b),
        salt: countingBytes(13),
        info: countingBytes(10, 0xf0),
        prk: "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
      },
      {
        ikm: countingBytes(80),
        salt: countingBytes(80, 0x60),
        info: countingBytes(80, 0xb0),
        prk: "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        okm: `b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09
              da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87`,
      },
      {
        ikm: new Uint8Array(22).fill(0x0b),
        salt: empty,
        info: empty,
        prk: "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        okm: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
      },
    ];
    for (const { ikm, salt, info, prk, okm } of cases) {
      expect(provider.hkdfExtract("sha256", salt, ikm)).toEqual(hex(prk));
      const expected = hex(okm);
      expect(provider.hkdfExpand("sha256", hex(prk), info, expected.length)).toEqual(expected);
    }
  });

  test("hkdfExpand() refuses more than 255 blocks and a key shorter than the hash", () => {
    for (const [hash, bytes] of [
      ["sha256", 32],
      ["sha512", 64],
    ] as const) {
      const prk = new Uint8Array(bytes);
      expect(provider.hkdfExpand(hash, prk, empty, 255 * bytes)).toHaveLength(255 * bytes);
      expect(provider.hkdfExpand(hash, prk, empty, 0)).toEqual(empty);
      expect(thrownCode(() => provider.hkdfExpand(hash, prk, empty, 255 * bytes + 1))).toBe("WRONG_LENGTH");
      expect(thrownCode(() => provider.hkdfExpand(hash, prk, empty, -1))).toBe("WRONG_LENGTH");
      expect(thrownCode(() => provider.hkdfExpand(hash, prk.subarray(1), empty, 32))).toBe("WRONG_LENGTH");
    }
  });

  test("pbkdf2() gives the answers of RFC 6070 §2 (SHA-1) and RFC 7914 §11 (SHA-256)", async () => {
    const password = encodeUtf8("passwordPASSWORDpassword");
    const salt = encodeUtf8("saltSALTsaltSALTsaltSALTsaltSALTsalt");
    expect(await provider.pbkdf2("sha1", encodeUtf8("password"), encodeUtf8("salt"), 2, 20)).toEqual(
      hex("ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
    );
    expect(await provider.pbkdf2("sha1", password, salt, 4096, 25)).toEqual(
      hex("3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"),
    );
    expect(await provider.pbkdf2("sha256", encodeUtf8("passwd"), encodeUtf8("salt"), 1, 64)).toEqual(
      hex(`55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc
           49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783`),
    );
  });

  test("pbkdf2() refuses no iterations, no output and fractions", async () => {
    for (const [iterations, length] of [
      [0, 32],
      [1, 0],
      [1.5, 32],
      [2 ** 31, 32],
    ] as const)
      expect(await rejectedCode(provider.pbkdf2("sha256", abc, abc, iterations, length))).toBe(
        "WRONG_LENGTH",
      );
  });

  test("answers are plain arrays, not buffers that share memory when sliced", () => {
    expect(provider.sha256(abc).constructor).toBe(Uint8Array);
    expect(provider.hmac("sha256", abc, abc).constructor).toBe(Uint8Array);
    expect(provider.sha256Stream().digest().constructor).toBe(Uint8Array);
  });
});
