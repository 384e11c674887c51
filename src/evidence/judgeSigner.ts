import { memberOf, servesAs } from "../log/memberIdentity.ts";
import type { Signer } from "../pki/cms/signedData.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { EvidenceContext } from "./evidenceContext.ts";
import { EvidenceError } from "./evidenceError.ts";
import type { ReceiptStatement } from "./receiptStatement.ts";

export interface JudgedSigner {
  /** As in its certificate, whose path is good: a statement may call anybody anything. */
  readonly name: string;
  readonly role: "member" | "server";
  readonly path: VerifiedCertificate;
  /** The earliest counter signature by the server, ms, or `null`. */
  readonly countersignedAt: number | null;
  /** Of the signer and its counter signers. */
  readonly paths: readonly VerifiedCertificate[];
  /**
   * When its certificate is known to be revoked, and nothing but the signer's own clock says that it signed before that:
   * whoever has the key now can have made this signature.
   */
  readonly doubtedSince: number | undefined;
}

/**
 * Who a signer is in this conversation, and whether its certificate was good when that can be told. The signature itself has
 * been verified.
 *
 * @param serverName as the log's first entry names it, else as the statement does
 * @throws {EvidenceError} `SIGNER_UNKNOWN`; {PkiError} from the path, and `REVOKED`
 */
export function judgeSigner(
  signer: Signer,
  { statement, serverName }: { statement: ReceiptStatement; serverName: string },
  { book, revocations }: Pick<EvidenceContext, "book" | "revocations">,
): JudgedSigner {
  const isServer = servesAs(signer.certificate, serverName);
  if (!isServer && !statement.members.some(({ fingerprint }) => fingerprint === signer.fingerprint))
    throw new EvidenceError("SIGNER_UNKNOWN", "it is neither a member's nor the server's certificate");

  // Nobody can have signed for an entry before it was received, whatever a clock says: that bounds every time from below.
  const { to } = statement;
  const paths: VerifiedCertificate[] = [];
  let countersignedAt: number | null = null;
  for (const counter of signer.counterSignatures) {
    if (!servesAs(counter.certificate, serverName))
      throw new EvidenceError(
        "SIGNER_UNKNOWN",
        "the counter signature is not by the server of this conversation",
      );
    const atMs = Math.max(counter.signingTimeMs, to);
    const path = book.certificateAt(counter.fingerprint, atMs);
    refuseRevoked(path, atMs, revocations);
    paths.push(path);
    countersignedAt = Math.min(countersignedAt ?? counter.signingTimeMs, counter.signingTimeMs);
  }
  // A member's own clock proves nothing: the server's counter signature does. The server's time is its own word.
  const atMs = Math.max(countersignedAt ?? (isServer ? signer.signingTimeMs : to), to);
  const path = book.certificateAt(signer.fingerprint, atMs);
  const revokedAt = refuseRevoked(path, atMs, revocations);
  return {
    name: isServer ? serverName : memberOf(signer.certificate).username,
    role: isServer ? "server" : "member",
    path,
    countersignedAt,
    paths: [...paths, path],
    doubtedSince: isServer || countersignedAt === null ? revokedAt : undefined,
  };
}

/** @returns when it was revoked after that. @throws {PkiError} `REVOKED` when it was at `atMs` */
function refuseRevoked(
  path: VerifiedCertificate,
  atMs: number,
  revocations: EvidenceContext["revocations"],
): number | undefined {
  const revokedAt = revocations.revokedAt(path);
  if (revokedAt !== undefined && revokedAt <= atMs)
    throw new PkiError(
      "REVOKED",
      `the certificate of ${path.certificate.subjectText} had been revoked on ${new Date(revokedAt).toISOString()}`,
    );
  return revokedAt;
}
