import { type Certificate, decodeCertificate } from "./certificate.ts";
import { decodeCrl } from "./crl.ts";
import { parsePem } from "./pem.ts";
import { PkiError, type PkiErrorCode } from "./pkiError.ts";
import { type Profile, type Purpose, type VerifiedCertificate, verifyPath } from "./verifyPath.ts";

export interface PemPathRequest {
  /** One certificate. */
  readonly leaf: string;
  /** Any number of certificates in any order, hostile. */
  readonly intermediates: string;
  /** The trusted CAs. */
  readonly anchors: string;
  /** Any number of `X509 CRL` blocks; none: revocation is not checked. */
  readonly crls?: string;
  readonly purpose: Purpose;
  /** A DNS name or IP literal that the certificate must be for. */
  readonly host?: string;
  /** An e-mail address that the certificate must be for. */
  readonly email?: string;
  /** ms since the epoch. */
  readonly atMs: number;
  /** Default `rfc5280`: anyone's certificates, not only those of SecureChat's profile. */
  readonly profile?: Profile;
  readonly maxIntermediates?: number;
  /** Default false: a certificate whose issuer has no CRL here is let pass. */
  readonly crlRequired?: boolean;
}

export type PemPathResult =
  | { readonly accepted: true; readonly path: VerifiedCertificate }
  | { readonly accepted: false; readonly code: PkiErrorCode; readonly message: string };

/**
 * Path validation in one call: PEM text in, accepted or a code out. It is `verifyPath` over decoded certificates, and what
 * to run a conformance suite or a foreign chain against.
 *
 * A leaf or CRL that doesn't decode is the answer; an intermediate or anchor that doesn't is of no use to any path and is
 * left out.
 */
export function verifyPem(request: PemPathRequest): PemPathResult {
  try {
    const {
      profile = "rfc5280",
      purpose,
      atMs,
      host,
      email,
      maxIntermediates,
      crlRequired = false,
    } = request;
    const leaves = parsePem(request.leaf, "CERTIFICATE");
    const [leaf] = leaves;
    if (leaf === undefined || leaves.length > 1)
      throw new PkiError("PEM_MALFORMED", `${leaves.length} certificates in place of the one to judge`);
    const path = verifyPath({
      leaf: decodeCertificate(leaf),
      intermediates: usable(parsePem(request.intermediates, "CERTIFICATE")),
      anchors: usable(parsePem(request.anchors, "CERTIFICATE")),
      crls: parsePem(request.crls ?? "", "X509 CRL").map(decodeCrl),
      purpose,
      atMs,
      profile,
      crlRequired,
      ...(host === undefined ? {} : { host }),
      ...(email === undefined ? {} : { email }),
      ...(maxIntermediates === undefined ? {} : { maxIntermediates }),
    });
    return { accepted: true, path };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    return { accepted: false, code: error.code, message: error.message };
  }
}

function usable(ders: readonly Uint8Array[]): Certificate[] {
  return ders.flatMap((der) => {
    try {
      return [decodeCertificate(der)];
    } catch (error) {
      if (error instanceof PkiError) return [];
      throw error;
    }
  });
}
