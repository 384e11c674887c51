import { concatBytes, equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import type { Certificate } from "./certificate.ts";
import { type Crl, verifyCrl } from "./crl.ts";
import { findPath } from "./pathSearch.ts";
import { PkiError } from "./pkiError.ts";
import { checkPolicies } from "./policies.ts";

const maxIntermediates = 8;

/**
 * Finds the CA that signed a list and that an anchor vouches for: an anchor itself, or an issuing CA with a path to one.
 *
 * @param authorities certificates of issuing CAs from anywhere; they are candidates, not trusted
 * @throws {PkiError} `CRL_ISSUER_MISMATCH` when no candidate has the issuer's name, else what the last one was refused for
 */
export function findCrlIssuer(crl: Crl, { anchors, authorities, atMs }: CrlTrust): Certificate {
  let refusal = new PkiError("CRL_ISSUER_MISMATCH", "the CRL is not one of a CA that is trusted here");
  const candidates = [...anchors, ...authorities].filter(({ subject }) => equalBytes(subject, crl.issuer));
  for (const issuer of candidates)
    try {
      verifyCrl(crl, issuer);
      if (!anchors.includes(issuer)) verifyAuthority(issuer, { anchors, authorities, atMs });
      return issuer;
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      refusal = error;
    }
  throw refusal;
}

export interface CrlTrust {
  readonly anchors: readonly Certificate[];
  readonly authorities: readonly Certificate[];
  /** When the path of an issuing CA is judged, ms. */
  readonly atMs: number;
}

/** @returns what stands for a CA over all its certificates: SHA-256 of its Name and its public key, both DER */
export function authorityKey({ subject, publicKey }: Certificate): Hex {
  // Both are DER, so each ends where it says: one after the other they can't be read in two ways.
  return encodeHex(sha256(concatBytes(subject, publicKey.spki)));
}

/** RFC 5280 §6 for a CA's own certificate: the path above it, with `evidence` as what its users' certificates are for. */
function verifyAuthority(authority: Certificate, { anchors, authorities, atMs }: CrlTrust): void {
  findPath({
    leaf: authority,
    intermediates: authorities.filter((other) => other !== authority),
    anchors,
    purpose: "evidence",
    atMs,
    maxIntermediates,
    judge: checkPolicies,
  });
}
