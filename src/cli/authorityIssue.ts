import { existsSync, realpathSync } from "node:fs";
import { systemRandom } from "../crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { type CertificateProfile, issueCertificate } from "../pki/issue.ts";
import { formatPem } from "../pki/pem.ts";
import { commonNameFor } from "../pki/profile.ts";
import { refuseListed } from "./authorityCrl.ts";
import { isoTime, keyDigest, type OpenAuthority, recordOf, recordsFor, statusOf } from "./authorityFiles.ts";
import { type IssuedRecord, withCaIndex } from "./caIndex.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import { type NewFile, stageFiles } from "./files.ts";
import { printWarning } from "./warning.ts";

export interface IssueOrder {
  readonly authority: OpenAuthority;
  readonly profile: CertificateProfile;
  /** Whose certificate it is to be: SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The operator means it: the name may be live under another key. */
  readonly newKey: boolean;
  /** The certificate that this one is to succeed. */
  readonly renews?: Certificate;
  /** What to write. */
  readonly files: (certificate: Certificate) => readonly NewFile[];
}

/**
 * Issues a certificate, records it, writes its files. In this order: the files lie complete beside their places, the index
 * is stored, the files go to their places. So no certificate is ever out that the index does not know; after a crash
 * in between the index may know one that nobody got.
 *
 * @throws {CliError} exit code 1 when the name is live under another key, or the certificate to renew is not renewable
 */
export async function issueAndRecord(order: IssueOrder): Promise<Certificate> {
  const { authority, profile, spki, renews } = order;
  return await withCaIndex(authority.files.index, (index) => {
    const records = recordsFor(authority, index);
    if (renews !== undefined) {
      demandRenewable(renews, index.certificates);
      refuseListed(renews, authority);
    }
    if (!order.newKey) refuseLiveName(index.certificates, order);
    const certificate = decodeCertificate(
      issueCertificate({
        issuer: authority.certificate,
        issuerKey: authority.key,
        subjectSpki: spki,
        profile,
        notBeforeMs: order.notBeforeMs,
        notAfterMs: order.notAfterMs,
        random: systemRandom,
      }),
    );
    const record = recordOf(certificate, profile.kind);
    warnOfOddities(index.certificates, record);
    const files = order.files(certificate);
    refuseOwnFiles(files, authority);
    using staged = stageFiles(files);
    index.write([...records, record]);
    staged.publish();
    return certificate;
  });
}

/** PEM of the certificate, then of the issuing CAs below the root, which every peer needs and none has. */
export function formatChain(certificate: Certificate, { intermediates }: OpenAuthority): string {
  return [certificate, ...intermediates].map(({ der }) => formatPem("CERTIFICATE", der)).join("");
}

/** As `formatChain`, to the root: for programs that want a whole path in one file. */
export function formatChainToRoot(certificate: Certificate, authority: OpenAuthority): string {
  return formatChain(certificate, authority) + formatPem("CERTIFICATE", authority.certificate.der);
}

/** The record of a certificate that may be renewed. @throws {CliError} exit code 1 */
export function demandRenewable(
  certificate: Certificate,
  certificates: readonly IssuedRecord[],
): IssuedRecord {
  const record = certificates.find(({ fingerprint }) => fingerprint === certificate.fingerprint);
  if (record === undefined)
    throw new CliError(
      exitCodes.refused,
      `${certificate.subjectText} (serial ${certificate.serial}) is not in the index of this CA, so nobody knows whether it is good; issue a new certificate`,
    );
  if (record.revoked !== null)
    throw new CliError(
      exitCodes.refused,
      `${certificate.subjectText} (serial ${certificate.serial}) is revoked since ${isoTime(record.revoked.at)} (${record.revoked.reason}) and can't be renewed`,
    );
  return record;
}

/** Two keys under one name look like an impostor to everybody else, so the operator has to mean it. */
function refuseLiveName(certificates: readonly IssuedRecord[], { profile, spki }: IssueOrder): void {
  const name = commonNameFor(profile);
  const email = profile.kind === "user" ? profile.email.toLowerCase() : "";
  const key = keyDigest({ spki });
  const nowMs = Date.now();
  const live = certificates.find(
    (record) =>
      record.key !== key &&
      statusOf(record, nowMs) === "live" &&
      (record.name === name || (email !== "" && record.email.toLowerCase() === email)),
  );
  if (live === undefined) return;
  throw new CliError(
    exitCodes.refused,
    `${whoIs(live)} has a live certificate under another key (serial ${live.serial}, until ${isoTime(live.not_after).slice(0, 10)}); use --new-key to issue one more`,
  );
}

/** Nobody means `--force` for the key that signs: a user called `ca` has files of its name, and the key would be gone for good. */
function refuseOwnFiles(files: readonly NewFile[], { files: own }: OpenAuthority): void {
  const paths = [own.cert, own.key].map((file) => realpathSync(file));
  const file = files.find(({ path }) => existsSync(path) && paths.includes(realpathSync(path)));
  if (file !== undefined)
    throw usageError(`${file.path} is the CA's own; name another place for the new files with --out PREFIX`);
}

/** What is allowed, but seldom meant. */
function warnOfOddities(certificates: readonly IssuedRecord[], issued: IssuedRecord): void {
  const nowMs = Date.now();
  for (const record of certificates) {
    if (statusOf(record, nowMs) !== "live" || whoIs(record) === whoIs(issued)) continue;
    if (record.key === issued.key)
      printWarning(`${whoIs(record)} has the same key (serial ${record.serial})`);
    // Several nodes may serve one host, so this is no refusal.
    const host = record.hosts.find((name) => issued.hosts.includes(name));
    if (host !== undefined && record.key !== issued.key)
      printWarning(
        `${host} is also a host of the live certificate of ${record.name} (serial ${record.serial})`,
      );
  }
}

export function whoIs({ name, email }: Pick<IssuedRecord, "name" | "email">): string {
  return email === "" ? name : `${name} <${email}>`;
}
