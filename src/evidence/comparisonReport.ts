import type { Hex } from "../base/hex.ts";
import type { Report, Verdict } from "./report.ts";
import type { EntrySummary } from "./transcriptReading.ts";
import type { ProvenStatement } from "./verifyForkProof.ts";

/**
 * `valid`: one log, and both folders are valid. `fork`: the server has signed two logs. `invalid`: something in a folder is
 * false. `incomplete`, `indeterminate`: as for one folder, and where two logs differ and nothing proves whose fault that is.
 * `unrelated`: two conversations.
 */
export type ComparisonVerdict = Verdict | "fork" | "unrelated";

/** How the verified entries of two transcripts relate. */
export type Relation = "same" | "prefix" | "different" | "unrelated" | "unknown";

/**
 * How two logs differ at the first entry that is not the same. `time`: another time of receipt. `signature`: another
 * signature under the same text. `order`: each log has the other's entry further behind. `omitted`: one log has an entry that
 * the other lacks, and goes on with the same. `content`: different entries.
 */
export type Difference = "time" | "signature" | "order" | "omitted" | "content";

export interface ComparedFolder {
  /** As the caller names it. */
  readonly name: string;
  readonly report: Report;
}

export interface ComparisonReport {
  readonly verdict: ComparisonVerdict;
  readonly relation: Relation;
  readonly conversation: Hex | null;
  readonly server: string;
  readonly a: ComparedFolder;
  readonly b: ComparedFolder;
  /** Entries 0 … this-1 are the same in both. */
  readonly common: number;
  /** The folder whose log ends first, and the entries that only the other one has; `to` inclusive. */
  readonly lacking: { readonly folder: string; readonly from: number; readonly to: number } | null;
  readonly difference: {
    readonly index: number;
    readonly kind: Difference;
    readonly a: EntrySummary;
    readonly b: EntrySummary;
  } | null;
  /** The server's two statements, when they are proven. */
  readonly proof: {
    readonly first: ProvenStatement & { readonly source: string };
    readonly second: ProvenStatement & { readonly source: string };
    /** Whether the sizes differ, so that it takes a consistency proof too. */
    readonly linked: boolean;
  } | null;
  /** Who has signed for what behind the common entries. */
  readonly acknowledgements: readonly {
    readonly folder: string;
    readonly username: string;
    readonly fingerprint: Hex;
    /** It has signed for entries 0 … this-1 of this folder's log. */
    readonly signedFor: number;
  }[];
  /** Certificates that have signed two different entries under one seqno, with the first pair. */
  readonly contradictingMembers: readonly { readonly a: EntrySummary; readonly b: EntrySummary }[];
  /** What would settle it. */
  readonly missing: readonly string[];
}
