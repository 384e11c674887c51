import { describe, expect, test } from "bun:test";
import { createDecipheriv, createHmac } from "node:crypto";
import { shake256 } from "@noble/hashes/sha3.js";
import { ml_kem768_x25519 as xwing } from "@noble/post-quantum/hybrid.js";
import { encodeHex } from "../../src/base/hex.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import {
  deriveHpkeKeyPair,
  hpkeKeyPair,
  hpkeOpen,
  hpkeReceiveExport,
  hpkeSeal,
  hpkeSendExport,
  isHpkePublicKey,
} from "../../src/group/hpke.ts";
import { codeOf } from "./testGroup.ts";

// RFC 9180 once more, from its text, over @noble/post-quantum's X-Wing and node:crypto: an independent reader.
const hmac = (key: Uint8Array, ...data: Uint8Array[]) => {
  const mac = createHmac("sha512", key);
  for (const part of data) mac.update(part);
  return new Uint8Array(mac.digest());
};
const ascii = (text: string) => new TextEncoder().encode(text);
const suite = new Uint8Array([...ascii("HPKE"), 0x64, 0x7a, 0, 3, 0, 2]);
const extract = (salt: Uint8Array, label: string, ikm: Uint8Array) =>
  hmac(salt, ascii("HPKE-v1"), suite, ascii(label), ikm);
const expand = (prk: Uint8Array, label: string, info: Uint8Array, length: number) => {
  const lengthBytes = Uint8Array.of(length >> 8, length & 255);
  const input = [lengthBytes, ascii("HPKE-v1"), suite, ascii(label), info];
  return hmac(prk, ...input, Uint8Array.of(1)).slice(0, length);
};
const empty = new Uint8Array(0);
function schedule(shared: Uint8Array, info: Uint8Array) {
  const context = new Uint8Array([
    0,
    ...extract(empty, "psk_id_hash", empty),
    ...extract(empty, "info_hash", info),
  ]);
  const secret = extract(shared, "secret", empty);
  return {
    key: expand(secret, "key", context, 32),
    nonce: expand(secret, "base_nonce", context, 12),
    exporter: expand(secret, "exp", context, 64),
  };
}

const info = ascii("MLS 1.0 Welcome");
const aad = ascii("aad");
const random = systemRandom;

describe("HPKE", () => {
  test("hpkeSeal() gives what RFC 9180 gives over X-Wing", async () => {
    const seed = random(32);
    const { publicKey } = await hpkeKeyPair(seed);
    expect(encodeHex(publicKey)).toBe(encodeHex(xwing.keygen(seed).publicKey));
    const plaintext = ascii("path secret");
    const { encapsulated, ciphertext } = await hpkeSeal(publicKey, { info, aad, plaintext, random });
    const { key, nonce } = schedule(xwing.decapsulate(encapsulated, xwing.keygen(seed).secretKey), info);
    const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAAD(aad);
    decipher.setAuthTag(ciphertext.subarray(-16));
    const opened = Buffer.concat([decipher.update(ciphertext.subarray(0, -16)), decipher.final()]);
    expect(opened.toString()).toBe("path secret");
  });

  test("hpkeSendExport() and hpkeReceiveExport() give the secret of RFC 9180", async () => {
    const seed = random(32);
    const { publicKey } = await hpkeKeyPair(seed);
    const context = ascii("MLS 1.0 external init secret");
    const sent = await hpkeSendExport(publicKey, { info: empty, context, length: 64, random });
    const { exporter } = schedule(xwing.decapsulate(sent.encapsulated, xwing.keygen(seed).secretKey), empty);
    expect(encodeHex(sent.secret)).toBe(encodeHex(expand(exporter, "sec", context, 64)));
    const { encapsulated } = sent;
    const received = await hpkeReceiveExport(seed, { encapsulated, info: empty, context, length: 64 });
    expect(encodeHex(received)).toBe(encodeHex(sent.secret));
  });

  test("hpkeOpen() opens what another implementation sealed", async () => {
    const seed = random(32);
    const { publicKey } = await hpkeKeyPair(seed);
    const { cipherText, sharedSecret } = xwing.encapsulate(publicKey);
    const { key, nonce } = schedule(sharedSecret, info);
    const { createCipheriv } = await import("node:crypto");
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad);
    const ciphertext = new Uint8Array(
      Buffer.concat([cipher.update("hello"), cipher.final(), cipher.getAuthTag()]),
    );
    const opened = await hpkeOpen(seed, { encapsulated: cipherText, info, aad, ciphertext });
    expect(new TextDecoder().decode(opened)).toBe("hello");
  });

  test("deriveHpkeKeyPair() takes its seed from SHAKE256 of the input, as the X-Wing draft says", async () => {
    const input = random(64);
    const { privateKey, publicKey } = await deriveHpkeKeyPair(input);
    expect(encodeHex(privateKey)).toBe(encodeHex(shake256(input, { dkLen: 32 })));
    expect(encodeHex(publicKey)).toBe(encodeHex(xwing.keygen(privateKey).publicKey));
  });

  test("hpkeOpen() rejects another info, AAD, key, encapsulation or ciphertext", async () => {
    const { privateKey, publicKey } = await hpkeKeyPair(random(32));
    const sealed = await hpkeSeal(publicKey, { info, aad, plaintext: ascii("x"), random });
    const flip = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
    const open = (change: object, key = privateKey) =>
      codeOf(() => hpkeOpen(key, { ...sealed, info, aad, ...change }));
    expect(await open({})).toBe("accepted");
    expect(await open({ info: ascii("other") })).toBe("INVALID");
    expect(await open({ aad: empty })).toBe("INVALID");
    expect(await open({}, random(32))).toBe("INVALID");
    expect(await open({ encapsulated: flip(sealed.encapsulated, 0) })).toBe("INVALID");
    expect(await open({ encapsulated: flip(sealed.encapsulated, 1119) })).toBe("INVALID");
    expect(await open({ encapsulated: sealed.encapsulated.slice(1) })).toBe("INVALID");
    expect(await open({ ciphertext: flip(sealed.ciphertext, 0) })).toBe("INVALID");
    expect(await open({ ciphertext: empty })).toBe("INVALID");
  });

  test("isHpkePublicKey() rejects a coefficient over the modulus, a low-order point and another length", async () => {
    const { publicKey } = await hpkeKeyPair(random(32));
    const withBytes = (at: number, ...bytes: number[]) => {
      const out = publicKey.slice();
      out.set(bytes, at);
      return out;
    };
    expect(isHpkePublicKey(publicKey)).toBe(true);
    expect(isHpkePublicKey(withBytes(0, 0xff, 0xff, 0xff))).toBe(false);
    expect(isHpkePublicKey(withBytes(1184, ...new Uint8Array(32)))).toBe(false);
    expect(isHpkePublicKey(withBytes(1184, 1, ...new Uint8Array(31)))).toBe(false);
    expect(isHpkePublicKey(publicKey.slice(1))).toBe(false);
    const plaintext = ascii("x");
    expect(
      await codeOf(() => hpkeSeal(withBytes(0, 0xff, 0xff, 0xff), { info, aad, plaintext, random })),
    ).toBe("INVALID");
    expect(await codeOf(() => hpkeSeal(publicKey.slice(1), { info, aad, plaintext, random }))).toBe(
      "INVALID",
    );
  });
});
