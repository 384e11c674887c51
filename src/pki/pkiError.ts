import { CodedError } from "../base/codedError.ts";
import type { Hex } from "../base/hex.ts";

/** CRLReason (RFC 5280 §5.3.1): name to number. `removeFromCRL` (8) belongs to delta CRLs, 7 is unused. */
export const revocationReasons = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const;
export type RevocationReason = keyof typeof revocationReasons;

/** One code per ground for refusal; docs/PROTOCOL.md lists what each means. */
export type PkiErrorCode =
  // encodings
  | "PEM_MALFORMED"
  | "DER_MALFORMED"
  | "TOO_LARGE"
  // one certificate, before any path
  | "CERTIFICATE_MALFORMED"
  | "VERSION_UNSUPPORTED"
  | "SERIAL_INVALID"
  | "EXTENSION_MALFORMED"
  | "DUPLICATE_EXTENSION"
  | "ALGORITHM_MISMATCH"
  | "ALGORITHM_UNSUPPORTED"
  | "KEY_UNSUPPORTED"
  | "KEY_MALFORMED"
  // the path
  | "NO_PATH"
  | "PATH_TOO_LONG"
  | "PATH_TOO_COMPLEX"
  | "SIGNATURE_INVALID"
  | "NOT_YET_VALID"
  | "EXPIRED"
  | "NOT_A_CA"
  | "PATH_LENGTH_EXCEEDED"
  | "KEY_USAGE_WRONG"
  | "EXTENDED_KEY_USAGE_WRONG"
  | "UNKNOWN_CRITICAL_EXTENSION"
  | "EXTENSION_FORBIDDEN"
  | "NAME_CONSTRAINT_VIOLATED"
  | "NAME_CONSTRAINT_UNSUPPORTED"
  | "POLICY_REQUIRED"
  | "HOST_MALFORMED"
  | "HOST_MISMATCH"
  | "EMAIL_MISMATCH"
  // identity and issuing
  | "NOT_A_PERSON"
  | "NOT_A_SERVER"
  | "PROFILE_VIOLATED"
  | "REQUEST_MALFORMED"
  | "REQUEST_SIGNATURE_INVALID"
  // revocation
  | "REVOKED"
  | "REVOCATION_UNKNOWN"
  | "CRL_MALFORMED"
  | "CRL_UNSUPPORTED"
  | "CRL_ISSUER_MISMATCH"
  | "CRL_ISSUER_NOT_ALLOWED"
  | "CRL_SIGNATURE_INVALID"
  | "CRL_NOT_YET_VALID"
  | "CRL_EXPIRED"
  // key files
  | "PASSPHRASE_REQUIRED"
  | "WRONG_PASSPHRASE"
  | "ENCRYPTION_UNSUPPORTED"
  // CMS SignedData
  | "CMS_MALFORMED"
  | "CMS_UNSUPPORTED"
  | "CMS_TOO_LARGE"
  | "CMS_CONTENT_TYPE_WRONG"
  | "CMS_CONTENT_ATTACHED"
  | "CMS_ATTRIBUTE_MISSING"
  | "CMS_ATTRIBUTE_DUPLICATE"
  | "CMS_ATTRIBUTE_MALFORMED"
  | "CMS_ATTRIBUTE_UNKNOWN"
  | "CMS_CERTIFICATE_MISSING"
  | "CMS_CERTIFICATE_UNUSED"
  | "CMS_DIGEST_MISMATCH"
  | "CMS_SIGNATURE_INVALID"
  | "CMS_SIGNATURE_NOT_CANONICAL"
  | "CMS_SIGNER_MISMATCH"
  | "CMS_SIGNER_DUPLICATE"
  | "CMS_SIGNER_UNKNOWN"
  | "CMS_COUNTERSIGNATURE_INVALID"
  | "CMS_CONFLICT";

/** What a CRL says about a certificate. */
export interface Revocation {
  /** SHA-256 of the certificate that is on the list: the one asked about or a CA above it. */
  readonly fingerprint: Hex;
  readonly revokedAtMs: number;
  readonly reason: RevocationReason;
}

/** A certificate, list, key or signature was refused. */
export class PkiError extends CodedError<PkiErrorCode> {
  override readonly name = "PkiError";
  /** With code `REVOKED`: since when, and why. */
  readonly revocation: Revocation | undefined;

  constructor(code: PkiErrorCode, message: string, options?: { cause?: unknown; revocation?: Revocation }) {
    super(code, message, options);
    this.revocation = options?.revocation;
  }
}
