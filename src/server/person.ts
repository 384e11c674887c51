import { encodeUtf8 } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import type { LogState } from "../log/conversationLog.ts";
import { authorityOf, memberOf } from "../log/memberIdentity.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { CertificateRecord } from "../store/accountStore.ts";

/**
 * How the store names a person: SHA-256 of `<authority>\n<username>\n<email>\n`, where the authority is SHA-256 of the
 * CA's public key. All certificates of a person have it in common.
 */
export function personId(person: { authority: Hex; username: string; email: string }): Hex {
  return encodeHex(sha256(encodeUtf8(`${person.authority}\n${person.username}\n${person.email}\n`)));
}

/** @returns the persons in the roster */
export function personsOf(state: LogState): ReadonlySet<Hex> {
  const persons = new Set<Hex>();
  for (const { fingerprint } of state.roster) {
    const device = state.senders.get(fingerprint);
    if (device !== undefined) persons.add(personId(device));
  }
  return persons;
}

/** @returns how a verified certificate is kept: its path without the trust anchor @throws {PkiError} `NOT_A_PERSON` */
export function certificateRecord(verified: VerifiedCertificate, role: "user" | "server"): CertificateRecord {
  const { certificate, chain } = verified;
  const issuer = chain[1] ?? certificate;
  return {
    fingerprint: certificate.fingerprint,
    person: personId({ authority: authorityOf(verified), ...memberOf(certificate) }),
    role,
    // Issuers of one name but with different keys count serials apart.
    issuerSerial: `${encodeHex(sha256(issuer.publicKey.spki))} ${certificate.serial}`,
    chain: (chain.length > 1 ? chain.slice(0, -1) : chain).map(({ der }) => der),
  };
}
