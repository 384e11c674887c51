import { crypto, type PrivateKey } from "../../src/crypto/crypto.ts";
import { decodePrivateKey } from "../../src/pki/keyFile.ts";
import { oids } from "../../src/pki/oids.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { PkiError } from "../../src/pki/pkiError.ts";
import type { AlertCode } from "../../src/wire/handshakeMessages.ts";
import {
  encodeExtension,
  encodeName,
  extensions,
  type Forged,
  forgeDer,
  generalName,
} from "../pki/forgedCertificate.ts";
import { opensslFolder } from "../pki/openssl.ts";
import { createTestAuthority, type TestAuthority } from "../pki/testAuthority.ts";
import type { Identity } from "../server/rawClient.ts";

const day = 86_400_000;

type Role = "client" | "server";

export async function newKey(): Promise<PrivateKey> {
  return crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
}

/** The extensions of a good one. */
export const profileOf: Record<Role, readonly Uint8Array[]> = {
  client: [
    extensions.leafKeyUsage(),
    extensions.extKeyUsage(oids.clientAuth, oids.emailProtection),
    extensions.san(generalName.email("mallory@example.org")),
  ],
  server: [
    extensions.leafKeyUsage(),
    extensions.extKeyUsage(oids.serverAuth, oids.emailProtection),
    extensions.san(generalName.dns("localhost")),
  ],
};

/** A certificate like a good one but for what is `over`. */
export async function forged(role: Role, over: Partial<Forged>, key?: PrivateKey): Promise<Identity> {
  const own = key ?? (await newKey());
  const now = Date.now();
  const der = forgeDer({
    key: own,
    subject: encodeName(role === "client" ? "mallory" : "localhost"),
    notBeforeMs: now - day,
    notAfterMs: now + day,
    extensions: profileOf[role],
    ...over,
  });
  return { chain: [der], key: own };
}

/** Of the organisation's CA, by its key. */
export const byTheCa = (authority: TestAuthority) => ({
  issuer: authority.ca.subject,
  issuerKey: authority.caKey,
});

function issuedBy(authority: TestAuthority, role: Role): Promise<Identity> {
  return role === "client"
    ? authority.issueUser("mallory")
    : authority.issueServer(["localhost", "127.0.0.1"]);
}

/** What OpenSSL makes of a key and a certificate request, signed by the organisation's CA. */
async function byOpenssl(
  authority: TestAuthority,
  role: Role,
  request: readonly string[],
  digest: string,
): Promise<Identity> {
  using folder = opensslFolder();
  folder.write("ca.pem", formatPem("CERTIFICATE", authority.ca.der));
  folder.write("ca.key", formatPem("PRIVATE KEY", authority.caPkcs8));
  const [usage, san] =
    role === "client" ? ["clientAuth", "email:mallory@example.org"] : ["serverAuth", "DNS:localhost"];
  folder.write(
    "ext.cnf",
    `keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage=${usage},emailProtection\nsubjectAltName=${san}\n`,
  );
  const subject = role === "client" ? "/CN=mallory" : "/CN=localhost";
  const run = (...args: string[]) => {
    const { ok, output } = folder.run(...args);
    if (!ok) throw new Error(output);
  };
  run("req", "-new", ...request, "-nodes", "-keyout", "key.pem", "-subj", subject, "-out", "request.pem");
  run(
    ...["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", digest],
    ...["-extfile", "ext.cnf", "-outform", "DER", "-out", "cert.der"],
  );
  const der = new Uint8Array(await Bun.file(folder.path("cert.der")).arrayBuffer());
  return { chain: [der], key: await loadable(await Bun.file(folder.path("key.pem")).text()) };
}

/** Of a key that can't be loaded here another one: its certificate must be refused before any signature is looked at. */
async function loadable(pem: string): Promise<PrivateKey> {
  try {
    return await decodePrivateKey(pem);
  } catch (error) {
    if (error instanceof PkiError) return await newKey();
    throw error;
  }
}

export interface BadCertificate {
  /** The original's name of it where it has one, and what is wrong. */
  readonly name: string;
  readonly make: (role: Role, authority: TestAuthority) => Promise<Identity>;
  /** What the side that refuses it says to the other. */
  readonly alert: AlertCode;
  /** Why, in the server's log and in the client's error. */
  readonly reason: RegExp;
}

/** Bad for a client and for a server. */
export const badCertificates: readonly BadCertificate[] = [
  {
    name: "test_expired_cert_rejected: one that has expired",
    make: (role, authority) =>
      forged(role, {
        ...byTheCa(authority),
        notBeforeMs: Date.now() - 2 * day,
        notAfterMs: Date.now() - day,
      }),
    alert: "certificate_expired",
    reason: /expired/,
  },
  {
    name: "test_future_cert_rejected: one that is not valid yet",
    make: (role, authority) =>
      forged(role, {
        ...byTheCa(authority),
        notBeforeMs: Date.now() + day,
        notAfterMs: Date.now() + 2 * day,
      }),
    alert: "certificate_expired",
    reason: /not yet valid/,
  },
  {
    name: "test_self_signed_cert_rejected: one that its own key signed",
    make: (role) => forged(role, {}),
    alert: "unknown_ca",
    reason: /its issuer is not known here/,
  },
  {
    name: "one that its own key signed, in the name of the CA",
    make: (role, authority) => forged(role, { issuer: authority.ca.subject }),
    alert: "bad_certificate",
    reason: /not signed by the key of CN=SecureChat Root CA/,
  },
  {
    name: "one of another CA",
    make: async (role) => issuedBy(await createTestAuthority({ name: "Another Root CA" }), role),
    alert: "unknown_ca",
    reason: /its issuer is not known here/,
  },
  {
    name: "one of another CA of the same name",
    make: async (role) => issuedBy(await createTestAuthority(), role),
    alert: "bad_certificate",
    reason: /not signed by the key of CN=SecureChat Root CA/,
  },
  {
    name: "one with the other side's purpose",
    make: (role, authority) => issuedBy(authority, role === "client" ? "server" : "client"),
    alert: "bad_certificate",
    reason: /is not made for use as a (client|server)'s/,
  },
  {
    name: "the CA's own, with its key",
    make: async (_, authority) => ({ chain: [authority.ca.der], key: authority.caKey }),
    alert: "bad_certificate",
    reason: /a CA's certificate used as a/,
  },
  {
    name: "one that says of itself that it is a CA",
    make: (role, authority) =>
      forged(role, { ...byTheCa(authority), extensions: [extensions.ca(), ...profileOf[role]] }),
    alert: "bad_certificate",
    reason: /a CA's certificate used as a/,
  },
  {
    name: "one that a user of the CA issued",
    make: async (role, authority) => {
      const user = await authority.issueUser("subca");
      const { chain, key } = await forged(role, { issuer: user.certificate.subject, issuerKey: user.key });
      return { chain: [...chain, user.certificate.der], key };
    },
    alert: "bad_certificate",
    reason: /CN=subca is not a CA/,
  },
  {
    name: "one with an extension that is critical and unknown",
    make: (role, authority) =>
      forged(role, {
        ...byTheCa(authority),
        extensions: [...profileOf[role], encodeExtension("1.2.3.4.5", true, Uint8Array.of(5, 0))],
      }),
    alert: "bad_certificate",
    reason: /has critical extension 1\.2\.3\.4\.5/,
  },
  {
    name: "one for a key of RSA with 1024 bits",
    make: (role, authority) => byOpenssl(authority, role, ["-newkey", "rsa:1024"], "-sha256"),
    alert: "bad_certificate",
    reason: /RSA key of 1024 bits/,
  },
  {
    name: "one for a key on the curve P-192",
    make: (role, authority) =>
      byOpenssl(authority, role, ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime192v1"], "-sha256"),
    alert: "bad_certificate",
    reason: /EC key on another curve/,
  },
  {
    name: "one that was signed over SHA-1",
    make: (role, authority) => byOpenssl(authority, role, ["-newkey", "rsa:2048"], "-sha1"),
    alert: "bad_certificate",
    reason: /signed with an algorithm that is not accepted/,
  },
];

/** Of a server alone: names that are not those of the host. */
export const badHosts: readonly BadCertificate[] = [
  {
    name: "test_cn_mismatch_rejected: whose CN is the host and whose SAN is not",
    make: (_, authority) =>
      forged("server", {
        ...byTheCa(authority),
        extensions: [
          ...profileOf.server.slice(0, 2),
          extensions.san(generalName.dns("elsewhere.example.org")),
        ],
      }),
    alert: "bad_certificate",
    reason: /is not for the host that was dialled/,
  },
  {
    name: "test_cn_mismatch_rejected: whose CN is the host and which has no SAN",
    make: (_, authority) =>
      forged("server", { ...byTheCa(authority), extensions: profileOf.server.slice(0, 2) }),
    alert: "bad_certificate",
    reason: /is not for the host that was dialled/,
  },
  {
    name: "for a wildcard that would cover the host's whole domain",
    make: (_, authority) =>
      forged("server", {
        ...byTheCa(authority),
        extensions: [...profileOf.server.slice(0, 2), extensions.san(generalName.dns("*"))],
      }),
    alert: "bad_certificate",
    reason: /is not for the host that was dialled/,
  },
];
