import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { generatePrimeSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { type KeyType, keyTypes, type SignatureScheme } from "../../src/crypto/provider.ts";
import { integer, octets, rsaAlgorithm, sequence } from "./derPieces.ts";
import { providers } from "./providers.ts";
import { rsaDer, rsaNumbersOf } from "./rsaNumbers.ts";

// RSA keys take seconds on a busy machine.
setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "securechat-crypto-"));
afterAll(() => rmSync(folder, { recursive: true }));

const message = encodeUtf8("to be signed by one and verified by the other");
const messageFile = write("message", message);

/** How `openssl genpkey` makes a key of each type. */
const genpkey: Record<KeyType, string[]> = {
  p256: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
  rsa2048: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
  rsa3072: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
  ed25519: ["-algorithm", "ED25519"],
};

describe.each(providers)("OpenSSL and $name", (provider) => {
  for (const type of keyTypes) {
    test(`openssl reads a generated ${type} key and verifies its signature`, async () => {
      const pkcs8 = await provider.generatePrivateKey(type);
      const keyFile = write(`${provider.name}-${type}.der`, pkcs8);
      openssl("pkey", "-inform", "DER", "-in", keyFile, "-check", "-noout");
      // What openssl derives as public half is the bytes that we name.
      const publicFile = join(folder, `${provider.name}-${type}.spki`);
      openssl("pkey", "-inform", "DER", "-in", keyFile, "-pubout", "-outform", "DER", "-out", publicFile);
      const key = provider.importPrivateKey(pkcs8);
      expect(key.spki).toEqual(new Uint8Array(readFileSync(publicFile)));

      const signatureFile = write(`${provider.name}-${type}.sig`, key.sign(message));
      const answer =
        type === "ed25519"
          ? openssl(
              "pkeyutl",
              "-verify",
              "-rawin",
              "-pubin",
              "-keyform",
              "DER",
              "-inkey",
              publicFile,
              "-sigfile",
              signatureFile,
              "-in",
              messageFile,
            )
          : openssl(
              "dgst",
              "-sha256",
              "-keyform",
              "DER",
              "-verify",
              publicFile,
              "-signature",
              signatureFile,
              messageFile,
            );
      expect(answer).toMatch(/Verified OK|Signature Verified Successfully/);
    });

    test(`a ${type} key and its signature made by openssl are taken`, () => {
      const pem = join(folder, `${provider.name}-${type}.pem`);
      const der = join(folder, `${provider.name}-${type}-openssl.der`);
      openssl("genpkey", "-quiet", ...genpkey[type], "-out", pem);
      openssl("pkcs8", "-topk8", "-nocrypt", "-in", pem, "-outform", "DER", "-out", der);
      const key = provider.importPrivateKey(new Uint8Array(readFileSync(der)));
      expect(key.type).toBe(type);

      const signatureFile = join(folder, `${provider.name}-${type}-openssl.sig`);
      if (type === "ed25519")
        openssl("pkeyutl", "-sign", "-rawin", "-inkey", pem, "-in", messageFile, "-out", signatureFile);
      else openssl("dgst", "-sha256", "-sign", pem, "-out", signatureFile, messageFile);
      const signature = new Uint8Array(readFileSync(signatureFile));
      expect(provider.importPublicKey(key.spki).verify(key.scheme, message, signature)).toBe(true);
      expect(provider.importPublicKey(key.spki).verify(key.scheme, signature, signature)).toBe(false);
    });
  }

  for (const [curve, hash, scheme] of [
    ["P-384", "sha384", "ecdsa-p384-sha384"],
    ["P-521", "sha512", "ecdsa-p521-sha512"],
  ] as const)
    test(`an ${scheme} signature made by openssl is taken`, () => {
      const { spki, sign } = opensslKey(`${provider.name}-${curve}`, [
        "-algorithm",
        "EC",
        "-pkeyopt",
        `ec_paramgen_curve:${curve}`,
      ]);
      expect(provider.importPublicKey(spki).verify(scheme, message, sign(hash))).toBe(true);
    });

  // 2049 bits: the encoded message of PSS is one octet shorter than the modulus.
  for (const bits of [2048, 2049, 2055])
    test(`PKCS#1 v1.5 and PSS signatures of openssl by a key of ${bits} bits are taken`, () => {
      const { spki, sign } = opensslKey(`${provider.name}-rsa${bits}`, rsaPkcs8(bits));
      const key = provider.importPublicKey(spki);
      expect(key.bits).toBe(bits);
      for (const hash of ["sha256", "sha384", "sha512"] as const) {
        const pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
        const schemes = [`rsa-pkcs1-${hash}`, `rsa-pss-${hash}`] as const satisfies SignatureScheme[];
        expect(key.verify(schemes[0], message, sign(hash))).toBe(true);
        expect(key.verify(schemes[1], message, sign(hash, ...pss))).toBe(true);
        expect(key.verify(schemes[1], messageFileName, sign(hash, ...pss))).toBe(false);
      }
      const otherMask = sign(
        "sha256",
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:32",
        "-sigopt",
        "rsa_mgf1_md:sha512",
      );
      expect(key.verify("rsa-pss-sha256", message, otherMask)).toBe(false);
    });
});

const messageFileName = encodeUtf8("message");

/** A key for openssl to sign the message with: its own of the given options, or the one of a PKCS#8 file. */
function opensslKey(name: string, source: string[] | Uint8Array) {
  const pem = join(folder, `${name}.pem`);
  const publicFile = join(folder, `${name}.spki`);
  const signatureFile = join(folder, `${name}.sig`);
  if (source instanceof Uint8Array)
    openssl("pkey", "-inform", "DER", "-in", write(`${name}.der`, source), "-out", pem);
  else openssl("genpkey", "-quiet", ...source, "-out", pem);
  openssl("pkey", "-in", pem, "-pubout", "-outform", "DER", "-out", publicFile);
  return {
    spki: new Uint8Array(readFileSync(publicFile)),
    sign(hash: string, ...more: string[]): Uint8Array {
      openssl("dgst", `-${hash}`, "-sign", pem, ...more, "-out", signatureFile, messageFile);
      return new Uint8Array(readFileSync(signatureFile));
    },
  };
}

/** OpenSSL and the runtime make keys of even sizes only, so the odd ones are put together here. */
function rsaPkcs8(bits: number): Uint8Array {
  const larger = Math.ceil(bits / 2);
  for (;;) {
    const p = generatePrimeSync(larger, { bigint: true });
    const numbers = rsaNumbersOf(p, generatePrimeSync(bits - larger, { bigint: true }));
    if (numbers.n.toString(2).length === bits)
      return sequence(integer(0n), rsaAlgorithm, octets(rsaDer(numbers)));
  }
}

function write(name: string, bytes: Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, bytes, { mode: 0o600 });
  return file;
}

/** @returns what it says; an exit code other than 0 fails the test */
function openssl(...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["openssl", ...args], { stdin: "ignore" });
  const text = `${stdout}${stderr}`;
  if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${text}`);
  return text;
}
