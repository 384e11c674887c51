import type { Certificate } from "../pki/certificate.ts";
import { formatIpAddress } from "../pki/hostName.ts";
import { personOf } from "../pki/identity.ts";
import type { CertificateProfile } from "../pki/issue.ts";
import { isIssuedBy, type OpenAuthority } from "./authorityFiles.ts";
import { demandRenewable } from "./authorityIssue.ts";
import { type IssuedRecord, readCaIndex } from "./caIndex.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";
import type { NewFile } from "./files.ts";
import { credentialPaths } from "./issueFlags.ts";

/** @throws {CliError} exit code 1 unless this CA issued it, knows it and has not revoked it */
export function demandIssued(old: Certificate, { files, certificate }: OpenAuthority): IssuedRecord {
  if (!isIssuedBy(old, certificate))
    throw new CliError(
      exitCodes.refused,
      `${old.subjectText} was not issued by ${certificate.subjectText} and can't be renewed by it`,
    );
  const record = demandRenewable(old, readCaIndex(files.index).certificates);
  if (record.kind === "ca")
    throw new CliError(
      exitCodes.refused,
      `${old.subjectText} is this CA itself: everybody has a copy of a root's certificate, so it is not renewed but replaced`,
    );
  return record;
}

/** The identity of a certificate, to be issued again. @throws {PkiError} when it is not of the profile */
export function profileOf(old: Certificate, kind: IssuedRecord["kind"]): CertificateProfile {
  if (kind === "user") return { kind, ...personOf(old) };
  const commonName = old.commonName ?? "";
  if (kind === "intermediate") return { kind, commonName };
  return {
    kind: "server",
    commonName,
    dnsNames: old.dnsNames,
    ipAddresses: old.ipAddresses.map(formatIpAddress),
  };
}

type Place = Pick<NewFile, "path" | "replace">;

/** Where the renewal's files go: to `--out`, or in place of the old ones, which stay under `NAME-SERIAL8_…`. */
export function renewalPlaces(
  args: Arguments,
  file: string,
  old: Certificate,
  makesKey: boolean,
): { readonly cert: Place; readonly key: Place; readonly chain: Place } {
  const out = args.text("out");
  if (out !== undefined) {
    const { cert, key, chain } = credentialPaths(out);
    const replace = args.has("force") ? { replace: true as const } : {};
    return {
      cert: { path: cert, ...replace },
      key: { path: key, ...replace },
      chain: { path: chain, ...replace },
    };
  }
  const prefix = file.endsWith("_cert.pem") ? file.slice(0, -"_cert.pem".length) : undefined;
  if (prefix === undefined && makesKey)
    throw usageError(`where does the new key go? ${file} is not of the form NAME_cert.pem: use --out PREFIX`);
  const stem = prefix ?? file.replace(/\.[A-Za-z0-9]+$/, "");
  const before = credentialPaths(`${stem}-${old.serial.slice(0, 8)}`);
  const { key, chain } = credentialPaths(stem);
  return {
    cert: { path: file, replace: before.cert },
    key: { path: key, replace: before.key },
    chain: { path: chain, replace: before.chain },
  };
}
