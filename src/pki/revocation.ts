import { equalBytes } from "../base/bytes.ts";
import type { Certificate } from "./certificate.ts";
import { type Crl, verifyCrl } from "./crl.ts";
import { PkiError, type Revocation } from "./pkiError.ts";

export interface RevocationRequest {
  /** Leaf first, anchor last; already validated. */
  readonly chain: readonly Certificate[];
  readonly crls: readonly Crl[];
  /** When the lists are consulted: they must be current then. */
  readonly atMs: number;
  /** How long past its nextUpdate a CRL still counts; 0 when left out. */
  readonly crlGraceMs?: number;
  /** Refuse when the issuer of a certificate has no CRL among `crls`; without it such a certificate is let pass. */
  readonly crlRequired?: boolean;
}

export interface RevocationStatus {
  /** The revoked certificate nearest to the anchor, if there is one. */
  readonly revocation: Revocation | undefined;
  /** The earliest nextUpdate of the CRLs that were relied on; past it they want renewing. */
  readonly nextUpdateMs: number | undefined;
}

/**
 * Looks the certificates of a validated chain up in their issuers' CRLs (RFC 5280 §6.3, full CRLs only). The list
 * for a certificate is the one with the highest cRLNumber among those that its issuer (same Name, same key) signed and
 * that are current. A list that names the issuer but is not good for use never counts as "not revoked".
 *
 * Whether a certificate that is revoked since `revokedAtMs` still counts for something that happened before is the
 * caller's question: evidence asks it, posting and connecting don't.
 *
 * @throws {PkiError} `REVOCATION_UNKNOWN`, and what is wrong with the only lists there are: `CRL_NOT_YET_VALID`,
 * `CRL_EXPIRED`, `CRL_ISSUER_NOT_ALLOWED`, `CRL_SIGNATURE_INVALID`
 */
export function findRevocation(request: RevocationRequest): RevocationStatus {
  const { chain } = request;
  let revocation: Revocation | undefined;
  let nextUpdateMs: number | undefined;
  for (let index = chain.length - 2; index >= 0; index--) {
    const [certificate, issuer] = [chain[index], chain[index + 1]];
    if (certificate === undefined || issuer === undefined) break;
    const crl = currentCrl(certificate, issuer, request);
    if (crl === undefined) continue;
    nextUpdateMs = Math.min(nextUpdateMs ?? crl.nextUpdateMs, crl.nextUpdateMs);
    const entry = crl.revoked.get(certificate.serial);
    if (entry !== undefined)
      revocation ??= { fingerprint: certificate.fingerprint, revokedAtMs: entry.atMs, reason: entry.reason };
  }
  return { revocation, nextUpdateMs };
}

function currentCrl(
  certificate: Certificate,
  issuer: Certificate,
  request: RevocationRequest,
): Crl | undefined {
  const named = request.crls.filter((crl) => equalBytes(crl.issuer, certificate.issuer));
  let newest: Crl | undefined;
  let failure: PkiError | undefined;
  for (const crl of named) {
    try {
      verifyCrl(crl, issuer);
      checkCurrent(crl, request, issuer);
      if (newest === undefined || crl.number > newest.number) newest = crl;
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      failure ??= error;
    }
  }
  if (newest !== undefined) return newest;
  if (failure !== undefined) throw failure;
  if (request.crlRequired === true)
    throw new PkiError(
      "REVOCATION_UNKNOWN",
      `no CRL of ${issuer.subjectText} to check ${certificate.subjectText} against`,
    );
  return undefined;
}

function checkCurrent(crl: Crl, { atMs, crlGraceMs = 0 }: RevocationRequest, issuer: Certificate): void {
  const second = Math.floor(atMs / 1000) * 1000;
  if (second >= crl.thisUpdateMs && second <= crl.nextUpdateMs + crlGraceMs) return;
  if (second < crl.thisUpdateMs)
    throw new PkiError(
      "CRL_NOT_YET_VALID",
      `the CRL of ${issuer.subjectText} is from the future (${new Date(crl.thisUpdateMs).toISOString()})`,
    );
  throw new PkiError(
    "CRL_EXPIRED",
    `the CRL of ${issuer.subjectText} was due for renewal at ${new Date(crl.nextUpdateMs).toISOString()}: get the new one`,
  );
}
