import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crypto, type PrivateKey } from "../../../src/crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../../../src/pki/certificate.ts";
import { parsePem } from "../../../src/pki/pem.ts";
import { requireOpenssl } from "./openssl.ts";

/** PEM files for the `openssl` program. */
export interface PartyFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface Party extends PartyFiles {
  readonly certificate: Certificate;
  readonly key: PrivateKey;
}

/** Who signs in the CMS tests. Their certificates are made by OpenSSL, so that it is the judge of both directions. */
export interface Parties {
  readonly folder: string;
  readonly ca: Party;
  /** p256 */
  readonly alice: Party;
  readonly bob: Party;
  readonly server: Party;
  /** rsa2048 */
  readonly carol: Party;
  /** ed25519 */
  readonly erin: Party;
  /** p256, certified by `intermediate` */
  readonly dave: Party;
  readonly intermediate: Party;
  /** Within the validity of all certificates. */
  readonly nowMs: number;
  /** @returns somebody new, certified by `issuer` */
  certify(name: string, keyType: KeyKind, profile: Profile, issuer: Party): Party;
  /** As `certify`, for keys that the profile does not have. */
  certifyFiles(name: string, keyType: KeyKind | "p384", profile: Profile, issuer: Party): PartyFiles;
  /** @returns a second certificate from the CA for a user's key and name */
  certifyAgain(party: Party): Party;
  /** @returns the path of a new file in `folder` */
  write(name: string, content: Uint8Array | string): string;
  remove(): void;
}

const config = `
[req]
distinguished_name = dn
prompt = no
[dn]
[root]
basicConstraints = critical, CA:TRUE, pathlen:1
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[user]
keyUsage = critical, digitalSignature, nonRepudiation
extendedKeyUsage = clientAuth, emailProtection
subjectAltName = email:person@example.org
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
keyUsage = critical, digitalSignature, nonRepudiation
extendedKeyUsage = serverAuth, emailProtection
subjectAltName = DNS:chat.example.org
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`;

const keyArguments = {
  p256: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
  p384: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"],
  rsa2048: ["-newkey", "rsa:2048"],
  ed25519: ["-newkey", "ed25519"],
} as const;

export type KeyKind = Exclude<keyof typeof keyArguments, "p384">;
export type Profile = "root" | "intermediate" | "user" | "server";

/** The caller removes them afterwards. */
export function makeParties(): Parties {
  const folder = mkdtempSync(join(tmpdir(), "securechat-cms-"));
  const write = (name: string, content: Uint8Array | string): string => {
    const file = join(folder, name);
    writeFileSync(file, content);
    return file;
  };
  const configFile = write("openssl.cnf", config);
  const request = (
    certificateFile: string,
    name: string,
    profile: Profile,
    issuer: Party | undefined,
    key: string[],
  ) =>
    requireOpenssl(
      ...["req", "-x509", "-config", configFile, "-extensions", profile, "-subj", `/O=Example/CN=${name}`],
      ...["-sha256", "-days", "30", ...key, "-out", certificateFile],
      ...(issuer === undefined ? [] : ["-CA", issuer.certificateFile, "-CAkey", issuer.keyFile]),
    );
  const certifyFiles = (
    name: string,
    keyType: keyof typeof keyArguments,
    profile: Profile,
    issuer?: Party,
  ): PartyFiles => {
    const [certificateFile, keyFile] = [join(folder, `${name}_cert.pem`), join(folder, `${name}_key.pem`)];
    request(certificateFile, name, profile, issuer, [...keyArguments[keyType], "-nodes", "-keyout", keyFile]);
    return { certificateFile, keyFile };
  };
  const certify = (name: string, keyType: KeyKind, profile: Profile, issuer?: Party): Party =>
    readParty(certifyFiles(name, keyType, profile, issuer));
  const ca = certify("ca", "p256", "root");
  const intermediate = certify("intermediate", "p256", "intermediate", ca);
  return {
    folder,
    ca,
    intermediate,
    alice: certify("alice", "p256", "user", ca),
    bob: certify("bob", "p256", "user", ca),
    server: certify("server", "p256", "server", ca),
    carol: certify("carol", "rsa2048", "user", ca),
    erin: certify("erin", "ed25519", "user", ca),
    dave: certify("dave", "p256", "user", intermediate),
    nowMs: ca.certificate.notBeforeMs + 60_000,
    certify,
    certifyFiles,
    certifyAgain({ certificate, keyFile }) {
      const certificateFile = join(folder, `${certificate.commonName}_again.pem`);
      request(certificateFile, certificate.commonName ?? "", "user", ca, ["-key", keyFile]);
      return readParty({ certificateFile, keyFile });
    },
    write,
    remove: () => rmSync(folder, { recursive: true }),
  };
}

function readParty({ certificateFile, keyFile }: PartyFiles): Party {
  const der = (file: string, label: string): Uint8Array => {
    const [block] = parsePem(readFileSync(file, "utf8"), label);
    if (block === undefined) throw new Error(`${file}: no ${label}`);
    return block;
  };
  return {
    certificate: decodeCertificate(der(certificateFile, "CERTIFICATE")),
    key: crypto().importPrivateKey(der(keyFile, "PRIVATE KEY")),
    certificateFile,
    keyFile,
  };
}
