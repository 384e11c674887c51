import type { Hex } from "../base/hex.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { RevocationReason } from "../pki/pkiError.ts";
import {
  type Authority,
  isIssuedBy,
  isoTime,
  nowSeconds,
  recordOf,
  recordsFor,
  statusOf,
} from "./authorityFiles.ts";
import { whoIs } from "./authorityIssue.ts";
import { type IndexRecord, type IssuedRecord, withCaIndex } from "./caIndex.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import { printWarning } from "./warning.ts";

export interface RevocationOrder {
  readonly authority: Authority;
  /** The certificate, or its serial number where the file is not at hand. */
  readonly target: Certificate | Hex;
  readonly reason: RevocationReason;
  /** Since when it is not to be trusted; now, when left out. */
  readonly atMs?: number | undefined;
}

/**
 * Marks a certificate as revoked. It stays so, but for `certificateHold`, which may become another reason. A key that is
 * compromised is so under each of its certificates: `keyCompromise` revokes the others (before and after a renewal) as
 * well. Needs no key; the next list says it to others.
 *
 * @returns the records as they are now, the one that was asked for first
 * @throws {CliError} exit code 1: not issued by this CA, unknown serial number, revoked already; 2: the time is not one
 */
export async function revoke(order: RevocationOrder): Promise<readonly IssuedRecord[]> {
  const { authority, reason } = order;
  return await withCaIndex(authority.files.index, (index) => {
    const records = withTarget(recordsFor(authority, index), order);
    const record = findRecord(records, order);
    const at = revocationTime(record, order);
    const isSameKey = (other: IndexRecord) =>
      other.type === "certificate" &&
      other.kind !== "ca" &&
      other.key === record.key &&
      isRevocable(other, reason);
    const changed = new Map<IndexRecord, IssuedRecord>([[record, { ...record, revoked: { at, reason } }]]);
    for (const other of reason === "keyCompromise" ? records.filter(isSameKey) : [])
      if (other.type === "certificate" && other !== record)
        changed.set(other, { ...other, revoked: { at: Math.max(at, other.not_before), reason } });
    const written = records.map((old) => changed.get(old) ?? old);
    index.write(written);
    warnOfOthers(written, record);
    return [...changed.values()];
  });
}

/** After a renewal there are two certificates, and whoever revokes one of them may think that this was all. */
function warnOfOthers(records: readonly IndexRecord[], revoked: IssuedRecord): void {
  const nowMs = Date.now();
  for (const other of records) {
    if (other.type !== "certificate" || other.kind === "ca" || statusOf(other, nowMs) !== "live") continue;
    if (whoIs(other) !== whoIs(revoked) && other.key !== revoked.key) continue;
    printWarning(
      `${whoIs(other)} has another certificate that stays good${other.key === revoked.key ? ", of the same key" : ""} (until ${isoTime(other.not_after).slice(0, 10)}); if that is not meant, run "securechat ca revoke ${other.serial}"`,
    );
  }
}

/** Adds a certificate that this CA signed and the index does not know: all the more reason to revoke it. */
function withTarget(
  records: readonly IndexRecord[],
  { authority, target }: RevocationOrder,
): readonly IndexRecord[] {
  if (typeof target === "string" || hasSerial(records, target.serial)) return records;
  if (!isIssuedBy(target, authority.certificate)) throw notIssued(target, authority);
  printWarning(`serial ${target.serial} was not in the index; it is now`);
  return [...records, recordOf(target, kindOf(target))];
}

function hasSerial(records: readonly IndexRecord[], serial: string): boolean {
  return records.some((record) => record.type === "certificate" && record.serial === serial);
}

function findRecord(records: readonly IndexRecord[], { authority, target }: RevocationOrder): IssuedRecord {
  const serial = typeof target === "string" ? target : target.serial;
  const record = records.find((known) => known.type === "certificate" && known.serial === serial);
  if (record?.type !== "certificate")
    throw new CliError(
      exitCodes.refused,
      `serial ${serial} is not in the index of ${authority.certificate.subjectText}`,
    );
  // Another CA's certificate can have the number of one of ours.
  if (typeof target !== "string" && record.fingerprint !== target.fingerprint)
    throw notIssued(target, authority);
  return record;
}

function notIssued(certificate: Certificate, { certificate: ca }: Authority): CliError {
  return new CliError(
    exitCodes.refused,
    `${certificate.subjectText} was not issued by ${ca.subjectText} as its index has it`,
  );
}

function isRevocable({ revoked }: IssuedRecord, reason: RevocationReason): boolean {
  return revoked === null || (revoked.reason === "certificateHold" && reason !== "certificateHold");
}

/** @returns since when. @throws {CliError} as `revoke` */
function revocationTime(record: IssuedRecord, { reason, atMs }: RevocationOrder): number {
  if (record.kind === "ca")
    throw new CliError(
      exitCodes.refused,
      "a CA can't revoke itself: an issuing CA is revoked by the root, and a root is left behind by handing out another",
    );
  if (record.revoked !== null && !isRevocable(record, reason))
    throw new CliError(
      exitCodes.refused,
      `${whoIs(record)} (serial ${record.serial}) is revoked already, since ${isoTime(record.revoked.at)} (${record.revoked.reason})`,
    );
  // What was put on hold counts as revoked from then on.
  const at = atMs ?? record.revoked?.at ?? Math.max(nowSeconds(), record.not_before);
  if (atMs !== undefined && at > Date.now()) throw usageError(`--at ${isoTime(at)} is in the future`);
  if (at < record.not_before)
    throw usageError(
      `--at ${isoTime(at)} is before the certificate was valid (${isoTime(record.not_before)})`,
    );
  return at;
}

function kindOf(certificate: Certificate): IssuedRecord["kind"] {
  if (certificate.basicConstraints?.ca === true) return "intermediate";
  return certificate.emails.length > 0 ? "user" : "server";
}
