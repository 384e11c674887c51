import { equalBytes } from "../base/bytes.ts";
import { encodeHex } from "../base/hex.ts";
import type { Certificate } from "./certificate.ts";
import { type ComparisonBudget, checkNameConstraints } from "./nameConstraints.ts";
import { PkiError } from "./pkiError.ts";
import { checkIssuerPurpose, type Purpose } from "./purpose.ts";

export interface PathSearch {
  readonly leaf: Certificate;
  /** Hostile: whatever the peer sent. */
  readonly intermediates: readonly Certificate[];
  readonly anchors: readonly Certificate[];
  readonly purpose: Purpose;
  readonly atMs: number;
  /** Intermediates in a path, self-issued ones not counted (RFC 5280 §4.2.1.9 counts so too). */
  readonly maxIntermediates: number;
  /** The last word on a path that is good in itself; throws PkiError to have the search go on. */
  readonly judge: (chain: readonly Certificate[]) => void;
}

/** Limits for one search; with them the worst input costs 100 signature checks. */
export const searchLimits = {
  /** Certificates in a path, leaf and anchor included. */
  certificates: 18,
  signatures: 100,
  /** Pairs of certificate and possible issuer that are looked at. */
  steps: 10_000,
  /** Complete paths that `judge` is asked about. */
  judgements: 32,
  /** Names times name constraints. */
  comparisons: 250_000,
} as const;

/**
 * Finds a path from the leaf to an anchor on which every certificate stands up to RFC 5280 §6.1, whatever the order of
 * the intermediates, and going back where one leads nowhere (cross-signed, expired or constrained CAs). It walks up
 * from the leaf, depth first and without recursion; a CA (name and key) comes once in a path, so loops end by themselves.
 * What can be judged of a step is judged when the step is taken, the signature last.
 *
 * An anchor is a certificate that the caller trusts as a CA; what it says about itself (validity, path length, name
 * constraints, critical extensions) is held against it, its own signature is not looked at.
 *
 * @returns leaf first, anchor last
 * @throws {PkiError} the refusal of the path that came furthest; `NO_PATH` when none came anywhere; `PATH_TOO_COMPLEX`
 */
export function findPath(search: PathSearch): readonly Certificate[] {
  const { leaf, atMs } = search;
  checkValidity(leaf, atMs);
  checkCriticalExtensions(leaf);
  const work = new Work(search);
  const chain: Certificate[] = [leaf];
  const open: Candidate[][] = [work.issuersOf(leaf)];
  while (chain.length > 0) {
    const candidate = open.at(-1)?.shift();
    if (candidate === undefined) {
      chain.pop();
      open.pop();
      continue;
    }
    work.countStep();
    try {
      if (!work.admits(chain, candidate)) continue;
      if (candidate.anchor) {
        const found = [...chain, candidate.certificate];
        work.countJudgement();
        search.judge(found);
        return found;
      }
      chain.push(candidate.certificate);
      open.push(work.issuersOf(candidate.certificate));
    } catch (error) {
      if (!(error instanceof PkiError) || error.code === "PATH_TOO_COMPLEX") throw error;
      work.note(error, chain.length + (candidate.anchor ? searchLimits.certificates : 0));
    }
  }
  throw work.refusal();
}

interface Candidate {
  readonly certificate: Certificate;
  readonly anchor: boolean;
}

/** What one search has spent and learnt. */
class Work {
  readonly #search: PathSearch;
  /** By certificate and key: a cross-signed CA has one key in several certificates. */
  readonly #signatures = new Map<string, boolean>();
  readonly #comparisons: ComparisonBudget = { left: searchLimits.comparisons };
  #steps = 0;
  #judgements = 0;
  #failure: { error: PkiError; progress: number } | undefined;

  constructor(search: PathSearch) {
    this.#search = search;
  }

  /** Anchors first, then those whose key identifier is the one that the certificate names (a hint, no condition). */
  issuersOf(certificate: Certificate): Candidate[] {
    const { anchors, intermediates } = this.#search;
    const named = (issuer: Certificate) => equalBytes(issuer.subject, certificate.issuer);
    const candidates = [
      ...anchors.filter(named).map((issuer) => ({ certificate: issuer, anchor: true })),
      ...intermediates.filter(named).map((issuer) => ({ certificate: issuer, anchor: false })),
    ];
    if (candidates.length < 2) return candidates;
    const rank = (candidate: Candidate) =>
      3 * (candidate.anchor ? 0 : 1) + keyIdentifierRank(certificate, candidate.certificate);
    return candidates.sort((a, b) => rank(a) - rank(b));
  }

  countStep(): void {
    if (++this.#steps > searchLimits.steps) throw tooComplex();
  }

  countJudgement(): void {
    if (++this.#judgements > searchLimits.judgements) throw tooComplex();
  }

  /** @returns false for a loop. @throws {PkiError} what speaks against the step */
  admits(chain: readonly Certificate[], { certificate: issuer, anchor }: Candidate): boolean {
    const { purpose, atMs, maxIntermediates } = this.#search;
    const certificate = chain.at(-1);
    if (certificate === undefined || chain.some((below) => isSameAuthority(below, issuer))) return false;
    checkValidity(issuer, atMs);
    checkCriticalExtensions(issuer);
    checkAuthority(issuer);
    const below = chain.slice(1).filter((intermediate) => !intermediate.selfIssued).length;
    const pathLength = issuer.basicConstraints?.pathLength;
    if (pathLength !== undefined && below > pathLength)
      throw new PkiError(
        "PATH_LENGTH_EXCEEDED",
        `${issuer.subjectText} allows ${pathLength} intermediate CAs below it, there are ${below}`,
      );
    const counted = below + (anchor || issuer.selfIssued ? 0 : 1);
    if (counted > maxIntermediates || chain.length + (anchor ? 1 : 2) > searchLimits.certificates)
      throw new PkiError("PATH_TOO_LONG", `a path of more than ${maxIntermediates} intermediate CAs`);
    checkIssuerPurpose(issuer, purpose);
    if (issuer.nameConstraints !== undefined)
      // RFC 5280 §6.1.3 b: self-issued intermediates are exempt, the leaf never is.
      for (const [index, subject] of chain.entries())
        if (index === 0 || !subject.selfIssued)
          checkNameConstraints(issuer.nameConstraints, subject, this.#comparisons);
    this.#checkSignature(certificate, issuer);
    return true;
  }

  note(error: PkiError, progress: number): void {
    if (this.#failure === undefined || progress > this.#failure.progress) this.#failure = { error, progress };
  }

  refusal(): PkiError {
    const { leaf } = this.#search;
    return (
      this.#failure?.error ??
      new PkiError(
        "NO_PATH",
        `no path from ${leaf.subjectText} to a trusted CA: its issuer is not known here`,
      )
    );
  }

  #checkSignature(certificate: Certificate, issuer: Certificate): void {
    const { signatureScheme } = certificate;
    if (signatureScheme === undefined)
      throw new PkiError(
        "ALGORITHM_UNSUPPORTED",
        `${certificate.subjectText} is signed with an algorithm that is not accepted`,
      );
    const pair = certificate.fingerprint + encodeHex(issuer.publicKey.spki);
    let good = this.#signatures.get(pair);
    if (good === undefined) {
      if (this.#signatures.size === searchLimits.signatures) throw tooComplex();
      good = issuer.publicKey.verify(signatureScheme, certificate.tbs, certificate.signature);
      this.#signatures.set(pair, good);
    }
    if (!good)
      throw new PkiError(
        "SIGNATURE_INVALID",
        `${certificate.subjectText} is not signed by the key of ${issuer.subjectText}`,
      );
  }
}

/** Times count in whole seconds, both ends inclusive (RFC 5280 §4.1.2.5). @throws {PkiError} `NOT_YET_VALID`, `EXPIRED` */
export function checkValidity(certificate: Certificate, atMs: number): void {
  const second = Math.floor(atMs / 1000) * 1000;
  if (second >= certificate.notBeforeMs && second <= certificate.notAfterMs) return;
  if (second < certificate.notBeforeMs)
    throw new PkiError(
      "NOT_YET_VALID",
      `certificate not yet valid: ${certificate.subjectText} (not before ${new Date(certificate.notBeforeMs).toISOString()})`,
    );
  throw new PkiError(
    "EXPIRED",
    `certificate expired: ${certificate.subjectText} (not after ${new Date(certificate.notAfterMs).toISOString()}), have it renewed`,
  );
}

function checkCriticalExtensions(certificate: Certificate): void {
  const [unknown] = certificate.unknownCriticalExtensions;
  if (unknown !== undefined)
    throw new PkiError(
      "UNKNOWN_CRITICAL_EXTENSION",
      `${certificate.subjectText} has critical extension ${unknown}, which is not understood here`,
    );
}

/** RFC 5280 §6.1.4 k, n, and §4.2.1.9: basicConstraints are critical where the key verifies certificates. */
function checkAuthority(issuer: Certificate): void {
  if (issuer.basicConstraints?.ca !== true || !issuer.basicConstraints.critical)
    throw new PkiError("NOT_A_CA", `${issuer.subjectText} is not a CA (critical basicConstraints)`);
  if (issuer.keyUsage?.has("keyCertSign") === false)
    throw new PkiError(
      "KEY_USAGE_WRONG",
      `the CA ${issuer.subjectText} may not sign certificates (keyUsage)`,
    );
}

function isSameAuthority(a: Certificate, b: Certificate): boolean {
  return a === b || (equalBytes(a.publicKey.spki, b.publicKey.spki) && equalBytes(a.subject, b.subject));
}

function keyIdentifierRank(certificate: Certificate, issuer: Certificate): number {
  if (certificate.authorityKeyId === undefined || issuer.subjectKeyId === undefined) return 1;
  return equalBytes(certificate.authorityKeyId, issuer.subjectKeyId) ? 0 : 2;
}

function tooComplex(): PkiError {
  return new PkiError(
    "PATH_TOO_COMPLEX",
    "too many ways to build a path: send the chain itself and nothing else",
  );
}
