import { decodeUtf8, equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import type { PublicKey } from "../crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { formatPem, parsePem } from "../pki/pem.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type VerifiedCertificate, verifyPath } from "../pki/verifyPath.ts";
import type { EvidenceFile } from "./evidenceInput.ts";
import type { Findings } from "./report.ts";

// Whoever made the certificates can make what fails cost most, so there is an end to it. One failure is enough for a verdict.
/** Searches for a path that end without one: each may cost a hundred signature checks. */
const maxRefusals = 100;
/** Signatures that are tried beside paths: twice what a file full of certificates by one CA takes. */
const maxTriedSignatures = 2048;

/**
 * The certificates of one body of evidence. They come from the folder and prove nothing until a path leads from them to
 * an anchor that the verifier brought along.
 */
export class CertificateBook {
  readonly #anchors: readonly Certificate[];
  readonly #byFingerprint = new Map<Hex, Certificate>();
  readonly #authorities: readonly Certificate[];
  readonly #used = new Set<Hex>();
  /** The last good judgement of each leaf: it holds as long as the whole chain is valid. */
  readonly #verified = new Map<Hex, VerifiedCertificate>();
  /** Why a certificate was refused, once each. */
  readonly #refused = new Map<Hex, PkiError>();
  #refusals = 0;
  #triedSignatures = 0;

  /** @param certificates from `certificates.pem` and from the receipts, each once */
  constructor(certificates: readonly Certificate[], anchors: readonly Certificate[]) {
    this.#anchors = anchors;
    for (const certificate of certificates) this.#byFingerprint.set(certificate.fingerprint, certificate);
    this.#authorities = [...this.#byFingerprint.values()].filter(isAuthority);
  }

  get refused(): ReadonlyMap<Hex, PkiError> {
    return this.#refused;
  }

  /** Anchors, and authorities that stand on a path that was found good. */
  get trustedAuthorities(): readonly Certificate[] {
    const onPaths = [...this.#verified.values()].flatMap(({ chain }) => chain.slice(1));
    const each = new Map(
      [...this.#anchors, ...onPaths].map((authority) => [authority.fingerprint, authority]),
    );
    return [...each.values()];
  }

  find(fingerprint: Hex): Certificate | undefined {
    return this.#byFingerprint.get(fingerprint);
  }

  /** @returns the path of a certificate that was judged good at some time */
  verified(fingerprint: Hex): VerifiedCertificate | undefined {
    return this.#verified.get(fingerprint);
  }

  /**
   * Judges a signer's certificate at a time, without CRLs: those are a matter of the verdict.
   *
   * @throws {PkiError} `CMS_CERTIFICATE_MISSING` when it is not here, `PATH_TOO_COMPLEX` after too many others had no path,
   *  and what `verifyPath` throws
   */
  certificateAt(fingerprint: Hex, atMs: number): VerifiedCertificate {
    const known = this.#verified.get(fingerprint);
    // Both ends are inclusive and whole seconds (RFC 5280 §4.1.2.5).
    if (known !== undefined && atMs >= known.validFromMs && atMs < known.validUntilMs + 1000) return known;
    const leaf = this.#byFingerprint.get(fingerprint);
    if (leaf === undefined)
      throw new PkiError("CMS_CERTIFICATE_MISSING", `certificate ${fingerprint} is not in certificates.pem`);
    this.#used.add(fingerprint);
    if (this.#refusals === maxRefusals)
      throw new PkiError(
        "PATH_TOO_COMPLEX",
        `${maxRefusals} certificates had no path to a trusted CA: no more were looked at`,
      );
    try {
      const verified = verifyPath({
        leaf,
        intermediates: this.#authorities,
        anchors: this.#anchors,
        crls: [],
        purpose: "evidence",
        atMs,
      });
      this.#verified.set(fingerprint, verified);
      for (const certificate of verified.chain) this.#used.add(certificate.fingerprint);
      return verified;
    } catch (error) {
      this.#refusals++;
      if (error instanceof PkiError && !this.#refused.has(fingerprint)) this.#refused.set(fingerprint, error);
      throw error;
    }
  }

  /**
   * Certificates that no check has looked at: where everything was read there are none in an honest folder, and a changed
   * byte in one would go unnoticed. The CA's own certificate may stand there in another edition than the verifier's: same
   * key, and its signature over itself is good.
   */
  unused(): readonly Certificate[] {
    return [...this.#byFingerprint.values()].filter(
      (certificate) => !this.#used.has(certificate.fingerprint) && !this.#isEditionOfAnchor(certificate),
    );
  }

  /**
   * @returns whether an anchor or an authority in here, whoever that is, has signed it; `undefined` when so many
   *  signatures have been tried that no more are
   */
  isSignedByKnownAuthority(certificate: Certificate): boolean | undefined {
    for (const authority of [...this.#anchors, ...this.#authorities]) {
      if (!equalBytes(authority.subject, certificate.issuer)) continue;
      if (this.#triedSignatures === maxTriedSignatures) return undefined;
      this.#triedSignatures++;
      if (isSignedBy(certificate, authority.publicKey)) return true;
    }
    return false;
  }

  #isEditionOfAnchor(certificate: Certificate): boolean {
    return this.#anchors.some(
      (anchor) =>
        anchor.fingerprint === certificate.fingerprint ||
        (isAuthority(certificate) &&
          equalBytes(anchor.publicKey.spki, certificate.publicKey.spki) &&
          isSignedBy(certificate, anchor.publicKey)),
    );
  }
}

/** @returns whether `key` made the signature of the certificate; says nothing else about it */
export function isSignedBy({ signatureScheme, tbs, signature }: Certificate, key: PublicKey): boolean {
  return signatureScheme !== undefined && key.verify(signatureScheme, tbs, signature);
}

export function isAuthority(certificate: Certificate): boolean {
  return certificate.basicConstraints?.ca === true;
}

/**
 * Reads `certificates.pem` in the one form that the format has: blocks of 64 columns and nothing between them.
 *
 * @returns the certificates; empty, with a finding, when the file is unusable
 */
export function readCertificatesFile(file: EvidenceFile, findings: Findings): readonly Certificate[] {
  const certificates: Certificate[] = [];
  try {
    const text = decodeUtf8(file.bytes) ?? "";
    const blocks = parsePem(text, "CERTIFICATE");
    if (blocks.length === 0 || blocks.map((der) => formatPem("CERTIFICATE", der)).join("") !== text)
      throw new PkiError("PEM_MALFORMED", "it must hold PEM certificates in canonical form and nothing else");
    for (const [index, der] of blocks.entries()) {
      try {
        certificates.push(decodeCertificate(der));
      } catch (error) {
        if (!(error instanceof PkiError)) throw error;
        findings.error("CERTIFICATES_MALFORMED", file.name, `certificate ${index + 1}`, error.message);
      }
    }
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    findings.error("CERTIFICATES_MALFORMED", file.name, "", error.message);
  }
  return certificates;
}

/**
 * ECDSA signatures have a twin, which anybody can compute: the same certificate under a second fingerprint would be a second
 * signer.
 *
 * @returns each certificate once, by fingerprint
 */
export function joinCertificates(
  files: readonly { readonly name: string; readonly certificates: readonly Certificate[] }[],
  findings: Findings,
): readonly Certificate[] {
  const byFingerprint = new Map<Hex, Certificate>();
  const byIssuerAndSerial = new Map<string, Certificate>();
  for (const { name, certificates } of files) {
    const inThisFile = new Set<Hex>();
    for (const certificate of certificates) {
      const key = `${encodeHex(certificate.issuer)}/${certificate.serial}`;
      const other = byIssuerAndSerial.get(key);
      const isTwin = other !== undefined && other.fingerprint !== certificate.fingerprint;
      if (isTwin || inThisFile.has(certificate.fingerprint))
        findings.error(
          "CERTIFICATES_MALFORMED",
          name,
          `certificate ${certificate.fingerprint}`,
          `two certificates have the issuer and serial number of ${certificate.subjectText}`,
        );
      inThisFile.add(certificate.fingerprint);
      byIssuerAndSerial.set(key, other ?? certificate);
      byFingerprint.set(certificate.fingerprint, certificate);
    }
  }
  return [...byFingerprint.values()];
}
