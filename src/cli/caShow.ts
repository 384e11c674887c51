import type { Certificate } from "../pki/certificate.ts";
import { DerReader } from "../pki/der.ts";
import { formatName, readName } from "../pki/distinguishedName.ts";
import { hostsOf, isIssuedBy, isoTime, keyDigest, readAuthority } from "./authorityFiles.ts";
import { whoIs } from "./authorityIssue.ts";
import { caFiles, readTarget } from "./caFlags.ts";
import { type CaIndex, type IssuedRecord, readCaIndex } from "./caIndex.ts";
import { statusText } from "./caList.ts";
import { keyTypeText, printCertificate, printFields } from "./certificateText.ts";
import { CliError, exitCodes } from "./cliError.ts";
import type { Arguments } from "./commandLine.ts";

/** `securechat ca show [CERT]`: the CA's certificate or another, and what the index says about it. */
export function show(args: Arguments, operand: string | undefined): number {
  const files = caFiles(args);
  const index = readCaIndex(files.index);
  const target = operand === undefined ? readAuthority(files).certificate : readTarget(operand);
  const record = index.certificates.find((known) =>
    typeof target === "string" ? known.serial === target : known.fingerprint === target.fingerprint,
  );
  if (typeof target !== "string") {
    printCertificate(target, operand ?? files.cert, undefined);
    printDetails(target);
    const ca = operand === undefined ? target : readAuthority(files).certificate;
    printFields([["Status", statusLine(target, ca, record)]]);
    if (operand === undefined) printFields(summary(index));
    return exitCodes.done;
  }
  if (record === undefined)
    throw new CliError(exitCodes.refused, `serial ${target} is not in the index ${index.file}`);
  printFields([
    ["Name", whoIs(record)],
    ["Kind", record.kind],
    ...(record.hosts.length === 0 ? [] : [["Hosts", record.hosts.join(", ")] as const]),
    ["Serial", record.serial],
    ["Fingerprint", `sha256:${record.fingerprint}`],
    ["Valid from", isoTime(record.not_before)],
    ["Valid until", isoTime(record.not_after)],
    ["Status", statusText(record, Date.now())],
  ]);
  return exitCodes.done;
}

function printDetails(certificate: Certificate): void {
  const names = [...certificate.emails, ...hostsOf(certificate)];
  printFields([
    ["Issuer", formatName(readName(new DerReader(certificate.issuer)))],
    ...(names.length === 0 ? [] : [["Names", names.join(", ")] as const]),
    ["Key", `${keyTypeText(certificate.publicKey)} sha256:${keyDigest(certificate.publicKey)}`],
  ]);
}

function statusLine(certificate: Certificate, ca: Certificate, record: IssuedRecord | undefined): string {
  if (record !== undefined) return statusText(record, Date.now());
  if (!isIssuedBy(certificate, ca)) return `not issued by ${ca.subjectText}`;
  return "not in the index";
}

function summary({ certificates, crls }: CaIndex): readonly (readonly [string, string])[] {
  const issued = certificates.filter(({ kind }) => kind !== "ca");
  const crl = crls.at(-1);
  return [
    [
      "Issued",
      `${issued.length}, of them revoked: ${issued.filter(({ revoked }) => revoked !== null).length}`,
    ],
    [
      "Last list",
      crl === undefined ? "none" : `number ${crl.number}, next update ${isoTime(crl.next_update)}`,
    ],
  ];
}
