import { readFileSync } from "node:fs";
import { crypto, type KeyType } from "../../src/crypto/crypto.ts";
import {
  encodeBoolean,
  encodeContext,
  encodeInteger,
  encodeOid,
  encodeSequence,
} from "../../src/pki/derWriter.ts";
import { oids } from "../../src/pki/oids.ts";
import { parsePem } from "../../src/pki/pem.ts";
import { encodeExtension, encodeName, extensions, forgeDer, generalName } from "../pki/forgedCertificate.ts";
import { opensslFolder } from "../pki/openssl.ts";
import { createTestAuthority, type Issued, type TestAuthority } from "../pki/testAuthority.ts";

/** Certificates, lists and keys of many kinds, made by our code and by the `openssl` program. */
export interface PkiSeeds {
  readonly nowMs: number;
  readonly root: TestAuthority;
  readonly intermediate: TestAuthority;
  readonly people: readonly Issued[];
  readonly server: Issued;
  /** DER */
  readonly certificates: readonly Uint8Array[];
  readonly crls: readonly Uint8Array[];
  readonly requests: readonly Uint8Array[];
  /** PEM texts */
  readonly keyFiles: readonly Uint8Array[];
}

let made: Promise<PkiSeeds> | undefined;

/** Made once a process. */
export function pkiSeeds(): Promise<PkiSeeds> {
  made ??= make();
  return made;
}

async function make(): Promise<PkiSeeds> {
  const nowMs = Date.now();
  const root = await createTestAuthority({ nowMs, intermediates: true });
  const intermediate = await root.issueIntermediate("Issuing CA");
  const keyTypes: readonly KeyType[] = ["p256", "rsa2048", "ed25519"];
  const people = await Promise.all(
    keyTypes.map((keyType, i) =>
      (i === 0 ? root : intermediate).issueUser(`user${i}`, undefined, { keyType }),
    ),
  );
  const server = await intermediate.issueServer(["chat.example.org", "192.0.2.7", "2001:db8::7"]);
  const foreign = byOpenssl();
  const forged = await forgedCertificates();
  const revoked = people.map(({ certificate }) => ({ certificate }));
  return {
    // What the `openssl` program made begins to be valid a moment later.
    nowMs: nowMs + 60_000,
    root,
    intermediate,
    people,
    server,
    certificates: [
      ...[root.ca, intermediate.ca, server.certificate].map(({ der }) => der),
      ...people.map(({ certificate }) => certificate.der),
      ...forged,
      ...foreign.certificates,
    ],
    crls: [root.crl().der, root.crl(revoked).der, intermediate.crl(revoked.slice(1)).der, ...foreign.crls],
    requests: foreign.requests,
    keyFiles: foreign.keyFiles,
  };
}

/** Every extension that path validation reads, in certificates that are signed by their own key. */
async function forgedCertificates(): Promise<Uint8Array[]> {
  const key = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
  const { san, nameConstraints, caKeyUsage, leafKeyUsage, extKeyUsage, ca, subjectKeyId } = extensions;
  const id = new Uint8Array(20).fill(7);
  const { dns, ip, email, directory, uri, other } = generalName;
  const policy = (...arcs: string[]) =>
    encodeExtension(
      oids.certificatePolicies,
      false,
      encodeSequence(...arcs.map((arc) => encodeSequence(encodeOid(arc)))),
    );
  return [
    forgeDer({
      key,
      extensions: [
        ca(3),
        caKeyUsage(),
        subjectKeyId(id),
        nameConstraints({
          permitted: [
            dns("example.org"),
            ip(192, 0, 2, 0, 255, 255, 255, 0),
            email("example.org"),
            directory(encodeName("a")),
          ],
          excluded: [dns("bad.example.org"), email("root@example.org"), uri(".example.net")],
        }),
        policy("2.5.29.32.0", "1.3.6.1.4.1.99999.1"),
        encodeExtension(
          "2.5.29.33",
          true,
          encodeSequence(encodeSequence(encodeOid("1.2.3"), encodeOid("1.2.4"))),
        ),
        encodeExtension(
          "2.5.29.36",
          true,
          encodeSequence(Uint8Array.of(0x80, 1, 0), Uint8Array.of(0x81, 1, 1)),
        ),
        encodeExtension("2.5.29.54", true, encodeInteger(2)),
      ],
    }),
    forgeDer({
      key,
      subject: encodeName("alice", ["2.5.4.10", "Example"], ["2.5.4.6", "DE"]),
      extensions: [
        leafKeyUsage(),
        extKeyUsage(oids.clientAuth, oids.emailProtection, oids.serverAuth),
        san(
          email("alice@example.org"),
          dns("*.example.org"),
          ip(192, 0, 2, 1),
          uri("https://example.org/"),
          other(),
          directory(encodeName("b")),
        ),
        encodeExtension(
          oids.authorityKeyIdentifier,
          false,
          encodeSequence(
            Uint8Array.of(0x80, 2, 1, 2),
            encodeContext(1, directory(encodeName("c"))),
            Uint8Array.of(0x82, 1, 5),
          ),
        ),
        encodeExtension("1.2.3.4.5", true, encodeBoolean(true)),
      ],
    }),
  ];
}

const config = `
[req]
distinguished_name = dn
prompt = no
[dn]
[full]
basicConstraints = critical, CA:TRUE, pathlen:2
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always, issuer:always
certificatePolicies = 1.2.3.4, @policy
crlDistributionPoints = URI:http://example.org/a.crl
authorityInfoAccess = OCSP;URI:http://ocsp.example.org/
nameConstraints = critical, permitted;DNS:example.org, excluded;IP:10.0.0.0/255.0.0.0
policyConstraints = critical, requireExplicitPolicy:3, inhibitPolicyMapping:1
inhibitAnyPolicy = critical, 2
issuerAltName = URI:http://example.org/
[policy]
policyIdentifier = 1.3.5.8
CPS.1 = "http://example.org/cps"
userNotice.1 = @notice
[notice]
explicitText = "UTF8:notice"
[leaf]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature, nonRepudiation
extendedKeyUsage = serverAuth, clientAuth, emailProtection, 1.3.6.1.4.1.311.20.2.2
subjectAltName = DNS:a.example.org, DNS:*.b.example.org, IP:192.0.2.1, IP:2001:db8::1, email:a@example.org, URI:urn:x, RID:1.2.3.4, otherName:1.2.3.4;UTF8:some, dirName:dir
subjectKeyIdentifier = hash
tlsfeature = status_request
[dir]
C = DE
O = Example
CN = directory
[plain]
[ca]
default_ca = this
[this]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 30
crl_extensions = crlext
[crlext]
authorityKeyIdentifier = keyid:always
`;

function byOpenssl() {
  using folder = opensslFolder();
  const run = (...args: string[]) => {
    const { ok, output } = folder.run(...args);
    if (!ok) throw new Error(`openssl ${args.join(" ")}: ${output}`);
  };
  const bytes = (name: string) => new Uint8Array(readFileSync(folder.path(name)));
  const der = (name: string, label: string) => parsePem(new TextDecoder().decode(bytes(name)), label);
  folder.write("c", config);
  const keys: readonly (readonly [string, ...string[]])[] = [
    ["p256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ["p384", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ["p521", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
    ["rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    ["ed", "-algorithm", "ED25519"],
  ];
  const certificates: Uint8Array[] = [];
  const requests: Uint8Array[] = [];
  for (const [name, ...options] of keys) {
    run("genpkey", ...options, "-out", `${name}.key`);
    for (const section of ["full", "leaf", "plain"]) {
      const subject = ["-subj", `/C=DE/O=Example/OU=A+CN=${name}`, "-multivalue-rdn"];
      const common = ["-config", "c", "-key", `${name}.key`, ...subject];
      run("req", "-x509", ...common, "-days", "30", "-extensions", section, "-out", "out.pem");
      certificates.push(...der("out.pem", "CERTIFICATE"));
      run("req", "-new", ...common, "-reqexts", section === "full" ? "plain" : section, "-out", "out.csr");
      requests.push(...der("out.csr", "CERTIFICATE REQUEST"));
      if (section === "full") folder.write(`${name}.pem`, bytes("out.pem"));
    }
  }
  run(
    "req",
    "-x509",
    "-config",
    "c",
    "-key",
    "rsa.key",
    "-subj",
    "/CN=pss",
    "-sigopt",
    "rsa_padding_mode:pss",
    "-sigopt",
    "rsa_pss_saltlen:32",
    "-out",
    "out.pem",
  );
  certificates.push(...der("out.pem", "CERTIFICATE"));

  folder.write("crlnumber", "1000\n");
  folder.write(
    "index.txt",
    ["01", "02", "7F80"]
      .map(
        (serial, i) =>
          `R\t301231235959Z\t26010112000${i}Z,${["keyCompromise", "superseded", "unspecified"][i]}\t${serial}\tunknown\t/CN=x${i}\n`,
      )
      .join(""),
  );
  const crls = ["p256", "rsa"].flatMap((name) => {
    run(
      "ca",
      "-config",
      "c",
      "-gencrl",
      "-cert",
      `${name}.pem`,
      "-keyfile",
      `${name}.key`,
      "-out",
      "out.crl",
    );
    return der("out.crl", "X509 CRL");
  });

  // Few iterations, so that a wrong byte is found fast; the passphrase is that of the key file target.
  const encrypted = ["p256", "rsa", "ed"].flatMap((name) =>
    (
      [
        ["aes-256-cbc", "hmacWithSHA256"],
        ["aes-128-cbc", "hmacWithSHA512"],
        ["aes-256-cbc", "hmacWithSHA1"],
        ["des3", "hmacWithSHA256"],
      ] as const
    ).map(([cipher, prf]) => {
      run(
        "pkcs8",
        "-topk8",
        "-in",
        `${name}.key`,
        "-v2",
        cipher,
        "-v2prf",
        prf,
        "-iter",
        "16",
        "-passout",
        `pass:${passphrase}`,
        "-out",
        "out.key",
      );
      return bytes("out.key");
    }),
  );
  run("ec", "-in", "p256.key", "-out", "sec1.key");
  run("pkcs8", "-topk8", "-in", "rsa.key", "-scrypt", "-passout", `pass:${passphrase}`, "-out", "scrypt.key");
  return {
    certificates,
    requests,
    crls,
    keyFiles: [
      ...keys.map(([name]) => bytes(`${name}.key`)),
      ...encrypted,
      bytes("sec1.key"),
      bytes("scrypt.key"),
    ],
  };
}

export const passphrase = "correct horse";
