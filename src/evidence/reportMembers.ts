import type { MemberReport, ReceiptReport } from "./report.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

/** What each member has done and signed for, as far as it is about this transcript. */
export function reportMembers(
  { state, activity }: TranscriptReading,
  receipts: readonly ReceiptReport[],
): MemberReport[] {
  if (state === undefined) return [];
  // Others are about another log, or about more than is here.
  const agreeing = receipts.filter(({ match }) => match === "agrees");
  return [...state.senders].map(([fingerprint, { username, email }]) => {
    const signed = agreeing.flatMap(({ size, signers }) =>
      signers
        .filter((signer) => signer.fingerprint === fingerprint)
        .map(({ countersignedAt }) => ({ size, countersignedAt })),
    );
    const receiptSize = Math.max(0, ...signed.map(({ size }) => size));
    const dates = signed.flatMap(({ size, countersignedAt }) =>
      size === receiptSize && countersignedAt !== null ? [countersignedAt] : [],
    );
    const own = activity.get(fingerprint);
    return {
      username,
      email,
      fingerprint,
      entries: own?.entries ?? 0,
      messages: own?.messages ?? 0,
      signedFor: Math.max(own?.viewSize ?? 0, receiptSize),
      receiptSize,
      countersignedAt: dates.length === 0 ? null : Math.min(...dates),
    };
  });
}
