import { decodeUtf8, equalBytes } from "../base/bytes.ts";
import type { Certificate } from "../pki/certificate.ts";
import { type Crl, decodeCrl, verifyCrl } from "../pki/crl.ts";
import { formatPem, parsePem } from "../pki/pem.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { EvidenceFile } from "./evidenceInput.ts";
import type { Findings } from "./report.ts";

/**
 * Who was revoked, and when. A list counts only when it is signed by an authority on a path to an anchor.
 */
export class RevocationCheck {
  readonly #crls: Crl[] = [];

  constructor(
    sources: { folder: EvidenceFile | undefined; own: readonly Crl[] },
    authorities: readonly Certificate[],
    findings: Findings,
  ) {
    for (const crl of sources.own) this.#take(crl, "", authorities, findings);
    if (sources.folder === undefined) return;
    const { name, bytes } = sources.folder;
    try {
      const text = decodeUtf8(bytes) ?? "";
      const blocks = parsePem(text, "X509 CRL");
      if (blocks.length === 0 || blocks.map((der) => formatPem("X509 CRL", der)).join("") !== text)
        throw new PkiError(
          "PEM_MALFORMED",
          "it must hold PEM revocation lists in canonical form and nothing else",
        );
      for (const der of blocks) this.#take(decodeCrl(der), name, authorities, findings);
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      findings.error("CRL_REFUSED", name, "", error.message);
    }
  }

  get isEmpty(): boolean {
    return this.#crls.length === 0;
  }

  /** @returns when the earliest revocation that any list has for it took effect, ms, or `undefined` */
  revokedAt(certificate: Certificate): number | undefined {
    const times = this.#crls
      .filter((crl) => equalBytes(crl.issuer, certificate.issuer))
      .map((crl) => crl.revoked.get(certificate.serial)?.atMs)
      .filter((atMs) => atMs !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #take(crl: Crl, name: string, authorities: readonly Certificate[], findings: Findings): void {
    let refusal: PkiError | undefined;
    for (const authority of authorities) {
      try {
        verifyCrl(crl, authority);
        this.#crls.push(crl);
        return;
      } catch (error) {
        if (!(error instanceof PkiError)) throw error;
        refusal = error;
      }
    }
    const reason = refusal?.message ?? "no CA to check it with";
    findings.error("CRL_REFUSED", name, "", `revocation list number ${crl.number}: ${reason}`);
  }
}
