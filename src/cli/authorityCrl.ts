import { readFileSync } from "node:fs";
import { type Hex, isHex } from "../base/hex.ts";
import type { Certificate } from "../pki/certificate.ts";
import { type Crl, issueCrl, parseCrlFile, type RevokedEntry, verifyCrl } from "../pki/crl.ts";
import { formatPem } from "../pki/pem.ts";
import { PkiError } from "../pki/pkiError.ts";
import {
  type Authority,
  dayMs,
  isoTime,
  nowSeconds,
  type OpenAuthority,
  recordsFor,
} from "./authorityFiles.ts";
import { type CrlRecord, type IssuedRecord, withCaIndex } from "./caIndex.ts";
import { CliError, exitCodes, usageError } from "./cliError.ts";
import { stageFiles } from "./files.ts";
import { printWarning } from "./warning.ts";

/**
 * Signs the list of all that is revoked, with the next cRLNumber, and puts it in place of the one before, under the lock
 * of the index: a later list is never overwritten by an earlier. Expired certificates stay on it, since signatures are
 * judged years later.
 *
 * What the list in place says is never taken back: if it knows more than the index (one that was restored from a
 * backup, or begun anew), its entries stay and its number is exceeded.
 */
export async function publishCrl(order: {
  readonly authority: OpenAuthority;
  readonly days: number;
  readonly file: string;
}): Promise<CrlRecord> {
  const { authority, days, file } = order;
  return await withCaIndex(authority.files.index, (index) => {
    const records = recordsFor(authority, index);
    const published = readPublished(file, authority.certificate);
    const revoked = revokedIn(index.certificates, published, file);
    const last = index.crls.at(-1);
    const thisUpdateMs = nowSeconds();
    const latest = Math.max(last?.this_update ?? 0, published?.thisUpdateMs ?? 0);
    if (thisUpdateMs < latest)
      throw new CliError(
        exitCodes.refused,
        `the clock of this machine (${isoTime(thisUpdateMs)}) is behind the last list (${isoTime(latest)}); set it right first`,
      );
    const number = Math.max(last?.number ?? 0, Number(published?.number ?? 0n)) + 1;
    if (!Number.isSafeInteger(number)) throw usageError(`${file} has a number that can't be exceeded`);
    const nextUpdateMs = thisUpdateMs + days * dayMs;
    const der = issueCrl({
      issuer: authority.certificate,
      issuerKey: authority.key,
      number: BigInt(number),
      thisUpdateMs,
      nextUpdateMs,
      revoked,
    });
    const record: CrlRecord = {
      type: "crl",
      number,
      this_update: thisUpdateMs,
      next_update: nextUpdateMs,
      entries: revoked.size,
    };
    using staged = stageFiles([
      { path: file, content: formatPem("X509 CRL", der), mode: 0o644, replace: true },
    ]);
    index.write([...records, record]);
    staged.publish();
    return record;
  });
}

function revokedIn(
  certificates: readonly IssuedRecord[],
  published: Crl | undefined,
  file: string,
): ReadonlyMap<Hex, RevokedEntry> {
  const revoked = new Map<Hex, RevokedEntry>(published?.revoked);
  const known = new Set<string>();
  for (const { serial, revoked: entry } of certificates) {
    if (entry === null || !isHex(serial)) continue;
    known.add(serial);
    revoked.set(serial, { atMs: entry.at, reason: entry.reason });
  }
  for (const serial of revoked.keys())
    if (!known.has(serial))
      printWarning(`serial ${serial} stays revoked, as ${file} says; the index does not know of it`);
  return revoked;
}

/**
 * An index that was restored from a backup takes nothing back: what the list in place says to be revoked is not renewed either.
 *
 * @throws {CliError} exit code 1; 2 when something else stands in the list's place
 */
export function refuseListed(renewed: Certificate, { files, certificate }: Authority): void {
  const entry = readPublished(files.crl, certificate)?.revoked.get(renewed.serial);
  if (entry !== undefined)
    throw new CliError(
      exitCodes.refused,
      `${renewed.subjectText} (serial ${renewed.serial}) is revoked since ${isoTime(entry.atMs)} (${entry.reason}), as ${files.crl} says, and can't be renewed; the index does not know of it`,
    );
}

/** The list that stands in place. @throws {CliError} exit code 2 when it is something else, which must not be lost */
function readPublished(file: string, ca: Certificate): Crl | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw usageError(`can't read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  try {
    const crl = parseCrlFile(bytes);
    verifyCrl(crl, ca);
    return crl;
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    throw usageError(
      `${file} is no revocation list of ${ca.subjectText} (${cause.message}); move it away or name another file`,
      cause,
    );
  }
}
