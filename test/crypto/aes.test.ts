import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../src/base/bytes.ts";
import { countingBytes, hex, providers, thrownCode } from "./providers.ts";

const empty = new Uint8Array(0);

/** AES-256 cases 13 to 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega), appendix B. */
const zeroKey = new Uint8Array(32);
const zeroNonce = new Uint8Array(12);
const key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
const nonce = hex("cafebabefacedbaddecaf888");
const plaintext = hex(`d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                       1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255`);
const ciphertext = hex(`522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                        8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad`);
const aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");

describe.each(providers)("AES of $name", (provider) => {
  test("aesGcmSeal() gives the answers of the GCM specification", () => {
    expect(provider.aesGcmSeal(zeroKey, zeroNonce, empty, empty)).toEqual(
      hex("530f8afbc74536b9a963b4f1c4cb738b"),
    );
    expect(provider.aesGcmSeal(zeroKey, zeroNonce, new Uint8Array(16), empty)).toEqual(
      hex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    );
    expect(provider.aesGcmSeal(key, nonce, plaintext, empty)).toEqual(
      concatBytes(ciphertext, hex("b094dac5d93471bdec1a502270e3cc6c")),
    );
    expect(provider.aesGcmSeal(key, nonce, plaintext.subarray(0, 60), aad)).toEqual(
      concatBytes(ciphertext.subarray(0, 60), hex("76fc6ece0f4e1768cddf8853bb2d551b")),
    );
  });

  test("aesGcmOpen() opens what was sealed and refuses every changed bit, nonce, key and AAD", () => {
    const sealed = provider.aesGcmSeal(key, nonce, plaintext, aad);
    expect(provider.aesGcmOpen(key, nonce, sealed, aad)).toEqual(plaintext);
    for (let bit = 0; bit < 8 * sealed.length; bit++)
      expect(provider.aesGcmOpen(key, nonce, flip(sealed, bit), aad)).toBeUndefined();
    for (let length = 0; length < sealed.length; length++)
      expect(provider.aesGcmOpen(key, nonce, sealed.subarray(0, length), aad)).toBeUndefined();
    expect(provider.aesGcmOpen(flip(key, 77), nonce, sealed, aad)).toBeUndefined();
    expect(provider.aesGcmOpen(key, flip(nonce, 3), sealed, aad)).toBeUndefined();
    expect(provider.aesGcmOpen(key, nonce, sealed, flip(aad, 9))).toBeUndefined();
    expect(provider.aesGcmOpen(key, nonce, sealed, empty)).toBeUndefined();
  });

  test("AES-GCM refuses keys that are not of 32 bytes and nonces that are not of 12", () => {
    for (const length of [0, 16, 24, 31, 33]) {
      const wrong = new Uint8Array(length);
      expect(thrownCode(() => provider.aesGcmSeal(wrong, nonce, plaintext, aad))).toBe("WRONG_LENGTH");
      expect(thrownCode(() => provider.aesGcmOpen(wrong, nonce, plaintext, aad))).toBe("WRONG_LENGTH");
    }
    for (const length of [0, 8, 11, 13, 16]) {
      const wrong = new Uint8Array(length);
      expect(thrownCode(() => provider.aesGcmSeal(key, wrong, plaintext, aad))).toBe("WRONG_LENGTH");
      expect(thrownCode(() => provider.aesGcmOpen(key, wrong, plaintext, aad))).toBe("WRONG_LENGTH");
    }
  });

  test("aesCbcEncrypt() gives the answers of SP 800-38A §F.2.1 and §F.2.5, and a padding block", () => {
    const iv = countingBytes(16);
    const message = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    const aes128 = hex("2b7e151628aed2a6abf7158809cf4f3c");
    const aes256 = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    const encrypted128 = provider.aesCbcEncrypt(aes128, iv, message);
    const encrypted256 = provider.aesCbcEncrypt(aes256, iv, message);
    expect(encrypted128).toHaveLength(48);
    expect(encrypted128.subarray(0, 32)).toEqual(
      hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
    );
    expect(encrypted256.subarray(0, 32)).toEqual(
      hex("f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"),
    );
    expect(provider.aesCbcDecrypt(aes128, iv, encrypted128)).toEqual(message);
    expect(provider.aesCbcDecrypt(aes256, iv, encrypted256)).toEqual(message);
  });

  test("aesCbcDecrypt() refuses wrong padding, no blocks and parts of blocks", () => {
    const iv = countingBytes(16);
    const encrypted = provider.aesCbcEncrypt(key, iv, countingBytes(20));
    // In CBC a bit flipped in one block flips the same bit of the next: the last octet of the padding is 12 here.
    expect(provider.aesCbcDecrypt(key, iv, flip(encrypted, 8 * 15))).toBeUndefined();
    expect(provider.aesCbcDecrypt(key, iv, flip(encrypted, 8 * 8))).toBeUndefined();
    expect(provider.aesCbcDecrypt(key, iv, empty)).toBeUndefined();
    expect(provider.aesCbcDecrypt(key, iv, encrypted.subarray(0, 31))).toBeUndefined();
  });

  test("AES-CBC refuses keys that are not of 16 or 32 bytes and IVs that are not of 16", () => {
    const iv = new Uint8Array(16);
    for (const length of [0, 15, 24, 33]) {
      expect(thrownCode(() => provider.aesCbcEncrypt(new Uint8Array(length), iv, empty))).toBe(
        "WRONG_LENGTH",
      );
      expect(thrownCode(() => provider.aesCbcDecrypt(new Uint8Array(length), iv, iv))).toBe("WRONG_LENGTH");
    }
    expect(thrownCode(() => provider.aesCbcEncrypt(key, iv.subarray(1), empty))).toBe("WRONG_LENGTH");
    expect(thrownCode(() => provider.aesCbcDecrypt(key, iv.subarray(1), iv))).toBe("WRONG_LENGTH");
  });
});

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = bytes.slice();
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return changed;
}
