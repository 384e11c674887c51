import { equalBytes } from "../base/bytes.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { personOf, serverNames } from "../pki/identity.ts";
import type { Account, CertificateRecord } from "../store/accountStore.ts";
import type { ServerIdentity } from "./ownIdentity.ts";
import { Refusal } from "./refusal.ts";

/** @throws {Refusal} `IDENTITY_MISMATCH` unless the certificate is of this email (and username) */
export function checkIdentity(
  certificate: Certificate,
  claim: { email: string; username?: string },
): { username: string } {
  const { email, username } = personOf(certificate);
  if (email !== claim.email || username !== (claim.username ?? username))
    throw new Refusal("IDENTITY_MISMATCH", "the certificate is of another username or email");
  return { username };
}

/** By its names a server is known, and its operator. @throws {Refusal} `IDENTITY_MISMATCH` */
export function refuseServerName(username: string, { verified }: ServerIdentity): void {
  if (serverNames(verified.certificate).includes(username))
    throw new Refusal("IDENTITY_MISMATCH", `${username} is a name of this server, and nobody else's`);
}

/**
 * An account stays with the key of its certificate: a renewed certificate of the same person over the same key may take
 * the old one's place, one over another key only when the old one has signed for it, or as long as the operator lets it.
 *
 * @param claim.hasRenewal whether the account's certificate is good and has signed for this one
 * @throws {Refusal} `IDENTITY_MISMATCH`
 */
export function checkBinding(
  account: Account,
  username: string,
  { record, nowMs, hasRenewal }: { record: CertificateRecord; nowMs: number; hasRenewal: boolean },
): void {
  if (account.username !== username)
    throw new Refusal("IDENTITY_MISMATCH", "the account of this email has another username");
  const bound = account.certificate;
  if (bound === undefined || bound.fingerprint === record.fingerprint) return;
  const mayBringKey = hasRenewal || (account.allowsNewKey && nowMs < (account.oneTimeUntilMs ?? 0));
  if (bound.person !== record.person || !(mayBringKey || equalBytes(spkiOf(bound), spkiOf(record))))
    throw new Refusal(
      "IDENTITY_MISMATCH",
      "the account is bound to a certificate with another key: have that one sign for this one, or ask the server's operator to move it",
    );
}

function spkiOf({ chain }: CertificateRecord): Uint8Array {
  const [leaf] = chain;
  if (leaf === undefined) throw new Refusal("INTERNAL", "a stored certificate has no chain");
  return decodeCertificate(leaf).publicKey.spki;
}
