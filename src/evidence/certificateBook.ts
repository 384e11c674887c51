import { decodeUtf8 } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import type { PublicKey } from "../crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { formatPem, parsePem } from "../pki/pem.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type VerifiedCertificate, verifyPath } from "../pki/verifyPath.ts";
import type { EvidenceFile } from "./evidenceInput.ts";
import type { Findings } from "./report.ts";

/**
 * The certificates of one body of evidence. They come from the folder and prove nothing until a path leads from them to
 * an anchor that the verifier brought along.
 */
export class CertificateBook {
  readonly #anchors: readonly Certificate[];
  readonly #byFingerprint = new Map<Hex, Certificate>();
  readonly #authorities: readonly Certificate[];
  readonly #used = new Set<Hex>();
  /** Why a certificate was refused, once each. */
  readonly #refused = new Map<Hex, PkiError>();

  constructor(certificates: readonly Certificate[], anchors: readonly Certificate[]) {
    this.#anchors = anchors;
    for (const certificate of certificates) this.#byFingerprint.set(certificate.fingerprint, certificate);
    this.#authorities = certificates.filter(isAuthority);
  }

  get refused(): ReadonlyMap<Hex, PkiError> {
    return this.#refused;
  }

  find(fingerprint: Hex): Certificate | undefined {
    return this.#byFingerprint.get(fingerprint);
  }

  /** Takes in what a receipt carries beside `certificates.pem`. */
  add(certificates: readonly Certificate[]): void {
    for (const certificate of certificates)
      if (!this.#byFingerprint.has(certificate.fingerprint)) {
        this.#byFingerprint.set(certificate.fingerprint, certificate);
        this.#used.add(certificate.fingerprint);
      }
  }

  /**
   * Judges a signer's certificate at a time, without CRLs: those are a matter of the verdict.
   *
   * @throws {PkiError}
   */
  certificateAt(fingerprint: Hex, atMs: number): VerifiedCertificate {
    const leaf = this.#byFingerprint.get(fingerprint);
    if (leaf === undefined)
      throw new PkiError("CMS_CERTIFICATE_MISSING", `certificate ${fingerprint} is not in certificates.pem`);
    this.#used.add(fingerprint);
    try {
      const verified = verifyPath({
        leaf,
        intermediates: this.#authorities,
        anchors: this.#anchors,
        crls: [],
        purpose: "evidence",
        atMs,
      });
      for (const certificate of verified.chain) this.#used.add(certificate.fingerprint);
      return verified;
    } catch (error) {
      if (error instanceof PkiError) this.#refused.set(fingerprint, error);
      throw error;
    }
  }

  /**
   * Certificates that no check has looked at: in an honest folder there are none, and a changed byte in one would go
   * unnoticed. The CA's own certificate may stand there in another edition than the verifier's: same key, and its
   * signature over itself is good.
   */
  unused(): readonly Certificate[] {
    return [...this.#byFingerprint.values()].filter(
      (certificate) => !this.#used.has(certificate.fingerprint) && !this.#isEditionOfAnchor(certificate),
    );
  }

  #isEditionOfAnchor(certificate: Certificate): boolean {
    return this.#anchors.some(
      (anchor) =>
        anchor.fingerprint === certificate.fingerprint ||
        (isAuthority(certificate) && isSignedBy(certificate, anchor.publicKey)),
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
  const seen = new Map<string, Certificate>();
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
  for (const certificate of certificates) {
    // ECDSA signatures have a twin: the same certificate under a second fingerprint would be a second signer.
    const key = `${encodeHex(certificate.issuer)}/${certificate.serial}`;
    if (seen.has(key))
      findings.error(
        "CERTIFICATES_MALFORMED",
        file.name,
        `certificate ${certificate.fingerprint}`,
        `two certificates have the issuer and serial number of ${certificate.subjectText}`,
      );
    seen.set(key, certificate);
  }
  return certificates;
}
