import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { constants, createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { concatBytes, encodeUtf8 } from "../../src/base/bytes.ts";
import { bigintFromBytes, bytesFromBigint } from "../../src/crypto/bigEndian.ts";
import { noble } from "../../src/crypto/noble.ts";
import { decodePrivateKeyInfo } from "../../src/crypto/privateKeyInfo.ts";
import type { SignatureScheme } from "../../src/crypto/provider.ts";
import { encodePublicKeyInfo } from "../../src/crypto/subjectPublicKeyInfo.ts";
import { providers } from "./providers.ts";

// RSA keys take seconds on a busy machine.
setDefaultTimeout(60_000);

const message = encodeUtf8("to be signed");
const pkcs8 = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
  format: "der",
  type: "pkcs8",
});
const privateKey = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
const info = decodePrivateKeyInfo(pkcs8);
if (info.type !== "rsa2048") throw new Error("not the key that was made");
const { modulus, exponent, secret } = info;
const spki = encodePublicKeyInfo({ type: "rsa", modulus, exponent });

describe.each(providers)("RSA of $name", (provider) => {
  const key = provider.importPublicKey(spki);

  test("verifies PKCS#1 v1.5 and PSS with each hash, and with no other", () => {
    const hashes = ["sha256", "sha384", "sha512"] as const;
    for (const hash of hashes) {
      const pkcs1 = sign(hash, message, privateKey);
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      const pss = sign(hash, message, {
        key: privateKey,
        padding,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
      for (const other of hashes) {
        expect(key.verify(`rsa-pkcs1-${other}`, message, pkcs1)).toBe(other === hash);
        expect(key.verify(`rsa-pss-${other}`, message, pss)).toBe(other === hash);
        expect(key.verify(`rsa-pkcs1-${other}`, message, pss)).toBe(false);
        expect(key.verify(`rsa-pss-${other}`, message, pkcs1)).toBe(false);
      }
      expect(key.verify(`rsa-pkcs1-${hash}`, encodeUtf8("another"), pkcs1)).toBe(false);
      expect(key.verify(`rsa-pss-${hash}`, encodeUtf8("another"), pss)).toBe(false);
    }
  });

  test("refuses PSS with a salt that has not the length of the hash", () => {
    for (const saltLength of [0, 20, 31, 33, 222])
      expect(key.verify("rsa-pss-sha256", message, pssWithSalt(saltLength))).toBe(false);
    expect(key.verify("rsa-pss-sha256", message, pssWithSalt(32))).toBe(true);
  });

  test("refuses each fault in the encoding of PSS", () => {
    expect(key.verify("rsa-pss-sha256", message, raise(encodePss({})))).toBe(true);
    const faults: PssFault[] = [
      { trailer: 0xcc },
      { separator: 0x02 },
      { padding: 0x01 },
      { topBit: true },
      { maskHash: "sha512" },
      { prefix: 0x01 },
    ];
    for (const fault of faults)
      expect(key.verify("rsa-pss-sha256", message, raise(encodePss(fault)))).toBe(false);
  });

  test("refuses signatures that are longer, shorter or not below the modulus", () => {
    for (const scheme of ["rsa-pkcs1-sha256", "rsa-pss-sha256"] as const satisfies SignatureScheme[]) {
      const good = scheme === "rsa-pkcs1-sha256" ? sign("sha256", message, privateKey) : pssWithSalt(32);
      expect(key.verify(scheme, message, good)).toBe(true);
      const plusModulus = bigintFromBytes(good) + modulus;
      const wrong = [
        new Uint8Array(0),
        good.subarray(1),
        concatBytes(Uint8Array.of(0), good),
        concatBytes(good, Uint8Array.of(0)),
        bytesFromBigint(plusModulus, plusModulus < 1n << 2048n ? 256 : 257),
        bytesFromBigint(modulus, 256),
        new Uint8Array(256),
        bytesFromBigint(1n, 256),
        bytesFromBigint(modulus - 1n, 256),
      ];
      for (const signature of wrong) expect(key.verify(scheme, message, signature)).toBe(false);
    }
  });

  test("signs with PKCS#1 v1.5 and SHA-256, which has one signature for a message", () => {
    const own = provider.importPrivateKey(pkcs8);
    expect(own.type).toBe("rsa2048");
    expect(own.scheme).toBe("rsa-pkcs1-sha256");
    expect(own.spki).toEqual(spki);
    expect(own.sign(message)).toEqual(new Uint8Array(sign("sha256", message, privateKey)));
  });
});

function pssWithSalt(saltLength: number): Uint8Array {
  return sign("sha256", message, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

interface PssFault {
  readonly trailer?: number;
  readonly separator?: number;
  readonly padding?: number;
  readonly topBit?: boolean;
  readonly maskHash?: "sha512";
  readonly prefix?: number;
}

/** EMSA-PSS-ENCODE (RFC 8017 §9.1.1) for 2048 bits and SHA-256, with a fault if one is asked for. */
function encodePss(fault: PssFault): Uint8Array {
  const salt = new Uint8Array(32).fill(5);
  const prefix = new Uint8Array(8);
  prefix[7] = fault.prefix ?? 0;
  const digest = noble.sha256(concatBytes(prefix, noble.sha256(message), salt));
  const block = new Uint8Array(256 - 32 - 1);
  block.set(salt, block.length - 32);
  block[block.length - 33] = fault.separator ?? 0x01;
  block[block.length - 34] = fault.padding ?? 0x00;
  const hash = fault.maskHash === "sha512" ? noble.sha512 : noble.sha256;
  for (let counter = 0, offset = 0; offset < block.length; counter++) {
    const mask = hash(concatBytes(digest, Uint8Array.of(0, 0, 0, counter)));
    for (const octet of mask) if (offset < block.length) block[offset] = (block[offset++] ?? 0) ^ octet;
  }
  block[0] = ((block[0] ?? 0) & 0x7f) | (fault.topBit === true ? 0x80 : 0);
  return concatBytes(block, digest, Uint8Array.of(fault.trailer ?? 0xbc));
}

/** RSASP1 (RFC 8017 §5.2.1). A number of the modulus or more is reduced, so that verification meets it again or not. */
function raise(encoded: Uint8Array): Uint8Array {
  let [base, power, result] = [bigintFromBytes(encoded) % modulus, bigintFromBytes(secret), 1n];
  for (; power > 0n; power >>= 1n) {
    if (power & 1n) result = (result * base) % modulus;
    base = (base * base) % modulus;
  }
  return bytesFromBigint(result, 256);
}
