import type { EvidenceContext } from "./evidenceContext.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

/** A signature made after its certificate was revoked may be the thief's. */
export function checkRevokedSenders(
  { activity, indexAtOrAfter, name }: TranscriptReading,
  evidence: EvidenceContext,
): void {
  for (const [fingerprint, { lastAt, who }] of activity) {
    const path = evidence.book.verified(fingerprint);
    const revokedAt = path && evidence.revocations.revokedAt(path);
    if (revokedAt === undefined) continue;
    const when = new Date(revokedAt).toISOString();
    if (lastAt < revokedAt)
      evidence.findings.note(
        "SIGNER_REVOKED",
        name,
        `sender ${who}`,
        `revoked on ${when}, after its last entry`,
      );
    else {
      const index = indexAtOrAfter(fingerprint, revokedAt);
      evidence.findings.error(
        "SIGNER_REVOKED",
        name,
        `line ${index + 1}`,
        `${who} had been revoked on ${when} when this entry was received`,
      );
    }
  }
}

/** Whoever removes others for being revoked has signed for that; what the lists at hand say to it is told, and no more. */
export function checkRemovals(
  { removalClaims, name }: TranscriptReading,
  { book, revocations, findings }: EvidenceContext,
): void {
  for (const { index, at, who, list, removed } of removalClaims)
    for (const { username, fingerprint } of removed) {
      const path = book.verified(fingerprint);
      const revokedAt = path && revocations.revokedAt(path);
      if (revokedAt !== undefined && revokedAt <= at) continue;
      const until = path && revocations.knownUntil(path);
      const denied = until !== undefined && until >= at;
      findings.note(
        "REMOVAL_UNPROVEN",
        name,
        `line ${index + 1}`,
        `${who} removed the certificate ${fingerprint} of ${username}, saying that list ${list} revokes it: ${
          denied
            ? `the list of ${new Date(until).toISOString()} denies that`
            : "no list at hand says so; --crl FILE brings one"
        }`,
      );
    }
}

/** A list says nothing about what was revoked after it was made. */
export function explainRevocations(
  { state, activity, sha256 }: TranscriptReading,
  { book, revocations, findings }: EvidenceContext,
): void {
  revocations.reportForeign(book.trustedAuthorities, sha256 !== undefined, findings);
  if (state === undefined) return;
  const known = [...activity.keys()].flatMap((fingerprint) => {
    const path = book.verified(fingerprint);
    return path === undefined ? [] : [revocations.knownUntil(path) ?? Number.NEGATIVE_INFINITY];
  });
  const until = Math.min(...known);
  if (until === Number.NEGATIVE_INFINITY)
    findings.note(
      "REVOCATION_UNKNOWN",
      "",
      "",
      "no revocation list was at hand for all who signed, so nothing is said about revoked certificates; --crl FILE brings one",
    );
  else if (until < state.lastAt)
    findings.note(
      "REVOCATION_UNKNOWN",
      "",
      "",
      `the newest revocation list is of ${new Date(until).toISOString()}, before the last entry: later revocations are not known; --crl FILE brings a newer one`,
    );
}
