import { decodeUtf8 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import type { Certificate } from "../pki/certificate.ts";
import { type Crl, decodeCrl, verifyCrl } from "../pki/crl.ts";
import { formatPem, parsePem } from "../pki/pem.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { EvidenceFile } from "./evidenceInput.ts";
import type { Findings } from "./report.ts";

interface NamedCrl {
  readonly crl: Crl;
  readonly file: EvidenceFile | undefined;
  /** Why an authority, by fingerprint, did not issue it; `undefined` where it did. A false list is verified once, too. */
  readonly judged: Map<Hex, PkiError | undefined>;
}

/**
 * Who was revoked, and when. A list counts for a certificate only when the next one on that certificate's verified path has
 * signed it, so nobody's list counts whose path does not end at the verifier's anchors.
 */
export class RevocationCheck {
  readonly #crls: NamedCrl[] = [];

  constructor(sources: { folder: EvidenceFile | undefined; own: readonly Crl[] }, findings: Findings) {
    for (const crl of sources.own) this.#crls.push({ crl, file: undefined, judged: new Map() });
    const file = sources.folder;
    if (file === undefined) return;
    try {
      const text = decodeUtf8(file.bytes) ?? "";
      const blocks = parsePem(text, "X509 CRL");
      if (blocks.length === 0 || blocks.map((der) => formatPem("X509 CRL", der)).join("") !== text)
        throw new PkiError(
          "PEM_MALFORMED",
          "it must hold PEM revocation lists in canonical form and nothing else",
        );
      for (const der of blocks) this.#crls.push({ crl: decodeCrl(der), file, judged: new Map() });
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      findings.error("CRL_REFUSED", file.name, "", error.message);
    }
  }

  /** @returns when the earliest revocation of it, or of an authority above it, took effect, ms, or `undefined` */
  revokedAt({ chain }: VerifiedCertificate): number | undefined {
    let earliest: number | undefined;
    for (const [index, certificate] of chain.entries()) {
      const issuer = chain[index + 1];
      if (issuer === undefined) break;
      for (const list of this.#crls) {
        const atMs = list.crl.revoked.get(certificate.serial)?.atMs;
        if (atMs !== undefined && atMs < (earliest ?? Number.POSITIVE_INFINITY) && isOf(list, issuer))
          earliest = atMs;
      }
    }
    return earliest;
  }

  /** @returns when the newest list was made that speaks about this certificate itself, ms, or `undefined` for none */
  knownUntil({ chain: [, issuer] }: VerifiedCertificate): number | undefined {
    if (issuer === undefined) return undefined;
    const times = this.#crls.filter((list) => isOf(list, issuer)).map(({ crl }) => crl.thisUpdateMs);
    return times.length === 0 ? undefined : Math.max(...times);
  }

  /**
   * Tells of lists that none of these authorities has signed. Called when all paths have been looked for.
   *
   * @param isComplete whether every path that the transcript needs was looked for: else a list may be of a CA whose
   *  certificate is missing
   */
  reportForeign(authorities: readonly Certificate[], isComplete: boolean, findings: Findings): void {
    const foreign = this.#crls.filter((list) => !authorities.some((authority) => isOf(list, authority)));
    // An organisation hands out the lists of all its CAs in one file: that some are of others than these is as it should be.
    const ownFits = this.#crls.some((list) => list.file === undefined && !foreign.includes(list));
    for (const list of foreign) {
      const { crl, file } = list;
      const wrong = authorities
        .map((authority) => refusalOf(list, authority))
        .find((refusal) => refusal?.code !== "CRL_ISSUER_MISMATCH");
      const reason = wrong?.message ?? "no CA that the certificates here hang on has issued it";
      const message = `revocation list number ${crl.number} does not count: ${reason}`;
      if (file === undefined)
        findings[wrong === undefined && ownFits ? "note" : "gap"](
          "CRL_REFUSED",
          "",
          "your revocation list",
          message,
        );
      else if (wrong === undefined && !isComplete) findings.gap("CRL_REFUSED", file.name, "", message);
      else findings.error("CRL_REFUSED", file.name, "", message);
    }
  }
}

function isOf(list: NamedCrl, issuer: Certificate): boolean {
  return refusalOf(list, issuer) === undefined;
}

function refusalOf({ crl, judged }: NamedCrl, issuer: Certificate): PkiError | undefined {
  if (judged.has(issuer.fingerprint)) return judged.get(issuer.fingerprint);
  let refusal: PkiError | undefined;
  try {
    verifyCrl(crl, issuer);
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    refusal = error;
  }
  judged.set(issuer.fingerprint, refusal);
  return refusal;
}
