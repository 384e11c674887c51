import { describe, expect, test } from "bun:test";
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { crypto, keyTypes } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { type CertificateProfile, createRootCertificate, issueCertificate } from "../../src/pki/issue.ts";
import { formatPem, parsePem } from "../../src/pki/pem.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { codeOf } from "./codeOf.ts";
import { opensslFolder } from "./openssl.ts";
import { createTestAuthority } from "./testAuthority.ts";

const pem = (ders: readonly Uint8Array[]) => ders.map((der) => formatPem("CERTIFICATE", der)).join("");

describe("what issueCertificate() makes", () => {
  test.each([...keyTypes])(
    "openssl verify -x509_strict accepts for every purpose it is for, with a %s CA",
    async (keyType) => {
      const root = await createTestAuthority({ keyType, intermediates: true });
      const issuing = await root.issueIntermediate("Issuing CA");
      using openssl = opensslFolder();
      openssl.write("ca.pem", pem([root.ca.der]));
      for (const authority of [root, issuing]) {
        const [user, server] = [
          await authority.issueUser("alice"),
          await authority.issueServer(["chat.example.org", "127.0.0.1", "::1"]),
        ];
        openssl.write("user.pem", pem(user.chain.slice(0, 1)));
        openssl.write("server.pem", pem(server.chain.slice(0, 1)));
        openssl.write("chain.pem", pem([issuing.ca.der]));
        const verify = (file: string, purpose: string, ...args: string[]) =>
          openssl.run(
            "verify",
            "-x509_strict",
            "-CAfile",
            "ca.pem",
            "-untrusted",
            "chain.pem",
            "-purpose",
            purpose,
            ...args,
            file,
          ).output;
        expect(verify("user.pem", "sslclient")).toContain("user.pem: OK");
        expect(verify("user.pem", "smimesign", "-verify_email", "alice@example.org")).toContain(
          "user.pem: OK",
        );
        expect(verify("user.pem", "sslserver")).not.toContain("OK");
        for (const name of [
          ["-verify_hostname", "chat.example.org"],
          ["-verify_ip", "127.0.0.1"],
          ["-verify_ip", "::1"],
        ])
          expect(verify("server.pem", "sslserver", ...name)).toContain("server.pem: OK");
        expect(verify("server.pem", "smimesign")).toContain("server.pem: OK");
        expect(verify("server.pem", "sslclient")).not.toContain("OK");
        const at = { intermediates: [issuing.ca], anchors: [root.ca], crls: [], atMs: root.nowMs };
        verifyPath({ ...at, leaf: user.certificate, purpose: "client" });
        verifyPath({ ...at, leaf: server.certificate, purpose: "server", host: "::1" });
        for (const { certificate } of [user, server])
          verifyPath({ ...at, leaf: certificate, purpose: "evidence" });
      }
    },
  );

  test("has the fields of the profile, as openssl prints them", async () => {
    const root = await createTestAuthority();
    using openssl = opensslFolder();
    const print = (der: Uint8Array) => {
      openssl.write("x.pem", pem([der]));
      return openssl.run("x509", "-in", "x.pem", "-noout", "-text").output.replace(/\s+/g, " ");
    };
    const ca = print(root.ca.der);
    expect(ca).toContain("Basic Constraints: critical CA:TRUE, pathlen:0");
    expect(ca).toContain("Key Usage: critical Certificate Sign, CRL Sign");
    expect(ca).toContain("Subject: CN = SecureChat Root CA");
    const server = print((await root.issueServer(["chat.example.org", "::1"])).certificate.der);
    expect(server).toContain("Version: 3 (0x2)");
    expect(server).toContain("Key Usage: critical Digital Signature, Non Repudiation");
    expect(server).toContain("Extended Key Usage: TLS Web Server Authentication, E-mail Protection");
    expect(server).toContain("Subject Alternative Name: DNS:chat.example.org, IP Address:0:0:0:0:0:0:0:1");
    expect(server).not.toContain("Basic Constraints");
    const user = print((await root.issueUser("alice", "a@example.org")).certificate.der);
    expect(user).toContain("Extended Key Usage: TLS Web Client Authentication, E-mail Protection");
    expect(user).toContain("Subject: CN = alice");
    expect(user).toContain("Subject Alternative Name: email:a@example.org");
  });

  test("carries NULL parameters for RSA, and GeneralizedTime from 2050", async () => {
    const { ca } = await createTestAuthority({ keyType: "rsa2048", nowMs: Date.UTC(2045, 0, 1) });
    expect(ca.der.toHex()).toContain("300d06092a864886f70d01010b0500");
    expect(new Date(ca.notAfterMs).getUTCFullYear()).toBe(2054);
    expect(new TextDecoder().decode(ca.tbs)).toContain("20541230000000Z");
    using openssl = opensslFolder();
    openssl.write("ca.pem", pem([ca.der]));
    const { ok } = openssl.run(
      "verify",
      "-x509_strict",
      "-attime",
      String(Date.UTC(2052, 0, 1) / 1000),
      "-CAfile",
      "ca.pem",
      "ca.pem",
    );
    expect(ok).toBe(true);
  });

  test("is read by pkijs as by us", async () => {
    const { certificate } = await (await createTestAuthority()).issueUser("alice");
    const other = pkijs.Certificate.fromBER(new Uint8Array(certificate.der));
    expect(new Uint8Array(other.serialNumber.valueBlock.valueHexView).toHex().replace(/^00/, "")).toBe(
      certificate.serial,
    );
    expect(other.notAfter.value.getTime()).toBe(certificate.notAfterMs);
    expect(other.extensions?.length).toBe(5);
    expect(other.subject.typesAndValues[0]?.value instanceof asn1js.Utf8String).toBe(true);
  });

  test("has 128 bits of the caller's randomness as its serial number", async () => {
    const { ca, caKey, nowMs } = await createTestAuthority();
    const make = (random: (length: number) => Uint8Array) =>
      issueCertificate({
        issuer: ca,
        issuerKey: caKey,
        subjectSpki: caKey.spki,
        profile: { kind: "user", username: "a", email: "a@b.org" },
        notBeforeMs: nowMs,
        notAfterMs: nowMs + 1e9,
        random,
      });
    const { serial } = decodeCertificate(make((length) => new Uint8Array(length).fill(0xfe)));
    expect(serial).toBe("fe".repeat(16) as typeof serial);
    expect(() => make((length) => new Uint8Array(length))).toThrow(RangeError);
    expect(() => make(() => systemRandom(8))).toThrow(RangeError);
  });
});

describe("issueCertificate() rejects", () => {
  const profiles: [string, CertificateProfile][] = [
    ["a username in capitals", { kind: "user", username: "Alice", email: "a@b.org" }],
    ["a username of 33 characters", { kind: "user", username: "a".repeat(33), email: "a@b.org" }],
    ["an e-mail address that isn't one", { kind: "user", username: "alice", email: "a.b.org" }],
    ["a server without a name", { kind: "server", commonName: "x", dnsNames: [], ipAddresses: [] }],
    ["a wildcard", { kind: "server", commonName: "x", dnsNames: ["*.example.org"], ipAddresses: [] }],
    [
      "a DNS name in capitals",
      { kind: "server", commonName: "x", dnsNames: ["Example.org"], ipAddresses: [] },
    ],
    [
      "a DNS name that is not ASCII",
      { kind: "server", commonName: "x", dnsNames: ["bücher.de"], ipAddresses: [] },
    ],
    [
      "an IP address that isn't one",
      { kind: "server", commonName: "x", dnsNames: [], ipAddresses: ["1.2.3"] },
    ],
    ["an empty commonName", { kind: "server", commonName: "", dnsNames: ["a.org"], ipAddresses: [] }],
    [
      "a commonName of 65 characters",
      { kind: "server", commonName: "x".repeat(65), dnsNames: ["a.org"], ipAddresses: [] },
    ],
    [
      "a commonName with a control character",
      { kind: "server", commonName: "x\n", dnsNames: ["a.org"], ipAddresses: [] },
    ],
    ["an intermediate CA below a CA without intermediates", { kind: "intermediate", commonName: "x" }],
  ];
  test.each(profiles)("%s", async (_what, profile) => {
    const { ca, caKey, nowMs } = await createTestAuthority();
    const make = () =>
      issueCertificate({
        issuer: ca,
        issuerKey: caKey,
        subjectSpki: caKey.spki,
        profile,
        notBeforeMs: nowMs,
        notAfterMs: nowMs + 1e9,
        random: systemRandom,
      });
    expect(codeOf(make)).toBe("PROFILE_VIOLATED");
  });

  test("an issuer that is no CA, another key than the issuer's, and a validity outside of the issuer's or reversed", async () => {
    const authority = await createTestAuthority();
    const { ca, caKey, nowMs } = authority;
    const alice = await authority.issueUser("alice");
    const make = (change: Partial<Parameters<typeof issueCertificate>[0]>) =>
      codeOf(() =>
        issueCertificate({
          issuer: ca,
          issuerKey: caKey,
          subjectSpki: alice.key.spki,
          profile: { kind: "user", username: "bob", email: "b@b.org" },
          notBeforeMs: nowMs,
          notAfterMs: nowMs + 1e9,
          random: systemRandom,
          ...change,
        }),
      );
    expect(make({})).toBe("accepted");
    expect(make({ issuer: alice.certificate, issuerKey: alice.key })).toBe("PROFILE_VIOLATED");
    expect(make({ issuerKey: alice.key })).toBe("PROFILE_VIOLATED");
    expect(make({ notAfterMs: ca.notAfterMs + 1000 })).toBe("PROFILE_VIOLATED");
    expect(make({ notBeforeMs: ca.notBeforeMs - 1000 })).toBe("PROFILE_VIOLATED");
    expect(make({ notBeforeMs: nowMs + 2e9 })).toBe("PROFILE_VIOLATED");
    expect(make({ subjectSpki: new Uint8Array([0x30, 0]) })).toBe("KEY_MALFORMED");
  });
});

test("createRootCertificate() rejects an empty name, and gives pathLen 1 with intermediates", async () => {
  const keyPkcs8 = await crypto().generatePrivateKey("p256");
  const make = (name: string, intermediates = false) =>
    createRootCertificate({
      name,
      keyPkcs8,
      notBeforeMs: 0,
      notAfterMs: 1e12,
      random: systemRandom,
      intermediates,
    });
  expect(codeOf(() => make(""))).toBe("PROFILE_VIOLATED");
  expect(decodeCertificate(make("x", true)).basicConstraints?.pathLength).toBe(1);
});

test("certificates that openssl makes with the same profile are accepted", async () => {
  using openssl = opensslFolder();
  openssl.write(
    "openssl.cnf",
    `[req]
distinguished_name = dn
prompt = no
[dn]
O = Example
CN = OpenSSL Root
[ca]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[user]
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = clientAuth,emailProtection
subjectAltName = email:alice@example.org
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = serverAuth,emailProtection
subjectAltName = DNS:chat.example.org,IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`,
  );
  const ecKey = (name: string) =>
    openssl.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name);
  for (const name of ["ca.key", "user.key", "server.key"]) expect(ecKey(name).ok).toBe(true);
  expect(
    openssl.run(
      "req",
      "-x509",
      "-new",
      "-key",
      "ca.key",
      "-config",
      "openssl.cnf",
      "-extensions",
      "ca",
      "-days",
      "30",
      "-out",
      "ca.pem",
    ).ok,
  ).toBe(true);
  for (const [name, cn] of [
    ["user", "alice"],
    ["server", "chat.example.org"],
  ] as const) {
    expect(
      openssl.run(
        "req",
        "-new",
        "-key",
        `${name}.key`,
        "-config",
        "openssl.cnf",
        "-subj",
        `/O=Example/CN=${cn}`,
        "-out",
        `${name}.csr`,
      ).ok,
    ).toBe(true);
    expect(
      openssl.run(
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "20",
        "-extfile",
        "openssl.cnf",
        "-extensions",
        name,
        "-out",
        `${name}.pem`,
      ).ok,
    ).toBe(true);
  }
  const read = async (name: string) =>
    decodeCertificate(
      parsePem(await Bun.file(openssl.path(name)).text(), "CERTIFICATE")[0] ?? new Uint8Array(),
    );
  const [ca, user, server] = [await read("ca.pem"), await read("user.pem"), await read("server.pem")];
  const request = { intermediates: [], anchors: [ca], crls: [], atMs: Date.now() + 1000 };
  verifyPath({ ...request, leaf: user, purpose: "client", email: "alice@example.org" });
  verifyPath({ ...request, leaf: server, purpose: "server", host: "127.0.0.1" });
  expect(verifyPath({ ...request, leaf: user, purpose: "evidence" }).chain).toEqual([user, ca]);
  expect(user.subjectText).toBe("O=Example, CN=alice");
});
