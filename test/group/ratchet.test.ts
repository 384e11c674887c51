import { describe, expect, test } from "bun:test";
import { createCipheriv, createHmac } from "node:crypto";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { deriveChain, messageKey, nextChain, openMessage, sealMessage } from "../../src/group/ratchet.ts";
import { codeOf } from "./testGroup.ts";

/** RFC 5869 §2.3 for one block, from the text of the specification: T(1) = HMAC(PRK, info || 0x01). */
function expand32(prk: Uint8Array, info: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", prk).update(info).update(Uint8Array.of(1)).digest());
}

const ascii = (text: string) => new TextEncoder().encode(text);
const seed = new Uint8Array(32).map((_, i) => i);
const fingerprint = encodeHex(new Uint8Array(32).map((_, i) => 0xff - i));

describe("the sender ratchet", () => {
  test("gives the chains and keys of the specification", () => {
    let expected = expand32(seed, new Uint8Array([...ascii("chain"), ...Uint8Array.fromHex(fingerprint)]));
    let chain = deriveChain(seed, fingerprint);
    for (let n = 0; n < 5; n++) {
      expect(encodeHex(chain)).toBe(encodeHex(expected));
      expect(encodeHex(messageKey(chain))).toBe(encodeHex(expand32(expected, ascii("message"))));
      expected = expand32(expected, ascii("chain"));
      chain = nextChain(chain);
    }
  });

  test("gives every sender and every message a key of its own", () => {
    const keys = new Set<string>();
    for (let sender = 0; sender < 20; sender++) {
      let chain = deriveChain(seed, encodeHex(new Uint8Array(32).fill(sender)));
      for (let n = 0; n < 20; n++) {
        keys.add(encodeHex(messageKey(chain)));
        chain = nextChain(chain);
        keys.add(encodeHex(chain));
      }
    }
    expect(keys.size).toBe(20 * 20 * 2);
  });

  test("deriveChain() rejects a fingerprint of another length", async () => {
    expect(await codeOf(() => deriveChain(seed, "00ff" as Hex))).toBe("MALFORMED");
  });
});

const key = systemRandom(32);
const associatedData = encodeUtf8("securechat/2 entry\n…\n");

function seal(plaintext: Uint8Array, options: { nonce12?: Uint8Array; opening32?: Uint8Array } = {}) {
  const { nonce12 = systemRandom(12), opening32 = systemRandom(32) } = options;
  return sealMessage({ key, nonce12, associatedData, opening32, plaintext });
}

/** Seals any padded text, as only a member who does not keep to the specification would. */
function sealRaw(padded: Uint8Array): Uint8Array {
  const nonce = systemRandom(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(associatedData);
  const body = [cipher.update(padded), cipher.final()];
  return new Uint8Array(Buffer.concat([nonce, ...body, cipher.getAuthTag()]));
}

describe("sealMessage()", () => {
  test("gives nonce || AES-256-GCM(opening || length || plaintext || zeros)", () => {
    const nonce12 = new Uint8Array(12).fill(7);
    const opening32 = new Uint8Array(32).fill(9);
    const plaintext = encodeUtf8("hello, Bob");
    const padded = new Uint8Array(64);
    padded.set(opening32);
    padded.set([0, 0, 0, plaintext.length], 32);
    padded.set(plaintext, 36);
    const cipher = createCipheriv("aes-256-gcm", key, nonce12).setAAD(associatedData);
    const expected = Buffer.concat([nonce12, cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
    expect(encodeHex(seal(plaintext, { nonce12, opening32 }))).toBe(encodeHex(expected));
  });

  test("gives unequal ciphertexts of the same length for equal plaintexts", () => {
    const plaintext = encodeUtf8("yes");
    const made = new Set(Array.from({ length: 50 }, () => encodeHex(seal(plaintext))));
    expect(made.size).toBe(50);
    expect(new Set([...made].map((hex) => hex.length)).size).toBe(1);
  });

  test("hides the length up to 64 bytes", () => {
    const lengthOf = (bytes: number) => seal(new Uint8Array(bytes)).length - 28;
    expect([0, 1, 28, 29, 92, 93, 65_536].map(lengthOf)).toEqual([64, 64, 64, 128, 128, 192, 65_600]);
  });

  test("rejects a plaintext over the limit, and a nonce or opening of another length", async () => {
    expect(await codeOf(() => seal(new Uint8Array(65_536)))).toBe("accepted");
    expect(await codeOf(() => seal(new Uint8Array(65_537)))).toBe("TOO_LARGE");
    expect(await codeOf(() => seal(new Uint8Array(1), { nonce12: new Uint8Array(11) }))).toBe("MALFORMED");
    expect(await codeOf(() => seal(new Uint8Array(1), { opening32: new Uint8Array(31) }))).toBe("MALFORMED");
  });
});

describe("openMessage()", () => {
  test("gives back opening and plaintext of any length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (plaintext) => {
        const opening32 = systemRandom(32);
        const opened = openMessage({ key, associatedData, ct: seal(plaintext, { opening32 }) });
        expect(opened && encodeHex(opened.plaintext)).toBe(encodeHex(plaintext));
        expect(opened && encodeHex(opened.opening)).toBe(encodeHex(opening32));
      }),
      { numRuns: 50 },
    );
  });

  test("gives undefined for every single flipped bit", () => {
    const ct = seal(encodeUtf8("a message of some bytes"));
    for (let bit = 0; bit < 8 * ct.length; bit++) {
      const changed = ct.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(openMessage({ key, associatedData, ct: changed })).toBeUndefined();
    }
  });

  test("gives undefined for another key, other associated data, or a cut or longer ciphertext", () => {
    const ct = seal(encodeUtf8("hello"));
    expect(openMessage({ key: systemRandom(32), associatedData, ct })).toBeUndefined();
    expect(openMessage({ key, associatedData: encodeUtf8("other"), ct })).toBeUndefined();
    for (let length = 0; length < ct.length; length++)
      expect(openMessage({ key, associatedData, ct: ct.subarray(0, length) })).toBeUndefined();
    expect(openMessage({ key, associatedData, ct: new Uint8Array([...ct, 0]) })).toBeUndefined();
  });

  test("gives undefined for padding that is not exactly as specified", () => {
    const padded = (bytes: number, length: number, fill: number, at: number) => {
      const out = new Uint8Array(bytes);
      new DataView(out.buffer).setUint32(32, length);
      out[at] = fill;
      return sealRaw(out);
    };
    const open = (ct: Uint8Array) => openMessage({ key, associatedData, ct });
    expect(open(padded(64, 10, 1, 40))?.plaintext).toEqual(new Uint8Array([0, 0, 0, 0, 1, 0, 0, 0, 0, 0]));
    expect(open(padded(64, 10, 1, 46))).toBeUndefined(); // a byte behind the plaintext
    expect(open(padded(64, 10, 1, 63))).toBeUndefined(); // the last byte
    expect(open(padded(128, 10, 0, 0))).toBeUndefined(); // a block too many
    expect(open(padded(64, 29, 0, 0))).toBeUndefined(); // longer than what is there
    expect(open(padded(64, 0xffff_ffff, 0, 0))).toBeUndefined();
    expect(open(sealRaw(new Uint8Array(63)))).toBeUndefined();
    expect(open(sealRaw(new Uint8Array(0)))).toBeUndefined();
    expect(open(sealRaw(new Uint8Array(65_664)))).toBeUndefined(); // over the longest
  });

  test("can't open what was sealed before the chain moved on", () => {
    const chain = deriveChain(seed, fingerprint);
    const sealed = sealMessage({
      key: messageKey(chain),
      nonce12: systemRandom(12),
      associatedData,
      opening32: systemRandom(32),
      plaintext: encodeUtf8("before"),
    });
    let later = nextChain(chain);
    chain.fill(0); // what the caller does with it
    for (let n = 0; n < 10; n++) {
      expect(openMessage({ key: messageKey(later), associatedData, ct: sealed })).toBeUndefined();
      later = nextChain(later);
    }
    expect(openMessage({ key: messageKey(chain), associatedData, ct: sealed })).toBeUndefined();
  });
});
