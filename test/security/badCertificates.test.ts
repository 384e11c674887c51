import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
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
import { patienceMs } from "../scenario/world.ts";
import type { Identity } from "../server/rawClient.ts";
import { HostilePeers, keptFiles, keptRows } from "./hostilePeers.ts";
import { type Encounter, HostileServer } from "./hostileServer.ts";

/*
 * The first heading of the original's security tests, test_security_bad_cert.py, under its five names, and more. Every certificate
 * is tried on a running `serve` by a client that has it, and on a running `connect` by a server that has it.
 */

setDefaultTimeout(patienceMs);

const day = 86_400_000;

let peers: HostilePeers;
beforeAll(async () => {
  peers = await HostilePeers.create(["victim"]);
});
afterAll(() => peers?.dispose());

type Role = "client" | "server";

async function newKey(): Promise<PrivateKey> {
  return crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
}

const profileOf: Record<Role, readonly Uint8Array[]> = {
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
async function forged(role: Role, over: Partial<Forged>, key?: PrivateKey): Promise<Identity> {
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
const byTheCa = () => ({ issuer: peers.authority.ca.subject, issuerKey: peers.authority.caKey });

function issuedBy(authority: TestAuthority, role: Role): Promise<Identity> {
  return role === "client"
    ? authority.issueUser("mallory")
    : authority.issueServer(["localhost", "127.0.0.1"]);
}

/** What OpenSSL makes of a key and a certificate request, signed by the organisation's CA. */
async function byOpenssl(role: Role, request: readonly string[], digest: string): Promise<Identity> {
  using folder = opensslFolder();
  const { authority } = peers;
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

interface Case {
  /** The original's name of it where it has one, and what is wrong. */
  readonly name: string;
  readonly make: (role: Role) => Promise<Identity>;
  /** What the side that refuses it says to the other. */
  readonly alert: AlertCode;
  /** Why, in the server's log and in the client's error. */
  readonly reason: RegExp;
}

const cases: readonly Case[] = [
  {
    name: "test_expired_cert_rejected: one that has expired",
    make: (role) =>
      forged(role, { ...byTheCa(), notBeforeMs: Date.now() - 2 * day, notAfterMs: Date.now() - day }),
    alert: "certificate_expired",
    reason: /expired/,
  },
  {
    name: "test_future_cert_rejected: one that is not valid yet",
    make: (role) =>
      forged(role, { ...byTheCa(), notBeforeMs: Date.now() + day, notAfterMs: Date.now() + 2 * day }),
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
    make: (role) => forged(role, { issuer: peers.authority.ca.subject }),
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
    make: (role) => issuedBy(peers.authority, role === "client" ? "server" : "client"),
    alert: "bad_certificate",
    reason: /is not made for use as a (client|server)'s/,
  },
  {
    name: "the CA's own, with its key",
    make: async () => ({ chain: [peers.authority.ca.der], key: peers.authority.caKey }),
    alert: "bad_certificate",
    reason: /a CA's certificate used as a/,
  },
  {
    name: "one that says of itself that it is a CA",
    make: (role) => forged(role, { ...byTheCa(), extensions: [extensions.ca(), ...profileOf[role]] }),
    alert: "bad_certificate",
    reason: /a CA's certificate used as a/,
  },
  {
    name: "one that a user of the CA issued",
    make: async (role) => {
      const user = await peers.authority.issueUser("subca");
      const { chain, key } = await forged(role, { issuer: user.certificate.subject, issuerKey: user.key });
      return { chain: [...chain, user.certificate.der], key };
    },
    alert: "bad_certificate",
    reason: /CN=subca is not a CA/,
  },
  {
    name: "one with an extension that is critical and unknown",
    make: (role) =>
      forged(role, {
        ...byTheCa(),
        extensions: [...profileOf[role], encodeExtension("1.2.3.4.5", true, Uint8Array.of(5, 0))],
      }),
    alert: "bad_certificate",
    reason: /has critical extension 1\.2\.3\.4\.5/,
  },
  {
    name: "one for a key of RSA with 1024 bits",
    make: (role) => byOpenssl(role, ["-newkey", "rsa:1024"], "-sha256"),
    alert: "bad_certificate",
    reason: /RSA key of 1024 bits/,
  },
  {
    name: "one for a key on the curve P-192",
    make: (role) => byOpenssl(role, ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime192v1"], "-sha256"),
    alert: "bad_certificate",
    reason: /EC key on another curve/,
  },
  {
    name: "one that was signed over SHA-1",
    make: (role) => byOpenssl(role, ["-newkey", "rsa:2048"], "-sha1"),
    alert: "bad_certificate",
    reason: /signed with an algorithm that is not accepted/,
  },
];

describe("test_security_bad_cert: serve refuses a client's certificate", () => {
  test.each(cases)("$name", async ({ make, alert, reason }) => {
    const before = peers.kept();
    const refused = await peers.refusedHandshake(await make("client"));
    expect(refused.alert).toBe(alert);
    expect(refused.log).toMatch(reason);
    expect(peers.kept()).toEqual(before);
  });

  test("somebody else's, without its key", async () => {
    const alice = await peers.person("carol");
    await peers.register(alice);
    const before = peers.kept();
    const refused = await peers.refusedHandshake({ chain: alice.chain, key: await newKey() });
    expect(refused.alert).toBe("decrypt_error");
    expect(refused.log).toMatch(/signature/);
    expect(peers.kept()).toEqual(before);
  });

  test("one without an email", async () => {
    const nobody = await forged("client", { ...byTheCa(), extensions: profileOf.client.slice(0, 2) });
    expect((await peers.refusedHandshake(nobody)).alert).toBe("bad_certificate");
  });

  test("test_cn_mismatch_rejected: a good one, for an account of another CN or another SAN", async () => {
    const owner = await peers.person("owner");
    const { password, email } = owner;
    await peers.register(owner);
    const thief = await peers.person("thief");
    const client = await peers.dial(thief);
    const before = peers.kept();
    const tried = [
      { type: "login", email, password } as const,
      { type: "register", email: thief.email, username: "owner2", password } as const,
      { type: "register", email: "owner2@example.org", username: "thief", password } as const,
      { type: "register", email, username: "owner", password } as const,
    ];
    for (const request of tried) expect(await client.refusalCode(request)).toBe("IDENTITY_MISMATCH");
    expect(peers.kept()).toEqual(before);
    // Nothing of it counts against the owner.
    expect(await (await peers.dial(owner)).request({ type: "login", email, password })).toMatchObject({
      type: "authenticated",
    });
  });

  test("test_valid_cert_accepted: of a user of the CA, and the account is the certificate's", async () => {
    const dave = await peers.person("dave");
    await peers.register(dave);
    expect(peers.kept()["table users"]?.filter((row) => row.includes('"dave@example.org"'))).toHaveLength(1);
  });
});

describe("test_security_bad_cert: connect refuses a server's certificate", () => {
  const kept = () => ({
    ...keptFiles(peers.world.path("victim")),
    ...keptRows(peers.world.path("victim/certs/victim_vault.db")),
    names: readdirSync(peers.world.path("victim"), { recursive: true }).map(String).sort(),
  });

  /** A client that knows its password and has words to say is led to a hostile server. */
  async function led(identity: Identity) {
    using server = new HostileServer(identity, peers.authority.ca);
    const done = await peers.chat("victim", server.port, ["--login", "--to", "bob"], "words\n");
    return { done, encounters: await server.encounters() };
  }

  const told = (alert: AlertCode): Encounter => ({ kind: "refused", alert, frames: 2 });

  beforeAll(async () => {
    // The client's files are there before: whatever comes later must leave them as they are.
    expect((await peers.chat("victim", peers.port, ["--register"])).exitCode).toBe(0);
  });

  const mismatches: readonly Case[] = [
    {
      name: "test_cn_mismatch_rejected: whose CN is the host and whose SAN is not",
      make: () =>
        forged("server", {
          ...byTheCa(),
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
      make: () => forged("server", { ...byTheCa(), extensions: profileOf.server.slice(0, 2) }),
      alert: "bad_certificate",
      reason: /is not for the host that was dialled/,
    },
    {
      name: "for a wildcard that would cover the host's whole domain",
      make: () =>
        forged("server", {
          ...byTheCa(),
          extensions: [...profileOf.server.slice(0, 2), extensions.san(generalName.dns("*"))],
        }),
      alert: "bad_certificate",
      reason: /is not for the host that was dialled/,
    },
  ];

  test.each([...cases, ...mismatches])("$name", async ({ make, alert, reason }) => {
    const before = kept();
    const { done, encounters } = await led(await make("server"));
    // It has sent its hello and the alert: neither its certificate nor its password.
    expect(encounters).toEqual([told(alert)]);
    expect(done.exitCode).toBe(1);
    expect(done.stderr).toMatch(
      /^securechat: the server's certificate is refused: (?!the server)[^\n]+ \(SERVER_CERTIFICATE\)\n$/,
    );
    expect(done.stderr).toMatch(reason);
    expect(kept()).toEqual(before);
  });

  test("somebody else's, without its key", async () => {
    const before = kept();
    const { certificate } = peers.identity;
    const { done, encounters } = await led({ chain: [certificate.der], key: await newKey() });
    expect(encounters).toEqual([told("decrypt_error")]);
    expect([done.exitCode, done.stderr]).toEqual([4, expect.stringContaining("(HANDSHAKE_FAILED)\n")]);
    expect(kept()).toEqual(before);
  });

  test("test_valid_cert_accepted: with the server's key the client says who it is", async () => {
    const { certificate, key } = peers.identity;
    const { encounters } = await led({ chain: [certificate.der], key });
    expect(encounters[0]?.kind).toBe("authenticated");
  });
});
