import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { concatBytes } from "../../src/base/bytes.ts";
import { crypto, keyTypes, sha256 } from "../../src/crypto/crypto.ts";
import {
  createCertificateRequest,
  maxRequestBytes,
  parseRequestFile,
  verifyCertificateRequest,
} from "../../src/pki/csr.ts";
import {
  encodeBitString,
  encodeContext,
  encodeInteger,
  encodeOid,
  encodeSequence,
  encodeSetOf,
  encodeTlv,
  encodeUtf8String,
} from "../../src/pki/derWriter.ts";
import { oids } from "../../src/pki/oids.ts";
import { formatPem, parsePem } from "../../src/pki/pem.ts";
import { encodeCommonName, subjectAltNameFor } from "../../src/pki/profile.ts";
import { encodeSignatureAlgorithm } from "../../src/pki/signatureAlgorithm.ts";
import { codeOf } from "./codeOf.ts";
import { opensslFolder } from "./openssl.ts";

const alice = { kind: "user", username: "alice", email: "alice@example.org" } as const;
const key = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
const good = createCertificateRequest(key, alice);
const encode = (text: string) => new TextEncoder().encode(text);

/** Signs whatever stands in the parts of a CertificationRequestInfo. */
function signed(...parts: readonly Uint8Array[]): Uint8Array {
  const info = encodeSequence(...parts);
  return encodeSequence(info, encodeSignatureAlgorithm(key.scheme), encodeBitString(key.sign(info)));
}

const version = encodeInteger(0);
const subject = encodeCommonName("alice");
const san = subjectAltNameFor(alice) ?? new Uint8Array();
const attribute = (oid: string, ...values: readonly Uint8Array[]) =>
  encodeSequence(encodeOid(oid), encodeSetOf(...values));
const extensionRequest = attribute(oids.extensionRequest, encodeSequence(san));
const challengePassword = attribute("1.2.840.113549.1.9.7", encodeUtf8String("secret"));
const withAttributes = (...attributes: readonly Uint8Array[]) =>
  signed(version, subject, key.spki, encodeContext(0, ...attributes));

describe("createCertificateRequest()", () => {
  test.each([...keyTypes])("makes a request for a %s key that openssl verifies and reads", async (type) => {
    using openssl = opensslFolder();
    const own = crypto().importPrivateKey(await crypto().generatePrivateKey(type));
    const der = createCertificateRequest(own, {
      kind: "server",
      commonName: "chat.example.org",
      dnsNames: ["chat.example.org"],
      ipAddresses: ["192.0.2.1"],
    });
    openssl.write("csr.pem", formatPem("CERTIFICATE REQUEST", der));
    const { output } = openssl.run("req", "-in", "csr.pem", "-noout", "-verify", "-text");
    expect(output).toContain("verify OK");
    expect(output).toContain("Subject: CN = chat.example.org");
    expect(output).toContain("DNS:chat.example.org, IP Address:192.0.2.1");
    const publicKey = openssl.run("req", "-in", "csr.pem", "-noout", "-pubkey").output;
    expect(parsePem(publicKey, "PUBLIC KEY")).toEqual([own.spki]);
    expect(verifyCertificateRequest(der).publicKey.spki).toEqual(own.spki);
  });

  test("rejects names that are not of the profile, and asks for no names for a CA", () => {
    expect(codeOf(() => createCertificateRequest(key, { ...alice, username: "Alice" }))).toBe(
      "PROFILE_VIOLATED",
    );
    expect(codeOf(() => createCertificateRequest(key, { ...alice, email: "alice" }))).toBe(
      "PROFILE_VIOLATED",
    );
    const der = createCertificateRequest(key, { kind: "intermediate", commonName: "Issuing CA" });
    expect(verifyCertificateRequest(der)).toMatchObject({
      subjectText: "CN=Issuing CA",
      names: { emails: [], dnsNames: [] },
      otherExtensions: [],
    });
  });
});

describe("verifyCertificateRequest()", () => {
  test("says what is asked for, and the digest of the key", () => {
    const request = verifyCertificateRequest(good);
    expect(request.subjectText).toBe("CN=alice");
    expect(request.names.emails).toEqual(["alice@example.org"]);
    expect(request.keyDigest).toEqual(sha256(key.spki));
  });

  test.each([
    ["ec", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]],
    ["rsa", ["-newkey", "rsa:3072"]],
    ["rsa-pss", ["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]],
    ["ed25519", ["-newkey", "ed25519"]],
  ])("accepts what openssl req makes with an %s key, with and without extensions", (_, newKey) => {
    using openssl = opensslFolder();
    for (const extensions of [
      [],
      ["-addext", "subjectAltName=email:a@b.example", "-addext", "keyUsage=digitalSignature"],
    ]) {
      const made = openssl.run(
        "req",
        "-new",
        "-nodes",
        ...newKey,
        "-keyout",
        "k.pem",
        "-out",
        "r.pem",
        "-subj",
        "/C=CH/O=Org/CN=a",
        ...extensions,
      );
      expect(made.ok).toBe(true);
      const request = parseRequestFile(readFileSync(openssl.path("r.pem")));
      expect(request.subjectText).toBe("C=CH, O=Org, CN=a");
      expect(request.names.emails).toEqual(extensions.length === 0 ? [] : ["a@b.example"]);
      expect(request.otherExtensions).toEqual(extensions.length === 0 ? [] : [oids.keyUsage]);
    }
  });

  test("accepts other attributes and ignores them", () => {
    expect(
      verifyCertificateRequest(withAttributes(challengePassword, extensionRequest)).names.emails,
    ).toEqual(["alice@example.org"]);
    expect(verifyCertificateRequest(withAttributes()).names.emails).toEqual([]);
  });

  test("rejects a request in which any one bit is another", () => {
    for (let at = 0; at < good.length; at++)
      for (const bit of [0x01, 0x80]) {
        const changed = good.slice();
        changed[at] = (changed[at] ?? 0) ^ bit;
        expect(codeOf(() => verifyCertificateRequest(changed))).not.toBe("accepted");
      }
  });

  test("rejects a request cut short anywhere, and bytes behind it", () => {
    for (let length = 0; length < good.length; length++)
      expect(codeOf(() => verifyCertificateRequest(good.subarray(0, length)))).toBe("REQUEST_MALFORMED");
    expect(codeOf(() => verifyCertificateRequest(concatBytes(good, Uint8Array.of(0))))).toBe(
      "REQUEST_MALFORMED",
    );
  });

  test("rejects a request for a key that did not sign it", async () => {
    const other = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
    const stolen = signed(version, subject, other.spki, encodeContext(0));
    expect(codeOf(() => verifyCertificateRequest(stolen))).toBe("REQUEST_SIGNATURE_INVALID");
  });

  test.each([
    ["version 2", () => signed(encodeInteger(1), subject, key.spki, encodeContext(0))],
    ["no attributes field", () => signed(version, subject, key.spki)],
    [
      "a field behind the attributes",
      () => signed(version, subject, key.spki, encodeContext(0), encodeInteger(1)),
    ],
    ["attributes out of order", () => withAttributes(extensionRequest, challengePassword)],
    ["an attribute twice", () => withAttributes(extensionRequest, extensionRequest)],
    [
      "an attribute without a value",
      () => withAttributes(encodeSequence(encodeOid(oids.extensionRequest), encodeSetOf())),
    ],
    [
      "two lists of extensions",
      () => withAttributes(attribute(oids.extensionRequest, encodeSequence(san), encodeSequence(san))),
    ],
    ["an empty list of extensions", () => withAttributes(attribute(oids.extensionRequest, encodeSequence()))],
    ["an extension twice", () => withAttributes(attribute(oids.extensionRequest, encodeSequence(san, san)))],
    [
      "extensions that are no SEQUENCE",
      () => withAttributes(attribute(oids.extensionRequest, encodeInteger(1))),
    ],
    [
      "a version that is not minimal",
      () => signed(Uint8Array.of(2, 2, 0, 0), subject, key.spki, encodeContext(0)),
    ],
    ["an indefinite length", () => signed(version, subject, key.spki, Uint8Array.of(0xa0, 0x80, 0, 0))],
    ["a subject that is no Name", () => signed(version, encodeTlv(0x31), key.spki, encodeContext(0))],
  ])("rejects %s", (_, make) => {
    expect(codeOf(() => verifyCertificateRequest(make()))).toBe("REQUEST_MALFORMED");
  });

  test("rejects keys that nobody could use here, and old algorithms", () => {
    using openssl = opensslFolder();
    const codeFor = (...args: readonly string[]) => {
      expect(
        openssl.run("req", "-new", "-nodes", ...args, "-keyout", "k.pem", "-out", "r.pem", "-subj", "/CN=a")
          .ok,
      ).toBe(true);
      return codeOf(() => parseRequestFile(readFileSync(openssl.path("r.pem"))));
    };
    expect(codeFor("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384")).toBe("KEY_UNSUPPORTED");
    expect(codeFor("-newkey", "rsa:1024")).toBe("KEY_UNSUPPORTED");
    expect(codeFor("-newkey", "rsa:4096")).toBe("KEY_UNSUPPORTED");
    expect(codeFor("-newkey", "ed448")).toBe("KEY_UNSUPPORTED");
    expect(codeFor("-newkey", "rsa:2048", "-sha1")).toBe("ALGORITHM_UNSUPPORTED");
  });

  test("rejects more bytes than it reads", () => {
    expect(codeOf(() => verifyCertificateRequest(new Uint8Array(maxRequestBytes + 1)))).toBe("TOO_LARGE");
  });
});

describe("parseRequestFile()", () => {
  test("reads PEM under both labels, and DER", () => {
    for (const file of [
      good,
      encode(formatPem("CERTIFICATE REQUEST", good)),
      encode(formatPem("NEW CERTIFICATE REQUEST", good)),
    ])
      expect(parseRequestFile(file).subjectText).toBe("CN=alice");
  });

  test("rejects none and two", () => {
    const pem = formatPem("CERTIFICATE REQUEST", good);
    expect(codeOf(() => parseRequestFile(encode("")))).toBe("PEM_MALFORMED");
    expect(codeOf(() => parseRequestFile(encode(pem + pem)))).toBe("PEM_MALFORMED");
  });
});
