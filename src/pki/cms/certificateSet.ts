import { encodeHex } from "../../base/hex.ts";
import type { Certificate } from "../certificate.ts";
import { PkiError } from "../pkiError.ts";
import { encodeIssuerAndSerial } from "./signedAttributes.ts";
import type { SignerInfo } from "./signerInfo.ts";

/**
 * The certificates that belong into a file with these signers: their own, their counter signers', and those of
 * `pool` that by name can be on the way from one of them to a root. Whether they are is for `verifyPath` to say;
 * `uncoveredParts` then finds what no path went through.
 *
 * @returns each certificate once
 */
export function neededCertificates(
  signers: readonly (SignerInfo & { readonly counterSignatures: readonly SignerInfo[] })[],
  pool: readonly Certificate[],
): Certificate[] {
  const bySubject = new Map<string, Certificate[]>();
  for (const certificate of pool) {
    const subject = encodeHex(certificate.subject);
    const same = bySubject.get(subject);
    if (same === undefined) bySubject.set(subject, [certificate]);
    else same.push(certificate);
  }
  const needed = new Map<string, Certificate>();
  const open = signers.flatMap(({ certificate, counterSignatures }) => [
    certificate,
    ...counterSignatures.map((counter) => counter.certificate),
  ]);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (needed.has(next.fingerprint)) continue;
    needed.set(next.fingerprint, next);
    open.push(...(bySubject.get(encodeHex(next.issuer)) ?? []));
  }
  return [...needed.values()];
}

/**
 * @returns certificates by the hex of their IssuerAndSerialNumber, which is how a SignerInfo names them
 * @throws {PkiError} `CMS_CONFLICT` when two have the same: an issuer gives a serial number once, and of an ECDSA
 *  certificate anybody can make a second one with another encoding of the same signature
 */
export function indexByIssuerAndSerial(
  certificates: readonly Certificate[],
): ReadonlyMap<string, Certificate> {
  const index = new Map<string, Certificate>();
  for (const certificate of certificates) {
    const key = encodeHex(encodeIssuerAndSerial(certificate));
    if (index.has(key))
      throw new PkiError(
        "CMS_CONFLICT",
        `CMS: two certificates with the issuer and serial number of ${certificate.subjectText}`,
      );
    index.set(key, certificate);
  }
  return index;
}
