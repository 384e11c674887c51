import { describe, expect, test } from "bun:test";
import { concatBytes, equalBytes } from "../../src/base/bytes.ts";
import { crypto, type PrivateKey } from "../../src/crypto/crypto.ts";
import { type Certificate, decodeCertificate, maxCertificateBytes } from "../../src/pki/certificate.ts";
import {
  encodeBoolean,
  encodeContext,
  encodeInteger,
  encodeNull,
  encodeOctetString,
  encodeOid,
  encodeSequence,
  encodeTime,
  encodeTlv,
} from "../../src/pki/derWriter.ts";
import { oids } from "../../src/pki/oids.ts";
import { PkiError } from "../../src/pki/pkiError.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { codeOf } from "./codeOf.ts";
import {
  encodeExtension,
  encodeName,
  extensions,
  type Forged,
  forge,
  forgeDer,
  generalName,
} from "./forgedCertificate.ts";
import { createTestAuthority } from "./testAuthority.ts";

const key: PrivateKey = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
const ed25519Key = crypto().importPrivateKey(await crypto().generatePrivateKey("ed25519"));

const decode = (forged: Partial<Forged>) => codeOf(() => forge({ key, ...forged }));
const withExtension = (...list: Uint8Array[]) => decode({ extensions: list });

describe("decodeCertificate()", () => {
  test("reads every field of a certificate of the profile", async () => {
    const authority = await createTestAuthority();
    const { certificate, pkcs8 } = await authority.issueUser("alice", "alice@example.org");
    expect(certificate.subjectText).toBe("CN=alice");
    expect(certificate.commonName).toBe("alice");
    expect(equalBytes(certificate.issuer, authority.ca.subject)).toBe(true);
    expect([...(certificate.keyUsage ?? [])]).toEqual(["digitalSignature", "nonRepudiation"]);
    expect(certificate.extendedKeyUsage).toEqual([oids.clientAuth, oids.emailProtection]);
    expect(certificate.emails).toEqual(["alice@example.org"]);
    expect(certificate.dnsNames).toEqual([]);
    expect(certificate.basicConstraints).toBeUndefined();
    expect(certificate.unknownCriticalExtensions).toEqual([]);
    expect(certificate.selfIssued).toBe(false);
    expect(certificate.serial).toMatch(/^[0-9a-f]{32}$/);
    expect(certificate.authorityKeyId).toEqual(authority.ca.subjectKeyId as Uint8Array);
    expect(certificate.publicKey.spki).toEqual(crypto().importPrivateKey(pkcs8).spki);
    expect(authority.ca.basicConstraints).toEqual({ ca: true, pathLength: 0, critical: true });
    expect([...(authority.ca.keyUsage ?? [])]).toEqual(["keyCertSign", "cRLSign"]);
    expect(authority.ca.selfIssued).toBe(true);
  });

  test("gives the same object for the same bytes, and keeps a copy of them", () => {
    const der = forgeDer({ key });
    const certificate = decodeCertificate(der);
    expect(decodeCertificate(new Uint8Array(der))).toBe(certificate);
    const original = new Uint8Array(der);
    der.fill(0);
    expect(certificate.der).toEqual(original);
    expect(decodeCertificate(original)).toBe(certificate);
  });

  test("tells certificates apart that end in the same bytes", () => {
    const der = forgeDer({ key });
    const other = new Uint8Array(der);
    // The last octet of the serial number's neighbourhood stays; one bit of the validity changes.
    const index = der.findIndex((_, i) => der[i] === 0x17 && der[i + 1] === 0x0d) + 2;
    other[index] = 0x31;
    const first = decodeCertificate(der);
    const second = decodeCertificate(other);
    expect(second.fingerprint).not.toBe(first.fingerprint);
    expect(second.notBeforeMs).not.toBe(first.notBeforeMs);
    expect(decodeCertificate(der).fingerprint).toBe(first.fingerprint);
  });

  test("rejects more than 64 KiB", () => {
    expect(codeOf(() => decodeCertificate(new Uint8Array(maxCertificateBytes + 1)))).toBe("TOO_LARGE");
  });

  test("rejects bytes after the end, at every level", () => {
    const der = forgeDer({ key });
    expect(codeOf(() => decodeCertificate(concatBytes(der, Uint8Array.of(0))))).toBe("CERTIFICATE_MALFORMED");
    expect(decode({ validity: encodeSequence(encodeTime(0), encodeTime(1e12), encodeNull()) })).toBe(
      "CERTIFICATE_MALFORMED",
    );
  });

  test.each([
    ["version 1 (no field)", new Uint8Array()],
    ["version 1 written out", encodeContext(0, encodeInteger(0))],
    ["version 2", encodeContext(0, encodeInteger(1))],
    ["version 4", encodeContext(0, encodeInteger(3))],
  ])("rejects %s", (_what, version) => {
    expect(decode({ version })).toBe("VERSION_UNSUPPORTED");
  });

  const issuer = encodeName("issuer");
  test("rejects serial numbers that are negative, zero or longer than 20 octets", () => {
    expect(decode({ issuer, serial: encodeTlv(2, Uint8Array.of(0x80)) })).toBe("SERIAL_INVALID");
    expect(decode({ issuer, serial: encodeInteger(0) })).toBe("SERIAL_INVALID");
    expect(decode({ issuer, serial: encodeTlv(2, new Uint8Array(21).fill(1)) })).toBe("SERIAL_INVALID");
    expect(decode({ issuer, serial: encodeTlv(2, new Uint8Array(20).fill(1)) })).toBe("accepted");
  });

  test("accepts serial number zero of a self-issued certificate", () => {
    expect(decode({ serial: encodeInteger(0) })).toBe("accepted");
  });

  test("rejects signature algorithms that differ inside and outside", () => {
    const sha384 = encodeSequence(encodeOid(oids.ecdsaWithSHA384));
    expect(decode({ outerAlgorithm: sha384 })).toBe("ALGORITHM_MISMATCH");
    expect(decode({ outerAlgorithm: encodeSequence(encodeOid(oids.ecdsaWithSHA256), encodeNull()) })).toBe(
      "ALGORITHM_MISMATCH",
    );
  });

  test("decodes an algorithm that no path accepts to no scheme", () => {
    for (const algorithm of [
      encodeSequence(encodeOid("1.2.840.113549.1.1.5"), encodeNull()),
      encodeSequence(encodeOid(oids.ecdsaWithSHA256), encodeNull()),
      encodeSequence(encodeOid(oids.ed25519), encodeNull()),
      encodeSequence(encodeOid(oids.rsassaPss), encodeSequence()),
    ])
      expect(
        forge({ key, innerAlgorithm: algorithm, outerAlgorithm: algorithm }).signatureScheme,
      ).toBeUndefined();
  });

  test("rejects an empty issuer, a CA without a name, and an empty subject without a critical subjectAltName", () => {
    const empty = encodeSequence();
    const san = encodeSequence(generalName.dns("a.org"));
    expect(decode({ issuer: empty })).toBe("CERTIFICATE_MALFORMED");
    expect(decode({ issuer, subject: empty, extensions: [extensions.ca()] })).toBe("CERTIFICATE_MALFORMED");
    expect(decode({ issuer, subject: empty })).toBe("EXTENSION_FORBIDDEN");
    expect(decode({ issuer, subject: empty, extensions: [extensions.san(generalName.dns("a.org"))] })).toBe(
      "EXTENSION_FORBIDDEN",
    );
    expect(
      decode({ issuer, subject: empty, extensions: [encodeExtension(oids.subjectAltName, true, san)] }),
    ).toBe("accepted");
  });

  test("rejects keys that are not supported or malformed", () => {
    const p192 = encodeSequence(
      encodeSequence(encodeOid("1.2.840.10045.2.1"), encodeOid("1.2.840.10045.3.1.1")),
      encodeTlv(3, Uint8Array.of(0, 4), new Uint8Array(48).fill(1)),
    );
    expect(decode({ spki: p192 })).toBe("KEY_UNSUPPORTED");
    const offCurve = new Uint8Array(key.spki);
    offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;
    expect(decode({ spki: offCurve })).toBe("KEY_MALFORMED");
    expect(forge({ key: ed25519Key }).publicKey.type).toBe("ed25519");
  });

  test.each([
    ["an empty list of extensions", []],
    [
      "critical FALSE written out",
      [encodeSequence(encodeOid("1.2.3"), encodeBoolean(false), encodeOctetString(encodeNull()))],
    ],
    [
      "basicConstraints with cA FALSE written out",
      [encodeExtension(oids.basicConstraints, true, encodeSequence(encodeBoolean(false)))],
    ],
    [
      "a path length without cA",
      [encodeExtension(oids.basicConstraints, true, encodeSequence(encodeInteger(0)))],
    ],
    [
      "a negative path length",
      [
        encodeExtension(
          oids.basicConstraints,
          true,
          encodeSequence(encodeBoolean(true), encodeTlv(2, Uint8Array.of(0xff))),
        ),
      ],
    ],
    ["keyUsage without a bit", [extensions.keyUsage(0)]],
    ["keyUsage of zeros", [extensions.keyUsage(7, 0)]],
    ["keyUsage with trailing zeros", [extensions.keyUsage(5, 0xc0)]],
    ["keyUsage with an unknown bit", [extensions.keyUsage(0, 0xc0, 0x01)]],
    ["an empty extKeyUsage", [extensions.extKeyUsage()]],
    ["an empty subjectAltName", [extensions.san()]],
    [
      "a subjectAltName that is not DER",
      [encodeExtension(oids.subjectAltName, false, new TextEncoder().encode("a.org"))],
    ],
    ["a dNSName that is not ASCII", [extensions.san(encodeTlv(0x82, new TextEncoder().encode("bücher.de")))]],
    ["an iPAddress of five octets", [extensions.san(generalName.ip(1, 2, 3, 4, 5))]],
    ["an iPAddress with a mask", [extensions.san(generalName.ip(192, 0, 2, 0, 255, 255, 255, 0))]],
    ["a GeneralName of no kind", [extensions.san(encodeTlv(0x89, Uint8Array.of(1)))]],
    [
      "an authorityKeyIdentifier with half of issuer and serial",
      [
        encodeExtension(
          oids.authorityKeyIdentifier,
          false,
          encodeSequence(encodeTlv(0x82, Uint8Array.of(1))),
        ),
      ],
    ],
    ["an empty authorityInfoAccess", [encodeExtension(oids.authorityInfoAccess, false, encodeSequence())]],
    ["an empty policyConstraints", [encodeExtension(oids.policyConstraints, true, encodeSequence())]],
    [
      "anyPolicy mapped",
      [
        encodeExtension(
          oids.policyMappings,
          true,
          encodeSequence(encodeSequence(encodeOid(oids.anyPolicy), encodeOid("1.2.3"))),
        ),
      ],
    ],
    [
      "a policy twice",
      [
        encodeExtension(
          oids.certificatePolicies,
          false,
          encodeSequence(encodeSequence(encodeOid("1.2.3")), encodeSequence(encodeOid("1.2.3"))),
        ),
      ],
    ],
    [
      "bytes after the end of an extension",
      [encodeExtension(oids.basicConstraints, true, concatBytes(encodeSequence(), encodeNull()))],
    ],
  ])("rejects %s", (_what, list) => {
    expect(withExtension(...list)).toBe("EXTENSION_MALFORMED");
  });

  test.each([
    [
      "a critical subjectKeyIdentifier",
      encodeExtension(oids.subjectKeyIdentifier, true, encodeOctetString(Uint8Array.of(1))),
    ],
    [
      "a critical authorityKeyIdentifier",
      encodeExtension(oids.authorityKeyIdentifier, true, encodeSequence()),
    ],
    ["a critical authorityInfoAccess", encodeExtension(oids.authorityInfoAccess, true, encodeSequence())],
    [
      "a policyConstraints that is not critical",
      encodeExtension(oids.policyConstraints, false, encodeSequence(encodeTlv(0x80, Uint8Array.of(0)))),
    ],
    [
      "an inhibitAnyPolicy that is not critical",
      encodeExtension(oids.inhibitAnyPolicy, false, encodeInteger(0)),
    ],
    ["keyCertSign without a CA", extensions.caKeyUsage()],
    ["nameConstraints without a CA", extensions.nameConstraints({ permitted: [generalName.dns("a.org")] })],
  ])("rejects %s", (_what, extension) => {
    expect(withExtension(extension)).toBe("EXTENSION_FORBIDDEN");
  });

  test("rejects an extension twice, and more than 64", () => {
    expect(withExtension(extensions.leafKeyUsage(), extensions.leafKeyUsage())).toBe("DUPLICATE_EXTENSION");
    const many = Array.from({ length: 65 }, (_, i) => encodeExtension(`1.2.3.${i}`, false, encodeNull()));
    expect(withExtension(...many.slice(1))).toBe("accepted");
    expect(withExtension(...many)).toBe("TOO_LARGE");
  });

  test("names critical extensions that it doesn't act on, and ignores others that aren't critical", () => {
    const certificate = forge({
      key,
      extensions: [
        encodeExtension("1.2.3.4", true, Uint8Array.of(1)),
        encodeExtension("1.2.3.5", false, Uint8Array.of(1)),
        encodeExtension(oids.cRLDistributionPoints, true, encodeSequence()),
      ],
    });
    expect(certificate.unknownCriticalExtensions).toEqual(["1.2.3.4", oids.cRLDistributionPoints]);
  });

  test("rejects a name with bytes that its string type does not have", () => {
    const named = (tag: number, ...octets: number[]) =>
      decode({
        subject: encodeSequence(
          encodeTlv(
            0x31,
            encodeSequence(encodeOid(oids.commonName), encodeTlv(tag, Uint8Array.from(octets))),
          ),
        ),
      });
    expect(named(0x0c, 0x61, 0xff)).toBe("CERTIFICATE_MALFORMED");
    expect(named(0x13, 0x61, 0xe9)).toBe("CERTIFICATE_MALFORMED");
    expect(named(0x1e, 0x00)).toBe("CERTIFICATE_MALFORMED");
    expect(named(0x1e, 0x00, 0x61)).toBe("accepted");
    expect(named(0x14, 0xe9)).toBe("accepted");
  });

  test("escapes names for people, and takes no commonName when there are two or its string type is unusual", () => {
    const hostile = forge({ key, subject: encodeName("eve\u202e\u001b[2J, CN=alice") });
    expect(hostile.subjectText).toBe("CN=eve\\\\u{202e}\\\\u{1b}[2J\\, CN\\=alice");
    expect(forge({ key, subject: encodeName("alice", [oids.commonName, "bob"]) }).commonName).toBeUndefined();
    const teletex = encodeSequence(
      encodeTlv(
        0x31,
        encodeSequence(encodeOid(oids.commonName), encodeTlv(0x14, new TextEncoder().encode("alice"))),
      ),
    );
    expect(forge({ key, subject: teletex }).commonName).toBeUndefined();
  });
});

describe("a certificate with any one byte changed or its end cut off", () => {
  test("never passes as the same verified certificate, and never fails but with a PkiError", async () => {
    const { ca, issueUser, nowMs } = await createTestAuthority();
    const { certificate } = await issueUser("alice");
    const judge = (der: Uint8Array): Certificate | undefined => {
      try {
        const leaf = decodeCertificate(der);
        return verifyPath({
          leaf,
          intermediates: [],
          anchors: [ca],
          crls: [],
          purpose: "client",
          atMs: nowMs,
        }).certificate;
      } catch (error) {
        if (error instanceof PkiError) return undefined;
        throw error;
      }
    };
    expect(judge(certificate.der)).toBe(certificate);
    const signatureStart = certificate.der.length - certificate.signature.length;
    for (let index = 0; index < certificate.der.length; index++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const changed = new Uint8Array(certificate.der);
        changed[index] = (changed[index] ?? 0) ^ mask;
        const verdict = judge(changed);
        if (verdict !== undefined)
          throw new Error(`byte ${index} ^ ${mask} (signature from ${signatureStart}) was accepted`);
      }
      if (judge(certificate.der.subarray(0, index)) !== undefined)
        throw new Error(`cut at ${index}: accepted`);
    }
  });
});
