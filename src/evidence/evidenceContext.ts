import type { CertificateBook } from "./certificateBook.ts";
import type { EvidenceInput } from "./evidenceInput.ts";
import type { Findings } from "./report.ts";
import type { RevocationCheck } from "./revocationCheck.ts";

/** What the checks of one body of evidence share. */
export interface EvidenceContext {
  readonly input: EvidenceInput;
  readonly book: CertificateBook;
  readonly revocations: RevocationCheck;
  readonly findings: Findings;
}
