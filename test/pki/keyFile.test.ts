import { describe, expect, test } from "bun:test";
import { crypto, keyTypes } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import {
  decodePrivateKey,
  decodePrivateKeyInfo,
  encodePrivateKey,
  keyMatchesCertificate,
} from "../../src/pki/keyFile.ts";
import { formatPem, parsePem } from "../../src/pki/pem.ts";
import { codeOfAsync } from "./codeOf.ts";
import { opensslFolder } from "./openssl.ts";
import { createTestAuthority } from "./testAuthority.ts";

const random = systemRandom;
const passphrase = "correct horse – battery";
const pkcs8 = await crypto().generatePrivateKey("p256");
const key = crypto().importPrivateKey(pkcs8);
const encrypted = await encodePrivateKey(pkcs8, { passphrase, random });

describe("encodePrivateKey()", () => {
  test.each([...keyTypes])(
    "writes %s keys that decodePrivateKey() and openssl read, in clear and encrypted",
    async (type) => {
      using openssl = opensslFolder();
      const own = await crypto().generatePrivateKey(type);
      const { spki } = crypto().importPrivateKey(own);
      for (const phrase of [undefined, passphrase]) {
        const pem = await encodePrivateKey(
          own,
          phrase === undefined ? { random } : { passphrase: phrase, random },
        );
        expect((await decodePrivateKey(pem, phrase)).spki).toEqual(spki);
        openssl.write("key.pem", pem);
        const { ok, output } = openssl.run(
          "pkey",
          "-in",
          "key.pem",
          "-passin",
          `pass:${phrase ?? ""}`,
          "-pubout",
        );
        expect(ok).toBe(true);
        expect(parsePem(output, "PUBLIC KEY")).toEqual([spki]);
      }
    },
  );

  test("encrypts with PBKDF2-HMAC-SHA-256, 600 000 iterations and AES-256-CBC, under fresh salt and IV", async () => {
    using openssl = opensslFolder();
    openssl.write("key.pem", encrypted);
    const { output } = openssl.run("asn1parse", "-in", "key.pem");
    for (const part of ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", ":0927C0"])
      expect(output).toContain(part);
    expect(await encodePrivateKey(pkcs8, { passphrase, random })).not.toBe(encrypted);
  });

  test("rejects an empty passphrase", async () => {
    expect(await codeOfAsync(() => encodePrivateKey(pkcs8, { passphrase: "", random }))).toBe(
      "PASSPHRASE_REQUIRED",
    );
  });
});

describe("decodePrivateKey()", () => {
  test.each([
    ["aes-256-cbc", "hmacWithSHA256"],
    ["aes-128-cbc", "hmacWithSHA256"],
    ["aes-256-cbc", "hmacWithSHA1"],
    ["aes-256-cbc", "hmacWithSHA512"],
  ])("reads what openssl pkcs8 encrypts with %s and %s", async (cipher, prf) => {
    using openssl = opensslFolder();
    openssl.write("key.pem", formatPem("PRIVATE KEY", pkcs8));
    const { ok } = openssl.run(
      "pkcs8",
      "-topk8",
      "-in",
      "key.pem",
      "-out",
      "out.pem",
      "-v2",
      cipher,
      "-v2prf",
      prf,
      "-passout",
      `pass:${passphrase}`,
    );
    expect(ok).toBe(true);
    const pem = await Bun.file(openssl.path("out.pem")).text();
    expect((await decodePrivateKey(pem, passphrase)).spki).toEqual(key.spki);
    expect(await decodePrivateKeyInfo(pem, passphrase)).toEqual(pkcs8);
  });

  test("rejects a missing and a wrong passphrase, and ignores one for a key in clear", async () => {
    expect(await codeOfAsync(() => decodePrivateKey(encrypted))).toBe("PASSPHRASE_REQUIRED");
    expect(await codeOfAsync(() => decodePrivateKey(encrypted, ""))).toBe("PASSPHRASE_REQUIRED");
    expect(await codeOfAsync(() => decodePrivateKey(encrypted, "wrong"))).toBe("WRONG_PASSPHRASE");
    expect((await decodePrivateKey(formatPem("PRIVATE KEY", pkcs8), "ignored")).spki).toEqual(key.spki);
  });

  test("rejects other encryption and other forms with a code of their own", async () => {
    using openssl = opensslFolder();
    openssl.write("key.pem", formatPem("PRIVATE KEY", pkcs8));
    const rewrite = async (...args: string[]) => {
      expect(openssl.run(...args, "-in", "key.pem", "-out", "out.pem").ok).toBe(true);
      return Bun.file(openssl.path("out.pem")).text();
    };
    const scrypt = await rewrite("pkcs8", "-topk8", "-scrypt", "-passout", "pass:x");
    const tripleDes = await rewrite("pkcs8", "-topk8", "-v2", "des3", "-passout", "pass:x");
    const sec1 = await rewrite("pkey", "-traditional");
    expect(await codeOfAsync(() => decodePrivateKey(scrypt, "x"))).toBe("ENCRYPTION_UNSUPPORTED");
    expect(await codeOfAsync(() => decodePrivateKey(tripleDes, "x"))).toBe("ENCRYPTION_UNSUPPORTED");
    expect(await codeOfAsync(() => decodePrivateKey(sec1))).toBe("KEY_UNSUPPORTED");
  });

  test("rejects no key, two keys and damaged keys", async () => {
    const clear = formatPem("PRIVATE KEY", pkcs8);
    expect(await codeOfAsync(() => decodePrivateKey(""))).toBe("KEY_MALFORMED");
    expect(await codeOfAsync(() => decodePrivateKey(clear + clear))).toBe("KEY_MALFORMED");
    expect(await codeOfAsync(() => decodePrivateKey(formatPem("PRIVATE KEY", pkcs8.subarray(0, 40))))).toBe(
      "KEY_MALFORMED",
    );
    const [der = new Uint8Array()] = parsePem(encrypted, "ENCRYPTED PRIVATE KEY");
    expect(
      await codeOfAsync(() =>
        decodePrivateKey(formatPem("ENCRYPTED PRIVATE KEY", der.subarray(0, -1)), passphrase),
      ),
    ).toBe("KEY_MALFORMED");
  });

  test("rejects an encrypted key with a changed byte", async () => {
    const [der = new Uint8Array()] = parsePem(encrypted, "ENCRYPTED PRIVATE KEY");
    // Every byte of the header; the ciphertext is not authenticated, a few bytes of it stand for all.
    const header = der.length - 160;
    for (const index of [
      ...Array.from({ length: header }, (_, i) => i).filter((i) => i % 7 === 0),
      der.length - 1,
      der.length - 33,
    ]) {
      const changed = new Uint8Array(der);
      changed[index] = (changed[index] ?? 0) ^ 0x01;
      const code = await codeOfAsync(() =>
        decodePrivateKey(formatPem("ENCRYPTED PRIVATE KEY", changed), passphrase),
      );
      expect(["WRONG_PASSPHRASE", "KEY_MALFORMED", "KEY_UNSUPPORTED", "ENCRYPTION_UNSUPPORTED"]).toContain(
        code,
      );
    }
  }, 30_000);
});

test("keyMatchesCertificate() compares the public halves", async () => {
  const authority = await createTestAuthority();
  const [alice, bob] = [await authority.issueUser("alice"), await authority.issueUser("bob")];
  expect(keyMatchesCertificate(alice.key, alice.certificate)).toBe(true);
  expect(keyMatchesCertificate(alice.key, bob.certificate)).toBe(false);
});
