import { CodedError } from "../base/codedError.ts";

/** A piece of evidence is not what it has to be. */
export class EvidenceError extends CodedError<
  | "STATEMENT_MALFORMED"
  | "DISCLOSURE_MALFORMED"
  | "DISCLOSURE_WRONG_CONVERSATION"
  | "DISCLOSURE_NO_SUCH_ENTRY"
  | "DISCLOSURE_NOT_A_MESSAGE"
  | "DISCLOSURE_MISMATCH"
  | "SIGNER_UNKNOWN"
  | "SIGNATURE_MISPLACED"
  | "PROOF_REFUSED"
> {
  override readonly name = "EvidenceError";
}
