import { existsSync } from "node:fs";
import { equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { type PrivateKey, sha256 } from "../crypto/crypto.ts";
import type { Certificate } from "../pki/certificate.ts";
import { formatIpAddress } from "../pki/hostName.ts";
import { keyMatchesCertificate } from "../pki/keyFile.ts";
import { type CaIndex, type IndexRecord, type IssuedRecord, recordLimits } from "./caIndex.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import { readCertificates, readKeyFile } from "./credentialFiles.ts";
import { printWarning } from "./warning.ts";

export const dayMs = 86_400_000;

/** Where an authority keeps its things. */
export interface AuthorityFiles {
  readonly cert: string;
  readonly key: string;
  /** Beside the key: whoever may issue may see to whom. `ca_key.pem` has `ca_index.jsonl`. */
  readonly index: string;
  /** Beside the certificate, and as public. `ca_cert.pem` has `ca_crl.pem`. */
  readonly crl: string;
}

export interface Authority {
  readonly files: AuthorityFiles;
  readonly certificate: Certificate;
  /** What stands behind a certificate that it issues: itself and the CAs above, without the root. */
  readonly intermediates: readonly Certificate[];
}

/** An authority that can sign. */
export interface OpenAuthority extends Authority {
  readonly key: PrivateKey;
  readonly keyEncrypted: boolean;
}

const defaultCert = "certs/ca_cert.pem";
const defaultKey = "certs/ca_key.pem";

export function authorityFiles(cert = defaultCert, key = defaultKey): AuthorityFiles {
  const stem = (file: string, ending: string) =>
    file.replace(/\.[A-Za-z0-9]+$/, "").replace(new RegExp(`_${ending}$`), "");
  return { cert, key, index: `${stem(key, "key")}_index.jsonl`, crl: `${stem(cert, "cert")}_crl.pem` };
}

/** As `authorityFiles`, of an authority that is there: NAME_cert.pem alone also names what lies beside it. */
export function existingAuthorityFiles(cert: string | undefined, key: string | undefined): AuthorityFiles {
  if (key === undefined && cert?.endsWith("_cert.pem") === true) {
    const beside = authorityFiles(cert, cert.replace(/_cert\.pem$/, "_key.pem"));
    if (existsSync(beside.key) || existsSync(beside.index)) return beside;
  }
  return authorityFiles(cert, key);
}

/** Reads what is public. @throws {CliError} exit code 2 */
export function readAuthority(files: AuthorityFiles): Authority {
  const [certificate, ...rest] = readCertificates(files.cert, "CA certificate", initHint);
  if (certificate.basicConstraints?.ca !== true) throw usageError(`${files.cert} is no CA's certificate`);
  const intermediates: Certificate[] = [];
  for (let next: Certificate | undefined = certificate; next !== undefined && !next.selfIssued; ) {
    intermediates.push(next);
    const { issuer }: Certificate = next;
    next = rest.find((above) => equalBytes(above.subject, issuer) && !intermediates.includes(above));
  }
  return { files, certificate, intermediates };
}

/** Reads the key as well, which asks for its passphrase. @throws {CliError} exit code 2; 1 when the CA has expired */
export async function openAuthority(files: AuthorityFiles, args: Arguments): Promise<OpenAuthority> {
  const authority = readAuthority(files);
  const { key, passphrase } = await readKeyFile(files.key, "CA private key", args, initHint);
  if (!keyMatchesCertificate(key, authority.certificate))
    throw usageError(`private key ${files.key} does not belong to certificate ${files.cert}`);
  if (authority.certificate.notAfterMs + 999 < Date.now())
    throw new CliError(
      exitCodes.refused,
      `the CA has expired: ${authority.certificate.subjectText} (not after ${isoTime(authority.certificate.notAfterMs)}); what it signs now is worth nothing`,
    );
  return { ...authority, key, keyEncrypted: passphrase !== undefined };
}

const initHint = 'make one with "securechat ca init"';

/**
 * From now for so many days.
 *
 * @throws {CliError} exit code 2 when the CA's own validity ends before
 */
export function validityOf(
  issuer: Certificate,
  days: number,
): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  const notBeforeMs = nowSeconds();
  const notAfterMs = notBeforeMs + days * dayMs;
  if (notAfterMs <= issuer.notAfterMs) return { notBeforeMs, notAfterMs };
  const left = Math.floor((issuer.notAfterMs - notBeforeMs) / dayMs);
  throw usageError(
    `${issuer.subjectText} expires before a certificate of ${days} days would; ${left < 1 ? "" : `use --days ${left} or less, or `}issue from a newer CA`,
  );
}

/** @returns whether this CA signed the certificate, whatever else may be wrong with it */
export function isIssuedBy(certificate: Certificate, ca: Certificate): boolean {
  const { signatureScheme, tbs, signature } = certificate;
  return (
    equalBytes(certificate.issuer, ca.subject) &&
    signatureScheme !== undefined &&
    ca.publicKey.verify(signatureScheme, tbs, signature)
  );
}

/**
 * The records to go on from. An index that isn't there is begun with the CA's own line.
 *
 * @throws {CliError} exit code 2 when the index is another CA's
 */
export function recordsFor({ certificate }: Authority, index: CaIndex): readonly IndexRecord[] {
  const [own] = index.records;
  if (own === undefined) {
    printWarning(
      `there is no index ${index.file}; a new one begins, which knows nothing of what was issued before`,
    );
    return [recordOf(certificate, "ca")];
  }
  if (own.type !== "certificate" || own.kind !== "ca" || own.key !== keyDigest(certificate.publicKey))
    throw usageError(`${index.file} is the index of another CA than ${certificate.subjectText}`);
  return index.records;
}

/**
 * The line of a certificate, as it is on the day that it is issued. One that was made beside the index may say anything: what
 * has no place in a line is cut off or left out.
 */
export function recordOf(certificate: Certificate, kind: IssuedRecord["kind"]): IssuedRecord {
  const { name, email, host } = recordLimits;
  const called = cut(certificate.commonName || certificate.subjectText, name);
  return {
    type: "certificate",
    serial: certificate.serial,
    fingerprint: certificate.fingerprint,
    kind,
    name: called === "" ? "(no name)" : called,
    email: kind === "user" ? cut(certificate.emails[0] ?? "", email) : "",
    hosts:
      kind === "server"
        ? hostsOf(certificate)
            .filter(({ length }) => length >= 1 && length <= host)
            .slice(0, recordLimits.hosts)
        : [],
    key: keyDigest(certificate.publicKey),
    not_before: Math.max(0, certificate.notBeforeMs),
    not_after: Math.max(0, certificate.notAfterMs),
    issued_at: Date.now(),
    revoked: null,
  };
}

/** @returns the characters of `text` that fit into so many bytes */
function cut(text: string, bytes: number): string {
  const out = new Uint8Array(bytes);
  return text.slice(0, new TextEncoder().encodeInto(text, out).read);
}

export function hostsOf({ dnsNames, ipAddresses }: Certificate): readonly string[] {
  return [...dnsNames, ...ipAddresses.map(formatIpAddress)];
}

/** SHA-256 of the SubjectPublicKeyInfo. */
export function keyDigest({ spki }: { readonly spki: Uint8Array }): Hex {
  return encodeHex(sha256(spki));
}

export type IssuedStatus = "live" | "expired" | "revoked";

export function statusOf({ revoked, not_after }: IssuedRecord, nowMs: number): IssuedStatus {
  if (revoked !== null) return "revoked";
  return not_after + 999 < nowMs ? "expired" : "live";
}

/** The clock in ms, whole seconds: certificates and lists know no parts of them. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000) * 1000;
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
