import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memberOf, servesAs } from "../../src/log/memberIdentity.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { codeOf } from "./codeOf.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "securechat-identity-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A certificate that our own issuing would refuse to make. */
function made(commonName: string, usages: string, names?: string): Certificate {
  const { exitCode, stderr } = Bun.spawnSync(
    [
      ...[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "/dev/null",
      ],
      ...["-outform", "DER", "-out", "made.der", "-days", "1", "-subj", `/CN=${commonName}`],
      ...["-addext", `extendedKeyUsage=${usages}`, "-addext", "basicConstraints=critical,CA:FALSE"],
      ...(names === undefined ? [] : ["-addext", `subjectAltName=${names}`]),
    ],
    { cwd: folder },
  );
  if (exitCode !== 0) throw new Error(stderr.toString());
  return decodeCertificate(readFileSync(join(folder, "made.der")));
}

test("a person's certificate with a DNS name is a person's, and serves as nothing", () => {
  const certificate = made(
    "alice",
    "clientAuth,emailProtection",
    "email:alice@example.org,DNS:chat.example.org",
  );
  expect(memberOf(certificate)).toEqual({ username: "alice", email: "alice@example.org" });
  expect(servesAs(certificate, "chat.example.org")).toBe(false);
});

test("a server is known by its first DNS name, in lower case, or by its first address", () => {
  const named = made("x", "serverAuth", "IP:192.0.2.1,DNS:Chat.Example.org,DNS:www.example.org");
  expect(memberOf(named)).toEqual({ username: "chat.example.org", email: "" });
  for (const name of ["chat.example.org", "www.example.org", "192.0.2.1"])
    expect(servesAs(named, name)).toBe(true);
  for (const name of ["Chat.Example.org", "example.org", "x", ""]) expect(servesAs(named, name)).toBe(false);
  expect(memberOf(made("x", "serverAuth", "IP:::1"))).toEqual({ username: "::1", email: "" });
});

test("a server without a name that is one server's is nobody and serves as nothing", () => {
  const wildcard = made("chat.example.org", "serverAuth", "DNS:*.example.org");
  expect(codeOf(() => memberOf(wildcard))).toBe("NOT_A_SERVER");
  expect(servesAs(wildcard, "*.example.org")).toBe(false);
  expect(servesAs(made("chat.example.org", "serverAuth"), "chat.example.org")).toBe(false);
});

test("a certificate without an email address is nobody's", () => {
  expect(codeOf(() => memberOf(made("alice", "clientAuth")))).toBe("NOT_A_PERSON");
});
