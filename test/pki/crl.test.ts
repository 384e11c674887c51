import { describe, expect, test } from "bun:test";
import { concatBytes } from "../../src/base/bytes.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { type Crl, decodeCrl, isReason, issueCrl, parseCrlFile, verifyCrl } from "../../src/pki/crl.ts";
import {
  encodeBitString,
  encodeContext,
  encodeInteger,
  encodeOctetString,
  encodeSequence,
  encodeTime,
  encodeTlv,
} from "../../src/pki/derWriter.ts";
import { oids } from "../../src/pki/oids.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { PkiError, type RevocationReason, revocationReasons } from "../../src/pki/pkiError.ts";
import { findRevocation } from "../../src/pki/revocation.ts";
import { encodeSignatureAlgorithm } from "../../src/pki/signatureAlgorithm.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { codeOf } from "./codeOf.ts";
import { encodeExtension, extensions, forge } from "./forgedCertificate.ts";
import { opensslFolder } from "./openssl.ts";
import { createTestAuthority } from "./testAuthority.ts";

const day = 86_400_000;
const authority = await createTestAuthority({ intermediates: true });
const { ca, caKey, nowMs } = authority;
const alice = await authority.issueUser("alice");
const bob = await authority.issueUser("bob");

const number = (value = encodeInteger(5), critical = false) =>
  encodeExtension(oids.cRLNumber, critical, value);

/** A CRL that is exactly as asked, signed by the CA. */
function forgeCrl(
  change: {
    version?: Uint8Array[];
    issuer?: Uint8Array;
    outerAlgorithm?: Uint8Array;
    times?: Uint8Array[];
    entries?: Uint8Array[] | undefined;
    extensions?: Uint8Array[] | undefined;
  } = {},
): Uint8Array {
  const algorithm = encodeSignatureAlgorithm(caKey.scheme);
  const tbs = encodeSequence(
    ...(change.version ?? [encodeInteger(1)]),
    algorithm,
    change.issuer ?? ca.subject,
    ...(change.times ?? [encodeTime(nowMs - day), encodeTime(nowMs + day)]),
    ...(change.entries === undefined ? [] : [encodeSequence(...change.entries)]),
    ...("extensions" in change && change.extensions === undefined
      ? []
      : [encodeContext(0, encodeSequence(...(change.extensions ?? [number()])))]),
  );
  return encodeSequence(tbs, change.outerAlgorithm ?? algorithm, encodeBitString(caKey.sign(tbs)));
}

const entry = (serial: number, ...list: Uint8Array[]) =>
  encodeSequence(
    encodeInteger(serial),
    encodeTime(nowMs - day),
    ...(list.length === 0 ? [] : [encodeSequence(...list)]),
  );
const decode = (change: Parameters<typeof forgeCrl>[0]) => codeOf(() => decodeCrl(forgeCrl(change)));

describe("issueCrl() and decodeCrl()", () => {
  test("agree with each other and with openssl on every reason", async () => {
    const reasons = Object.keys(revocationReasons).filter(isReason);
    const users = await Promise.all(reasons.map((_, i) => authority.issueUser(`u${i}`)));
    const revoked = users.map(({ certificate }, i) => ({
      certificate,
      reason: reasons[i] as RevocationReason,
      atMs: nowMs - day,
    }));
    const crl = authority.crl(revoked, { number: 300n });
    expect(crl.number).toBe(300n);
    expect(crl.authorityKeyId).toEqual(ca.subjectKeyId as Uint8Array);
    for (const { certificate, reason, atMs } of revoked)
      expect(crl.revoked.get(certificate.serial)).toEqual({ reason, atMs: Math.floor(atMs / 1000) * 1000 });
    using openssl = opensslFolder();
    openssl.write("crl.pem", formatPem("X509 CRL", crl.der));
    openssl.write("ca.pem", formatPem("CERTIFICATE", ca.der));
    const { output } = openssl.run("crl", "-in", "crl.pem", "-noout", "-text", "-CAfile", "ca.pem");
    expect(output).toContain("verify OK");
    expect(output.replace(/\s+/g, " ")).toContain("X509v3 CRL Number: 300");
    for (const text of [
      "Key Compromise",
      "CA Compromise",
      "Affiliation Changed",
      "Superseded",
      "Cessation Of Operation",
      "Certificate Hold",
      "Privilege Withdrawn",
      "AA Compromise",
    ])
      expect(output).toContain(text);
  });

  test("openssl verify -crl_check refuses what is on the list and accepts what isn't", () => {
    const crl = authority.crl([{ certificate: alice.certificate }]);
    using openssl = opensslFolder();
    openssl.write("crl.pem", formatPem("X509 CRL", crl.der));
    openssl.write("ca.pem", formatPem("CERTIFICATE", ca.der));
    openssl.write("alice.pem", formatPem("CERTIFICATE", alice.certificate.der));
    openssl.write("bob.pem", formatPem("CERTIFICATE", bob.certificate.der));
    const verify = (file: string) =>
      openssl.run("verify", "-x509_strict", "-crl_check", "-CRLfile", "crl.pem", "-CAfile", "ca.pem", file)
        .output;
    expect(verify("alice.pem")).toContain("certificate revoked");
    expect(verify("bob.pem")).toContain("bob.pem: OK");
  });

  test("a CRL that openssl ca makes is accepted", async () => {
    using openssl = opensslFolder();
    openssl.write("ca.pem", formatPem("CERTIFICATE", ca.der));
    openssl.write("ca.key", formatPem("PRIVATE KEY", authority.caPkcs8));
    openssl.write("alice.pem", formatPem("CERTIFICATE", alice.certificate.der));
    openssl.write("index.txt", "");
    openssl.write("crlnumber", "1F\n");
    openssl.write(
      "ca.cnf",
      "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=crlnumber\ncertificate=ca.pem\nprivate_key=ca.key\ndefault_md=sha256\ndefault_crl_days=7\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n",
    );
    expect(
      openssl.run("ca", "-config", "ca.cnf", "-revoke", "alice.pem", "-crl_reason", "superseded").ok,
    ).toBe(true);
    expect(openssl.run("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem").ok).toBe(true);
    const crl = parseCrlFile(await Bun.file(openssl.path("crl.pem")).bytes());
    verifyCrl(crl, ca);
    expect(crl.number).toBe(0x1fn);
    expect(crl.revoked.get(alice.certificate.serial)?.reason).toBe("superseded");
  });

  test("parseCrlFile() reads DER and PEM, and rejects files of none or two", () => {
    const der = forgeCrl();
    const pem = formatPem("X509 CRL", der);
    const parse = (text: string) => codeOf(() => parseCrlFile(new TextEncoder().encode(text)));
    expect(parseCrlFile(der).number).toBe(5n);
    expect(parse(pem)).toBe("accepted");
    expect(parse("")).toBe("PEM_MALFORMED");
    expect(parse(pem + pem)).toBe("PEM_MALFORMED");
  });

  test("issueCrl() rejects another key than the CA's, an issuer without cRLSign and a nextUpdate that is not later", () => {
    const make = (change: Partial<Parameters<typeof issueCrl>[0]>) =>
      codeOf(() =>
        issueCrl({
          issuer: ca,
          issuerKey: caKey,
          number: 1n,
          thisUpdateMs: nowMs,
          nextUpdateMs: nowMs + day,
          revoked: new Map(),
          ...change,
        }),
      );
    expect(make({})).toBe("accepted");
    expect(make({ issuerKey: alice.key })).toBe("PROFILE_VIOLATED");
    expect(make({ nextUpdateMs: nowMs })).toBe("PROFILE_VIOLATED");
    expect(make({ issuer: alice.certificate, issuerKey: alice.key })).toBe("CRL_ISSUER_NOT_ALLOWED");
  });
});

describe("decodeCrl() rejects", () => {
  test.each<[string, Parameters<typeof forgeCrl>[0]]>([
    ["version 1", { version: [] }],
    ["version 3", { version: [encodeInteger(2)] }],
    ["an empty issuer", { issuer: encodeSequence() }],
    ["no nextUpdate", { times: [encodeTime(nowMs)] }],
    ["an empty list of entries", { entries: [] }],
    ["a serial number twice", { entries: [entry(7), entry(7)] }],
    ["no extensions", { extensions: undefined }],
    ["no cRLNumber", { extensions: [encodeExtension("1.2.3", false, encodeInteger(1))] }],
    ["a critical cRLNumber", { extensions: [number(undefined, true)] }],
    ["a negative cRLNumber", { extensions: [number(encodeTlv(2, Uint8Array.of(0x80)))] }],
    ["a cRLNumber over 20 octets", { extensions: [number(encodeTlv(2, new Uint8Array(21).fill(1)))] }],
    ["cRLNumber twice", { extensions: [number(), number()] }],
    ["algorithms that differ", { outerAlgorithm: encodeSignatureAlgorithm("ed25519") }],
    [
      "reason 7",
      { entries: [entry(7, encodeExtension(oids.reasonCode, false, encodeTlv(0x0a, Uint8Array.of(7))))] },
    ],
    [
      "reason removeFromCRL",
      { entries: [entry(7, encodeExtension(oids.reasonCode, false, encodeTlv(0x0a, Uint8Array.of(8))))] },
    ],
  ])("%s", (_what, change) => {
    expect(decode(change)).toBe("CRL_MALFORMED");
  });

  test.each<[string, Parameters<typeof forgeCrl>[0]]>([
    [
      "a delta CRL",
      { extensions: [number(), encodeExtension(oids.deltaCRLIndicator, true, encodeInteger(1))] },
    ],
    [
      "a delta CRL that doesn't say so critically",
      { extensions: [number(), encodeExtension(oids.deltaCRLIndicator, false, encodeInteger(1))] },
    ],
    [
      "a CRL for CA certificates only",
      {
        extensions: [
          number(),
          encodeExtension(
            oids.issuingDistributionPoint,
            true,
            encodeSequence(encodeTlv(0x82, Uint8Array.of(0xff))),
          ),
        ],
      },
    ],
    [
      "an unknown critical extension",
      { extensions: [number(), encodeExtension("1.2.3", true, encodeOctetString(new Uint8Array()))] },
    ],
    [
      "an entry of another issuer",
      { entries: [entry(7, encodeExtension(oids.certificateIssuer, true, encodeSequence()))] },
    ],
    [
      "an entry with an unknown critical extension",
      { entries: [entry(7, encodeExtension("1.2.3", true, encodeSequence()))] },
    ],
  ])("%s, as not supported", (_what, change) => {
    expect(decode(change)).toBe("CRL_UNSUPPORTED");
  });

  test("bytes after the end, 4 MiB and one byte, and every truncation", () => {
    const der = forgeCrl({ entries: [entry(7)] });
    expect(codeOf(() => decodeCrl(der))).toBe("accepted");
    expect(codeOf(() => decodeCrl(concatBytes(der, Uint8Array.of(0))))).toBe("CRL_MALFORMED");
    expect(codeOf(() => decodeCrl(new Uint8Array(4 * 1024 * 1024 + 1)))).toBe("TOO_LARGE");
    for (let length = 0; length < der.length; length++)
      expect(codeOf(() => decodeCrl(der.subarray(0, length)))).toBe("CRL_MALFORMED");
  });

  test("or refuses the signature of, a CRL with any one byte changed", () => {
    const der = forgeCrl({ entries: [entry(7)] });
    for (let index = 0; index < der.length; index++) {
      const changed = new Uint8Array(der);
      changed[index] = (changed[index] ?? 0) ^ 0x01;
      const code = codeOf(() => verifyCrl(decodeCrl(changed), ca));
      if (code === "accepted") throw new Error(`byte ${index}: accepted`);
    }
  });
});

describe("verifyCrl() rejects", () => {
  test("another CA's CRL, another key's, and an issuer without cRLSign", async () => {
    const other = await createTestAuthority({ name: "Other CA" });
    const impostor = await createTestAuthority();
    const crl = authority.crl();
    expect(codeOf(() => verifyCrl(crl, ca))).toBe("accepted");
    expect(codeOf(() => verifyCrl(crl, other.ca))).toBe("CRL_ISSUER_MISMATCH");
    expect(codeOf(() => verifyCrl(crl, impostor.ca))).toBe("CRL_SIGNATURE_INVALID");
    const key = crypto().importPrivateKey(authority.caPkcs8);
    const withUsage = (...list: Uint8Array[]) =>
      forge({ key, subject: ca.subject, extensions: [extensions.ca(), ...list] });
    expect(codeOf(() => verifyCrl(crl, withUsage(extensions.keyUsage(2, 0x04))))).toBe(
      "CRL_ISSUER_NOT_ALLOWED",
    );
    expect(codeOf(() => verifyCrl(crl, withUsage()))).toBe("accepted");
    expect(codeOf(() => verifyCrl(crl, forge({ key, subject: ca.subject })))).toBe("CRL_ISSUER_NOT_ALLOWED");
  });
});

describe("verifyPath() with CRLs", () => {
  const request = { intermediates: [], anchors: [ca], purpose: "client", atMs: nowMs } as const;
  const judge = (crls: readonly Crl[], more: Partial<Parameters<typeof verifyPath>[0]> = {}) =>
    codeOf(() => verifyPath({ ...request, leaf: alice.certificate, crls, ...more }));

  test("rejects a revoked certificate and says since when and why", () => {
    const crl = authority.crl([{ certificate: alice.certificate, reason: "superseded", atMs: nowMs - 5000 }]);
    expect(judge([crl])).toBe("REVOKED");
    expect(judge([crl], { leaf: bob.certificate })).toBe("accepted");
    try {
      verifyPath({ ...request, leaf: alice.certificate, crls: [crl] });
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      expect(error.revocation).toEqual({
        fingerprint: alice.certificate.fingerprint,
        revokedAtMs: Math.floor((nowMs - 5000) / 1000) * 1000,
        reason: "superseded",
      });
    }
  });

  test("looks at CRLs again when the chain is remembered", () => {
    expect(judge([])).toBe("accepted");
    expect(judge([authority.crl([{ certificate: alice.certificate }])])).toBe("REVOKED");
    expect(judge([])).toBe("accepted");
  });

  test("takes the CRL with the highest number", () => {
    const older = authority.crl([{ certificate: alice.certificate, reason: "certificateHold" }], {
      number: 1n,
    });
    const newer = authority.crl([], { number: 2n });
    expect(judge([newer, older])).toBe("accepted");
    expect(judge([older])).toBe("REVOKED");
  });

  test("ignores a CRL of another issuer, even with the same serial number", async () => {
    const other = await createTestAuthority({ name: "Other CA" });
    expect(judge([other.crl([{ certificate: alice.certificate }])])).toBe("accepted");
    expect(judge([other.crl()], { crlRequired: true })).toBe("REVOCATION_UNKNOWN");
    expect(judge([], { crlRequired: true })).toBe("REVOCATION_UNKNOWN");
  });

  test("rejects a CRL from the future, past its nextUpdate and grace, and with another key's signature", async () => {
    const expired = authority.crl([], { thisUpdateMs: nowMs - 3 * day, nextUpdateMs: nowMs - day });
    expect(judge([authority.crl([], { thisUpdateMs: nowMs + day, nextUpdateMs: nowMs + 2 * day })])).toBe(
      "CRL_NOT_YET_VALID",
    );
    expect(judge([expired])).toBe("CRL_EXPIRED");
    expect(judge([expired], { crlGraceMs: 2 * day })).toBe("accepted");
    expect(judge([(await createTestAuthority()).crl()])).toBe("CRL_SIGNATURE_INVALID");
  });

  test("counts the second of nextUpdate as current", () => {
    const crl = authority.crl([], { nextUpdateMs: nowMs });
    expect(judge([crl], { atMs: crl.nextUpdateMs + 999 })).toBe("accepted");
    expect(judge([crl], { atMs: crl.nextUpdateMs + 1000 })).toBe("CRL_EXPIRED");
  });

  test("goes on with a good CRL when another of the same name is not", async () => {
    const impostor = await createTestAuthority();
    expect(judge([impostor.crl(), authority.crl()])).toBe("accepted");
    expect(judge([impostor.crl(), authority.crl([{ certificate: alice.certificate }])])).toBe("REVOKED");
  });

  test("rejects a path through a revoked intermediate, by the CRL of its issuer", async () => {
    const issuing = await authority.issueIntermediate("Issuing CA");
    const carol = await issuing.issueUser("carol");
    const path = { leaf: carol.certificate, intermediates: [issuing.ca] };
    expect(judge([authority.crl(), issuing.crl()], { ...path, crlRequired: true })).toBe("accepted");
    expect(judge([authority.crl()], { ...path, crlRequired: true })).toBe("REVOCATION_UNKNOWN");
    expect(judge([authority.crl([{ certificate: issuing.ca }])], path)).toBe("REVOKED");
    expect(judge([issuing.crl([{ certificate: carol.certificate }])], path)).toBe("REVOKED");
    expect(judge([issuing.crl([{ certificate: issuing.ca }])], path)).toBe("accepted");
  });

  test("tells when the next CRL is due", () => {
    const crl = authority.crl();
    expect(verifyPath({ ...request, leaf: bob.certificate, crls: [crl] }).crlNextUpdateMs).toBe(
      crl.nextUpdateMs,
    );
    expect(verifyPath({ ...request, leaf: bob.certificate, crls: [] }).crlNextUpdateMs).toBeUndefined();
  });
});

test("findRevocation() reports without refusing, for evidence that is older than the revocation", () => {
  const { chain } = verifyPath({
    leaf: alice.certificate,
    intermediates: [],
    anchors: [ca],
    crls: [],
    purpose: "evidence",
    atMs: nowMs - 60_000,
  });
  const crl = authority.crl([{ certificate: alice.certificate, atMs: nowMs - 1000 }]);
  const { revocation } = findRevocation({ chain, crls: [crl], atMs: nowMs });
  expect(revocation?.revokedAtMs).toBe(Math.floor((nowMs - 1000) / 1000) * 1000);
  expect(findRevocation({ chain, crls: [], atMs: nowMs })).toEqual({
    revocation: undefined,
    nextUpdateMs: undefined,
  });
});
