import type { Certificate } from "../pki/certificate.ts";
import { isoTime } from "./authorityFiles.ts";
import { CliError, exitCodes } from "./cliError.ts";
import { printWarning } from "./warning.ts";

const dayMs = 86_400_000;
/** How long before its end a certificate is warned about. */
const warningMs = 30 * dayMs;

/**
 * Warns of certificates that expire within 30 days.
 *
 * @param own leaf first, with the issuing CAs behind it
 * @param files where they were read from
 * @throws {CliError} exit code 1 when the own path, or every trusted CA, has expired
 */
export function checkExpiry(
  certificates: { own: readonly [Certificate, ...Certificate[]]; anchors: readonly Certificate[] },
  files: { cert: string; ca: string },
  nowMs: number,
): void {
  const [leaf, ...issuing] = certificates.own;
  const renew = `renew it with "securechat issue --renew ${files.cert}"`;
  if (isOver(leaf, nowMs)) throw expired("certificate", leaf, renew);
  warnIfSoon("certificate", leaf, nowMs, renew);

  const replaceIssuing = `a certificate that its successor issued has to take the place of ${files.cert}`;
  for (const authority of issuing) {
    if (isOver(authority, nowMs)) throw expired("CA certificate", authority, replaceIssuing);
    warnIfSoon("CA certificate", authority, nowMs, replaceIssuing);
  }
  const replaceCa = `get the organisation's new CA certificate for ${files.ca}`;
  const [over] = certificates.anchors;
  if (over !== undefined && certificates.anchors.every((anchor) => isOver(anchor, nowMs)))
    throw expired("CA certificate", over, replaceCa);
  for (const anchor of certificates.anchors) warnIfSoon("CA certificate", anchor, nowMs, replaceCa);
}

/** The last second is whole (RFC 5280 §4.1.2.5). */
function isOver({ notAfterMs }: Certificate, nowMs: number): boolean {
  return nowMs >= notAfterMs + 1000;
}

function expired(what: string, certificate: Certificate, remedy: string): CliError {
  return new CliError(
    exitCodes.refused,
    `${what} expired: ${nameOf(certificate)} (not after ${isoTime(certificate.notAfterMs)}); ${remedy}`,
  );
}

function warnIfSoon(what: string, certificate: Certificate, nowMs: number, remedy: string): void {
  const { notAfterMs } = certificate;
  if (nowMs <= notAfterMs - warningMs) return;
  const when = isOver(certificate, nowMs)
    ? "has expired"
    : `expires in ${Math.max(0, Math.floor((notAfterMs - nowMs) / dayMs))} days`;
  printWarning(`${what} of ${nameOf(certificate)} ${when} (not after ${isoTime(notAfterMs)}); ${remedy}`);
}

function nameOf({ commonName, subjectText }: Certificate): string {
  return commonName ?? subjectText;
}
