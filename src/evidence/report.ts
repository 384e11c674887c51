import type { Hex } from "../base/hex.ts";

/**
 * What the verifier found, in the order it looked. `error`: something is false, the evidence is `invalid`. `gap`:
 * something is missing, so less is proven than could be; `message` says what would settle it. `note`: worth knowing.
 */
export interface Finding {
  readonly level: "error" | "gap" | "note";
  readonly code: FindingCode;
  /** The file as the caller named it; empty when it is about the whole or about what the verifier brought. */
  readonly file: string;
  /** `line 7`, `field root`, `signer alice`, or empty. */
  readonly where: string;
  readonly message: string;
}

export const findingCodes = [
  // certificates
  "CERTIFICATES_MISSING",
  "CERTIFICATES_MALFORMED",
  "CERTIFICATE_UNUSED",
  "CERTIFICATE_REFUSED",
  "UNKNOWN_CA",
  "NO_ANCHOR",
  "CRL_REFUSED",
  "SIGNER_REVOKED",
  "REVOCATION_UNKNOWN",
  "REMOVAL_UNPROVEN",
  // transcript
  "TRANSCRIPT_EMPTY",
  "ENTRY_REFUSED",
  "LATER_ENTRIES",
  // checkpoints
  "CHECKPOINT_MALFORMED",
  "CHECKPOINT_REFUSED",
  "CHECKPOINT_CONTRADICTS",
  "CHECKPOINT_BEYOND",
  "NO_CHECKPOINT",
  "SERVER_FORKED",
  // receipts
  "NO_RECEIPT",
  "STATEMENT_MALFORMED",
  "STATEMENT_MISMATCH",
  "TRANSCRIPT_ALTERED",
  "STATEMENT_BEYOND",
  "RECEIPTS_OMITTED",
  "SIGNED_DATA_MISSING",
  "SIGNED_DATA_REFUSED",
  "SIGNER_UNKNOWN",
  "NO_MEMBER_SIGNATURE",
  "NO_SERVER_SIGNATURE",
  "WRONG_SERVER",
  "NOT_COUNTERSIGNED",
  "TIME_RESTS_ON_SERVER",
  // words
  "DISCLOSURE_MALFORMED",
  "DISCLOSURE_REFUSED",
  "DISPUTED",
  "UNPROCESSABLE",
  "UNEXPECTED_FILE",
  "PROOF_REFUSED",
  "MORE",
] as const;
export type FindingCode = (typeof findingCodes)[number];

/**
 * `valid`: nothing is false, and a member and the server have signed one receipt. `invalid`: something is false.
 * `incomplete`: nothing is false, but something is missing. `indeterminate`: too little is there to say anything.
 */
export type Verdict = "valid" | "invalid" | "incomplete" | "indeterminate";

export interface MemberReport {
  readonly username: string;
  readonly email: string;
  readonly fingerprint: Hex;
  /** Entries that it has written, each under its signature; messages among them. */
  readonly entries: number;
  readonly messages: number;
  /** It has signed for the root of the entries 0 … this-1, by its views and by receipts that are true of this transcript. */
  readonly signedFor: number;
  /** Size of the largest such receipt that it signed, 0 for none. */
  readonly receiptSize: number;
  /** When the server countersigned that signature, ms, or `null`. */
  readonly countersignedAt: number | null;
}

/** Words that an opening proves, and where they stand. */
export interface ProvenWords {
  readonly index: number;
  readonly at: number;
  readonly username: string;
  readonly email: string;
  readonly seqno: number;
  readonly text: string;
  /** How many entries by others stood before it that its author had not seen when it signed, and the first of them. */
  readonly unseenCount: number;
  readonly unseen: readonly number[];
  /** Usernames that say they could not open it or that its commitment is wrong. */
  readonly disputedBy: readonly string[];
}

export interface ReceiptReport {
  readonly file: string;
  readonly size: number;
  /**
   * `agrees`: the statement is what the transcript amounts to. `differs`: it is not. `beyond`: it is about more entries than
   * the transcript has. `unknown`: the transcript could not be read so far. Only the first says anything about the transcript.
   */
  readonly match: "agrees" | "differs" | "beyond" | "unknown";
  /** Whose signatures under the statement are good, with the names in their certificates. */
  readonly signers: readonly {
    readonly name: string;
    readonly fingerprint: Hex;
    readonly role: "member" | "server";
    readonly countersignedAt: number | null;
  }[];
}

export interface Report {
  readonly verdict: Verdict;
  readonly conversation: Hex | null;
  readonly kind: "direct" | "group" | null;
  readonly title: string;
  readonly server: string;
  /** The CA that everything hangs on, and whether the verifier brought it or it stood in the folder. */
  readonly ca: { readonly subject: string; readonly fingerprint: Hex; readonly trusted: boolean } | null;
  /** Verified entries; messages among them. */
  readonly entries: number;
  readonly messages: number;
  readonly root: Hex | null;
  /** Of the root at `entries`, to be read aloud: see `comparisonCode`. */
  readonly code: string | null;
  readonly transcriptSha256: Hex | null;
  /** Entries 0 … this-1 are in a receipt that a member and the server have signed. */
  readonly receiptedEntries: number;
  /** Server's times of the first and last verified entry, ms. */
  readonly from: number | null;
  readonly to: number | null;
  readonly members: readonly MemberReport[];
  readonly receipts: readonly ReceiptReport[];
  readonly words: readonly ProvenWords[];
  /** Indexes of messages whose words nobody disclosed here. */
  readonly withheld: readonly number[];
  readonly findings: readonly Finding[];
}

/** Findings of one code that are listed; whoever made the evidence could make as many as it has bytes. */
export const maxFindingsPerCode = 1000;

/** Collects findings while the policy runs. */
export class Findings {
  readonly #all: Finding[] = [];
  readonly #counts = new Map<FindingCode, number>();
  #hasError = false;
  #hasGap = false;

  /** In the order in which they were found; what was too many for the list is summed up at its end. */
  get all(): readonly Finding[] {
    const more = [...this.#counts]
      .filter(([, count]) => count > maxFindingsPerCode)
      .map(([code, count]): Finding => {
        const message = `${count - maxFindingsPerCode} more findings ${code} are not listed`;
        return { level: "note", code: "MORE", file: "", where: "", message };
      });
    return [...this.#all, ...more];
  }

  error(code: FindingCode, file: string, where: string, message: string): void {
    this.#hasError = true;
    this.#add({ level: "error", code, file, where, message });
  }

  gap(code: FindingCode, file: string, where: string, message: string): void {
    this.#hasGap = true;
    this.#add({ level: "gap", code, file, where, message });
  }

  note(code: FindingCode, file: string, where: string, message: string): void {
    this.#add({ level: "note", code, file, where, message });
  }

  /** @param judged whether there were entries and certificates to judge at all */
  verdict(judged: boolean): Verdict {
    if (this.#hasError) return "invalid";
    if (!judged) return "indeterminate";
    return this.#hasGap ? "incomplete" : "valid";
  }

  #add(finding: Finding): void {
    const count = (this.#counts.get(finding.code) ?? 0) + 1;
    this.#counts.set(finding.code, count);
    if (count <= maxFindingsPerCode) this.#all.push(finding);
  }
}
