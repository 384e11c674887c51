import type { Brand } from "../base/brand.ts";
import type { Certificate } from "./certificate.ts";
import type { Crl } from "./crl.ts";
import { noGeneralNames } from "./generalNames.ts";
import { matchesHost, parseHost } from "./hostName.ts";
import { checkValidity, findPath } from "./pathSearch.ts";
import { PkiError } from "./pkiError.ts";
import { checkPolicies } from "./policies.ts";
import { checkLeafPurpose, type Profile, type Purpose } from "./purpose.ts";
import { findRevocation } from "./revocation.ts";

export type { Profile, Purpose } from "./purpose.ts";

export interface PathRequest {
  readonly leaf: Certificate;
  /** In any order, also useless ones: whatever the peer sent. */
  readonly intermediates: readonly Certificate[];
  /** The CAs that the caller trusts. */
  readonly anchors: readonly Certificate[];
  /** Those that the caller has. None: revocation is not checked, which is then the caller's policy. */
  readonly crls: readonly Crl[];
  readonly purpose: Purpose;
  /** The moment that validity and CRLs are judged at, ms since the epoch. */
  readonly atMs: number;
  /** A DNS name or IP literal that the subjectAltName must name. Left out: the name is the caller's business. */
  readonly host?: string;
  /** An e-mail address that the subjectAltName must hold: the host part in any case, the rest byte for byte. */
  readonly email?: string;
  /** Default `securechat`. */
  readonly profile?: Profile;
  /** Default 8. */
  readonly maxIntermediates?: number;
  /** Default 0: see `findRevocation`. */
  readonly crlGraceMs?: number;
  /** Default false: see `findRevocation`. */
  readonly crlRequired?: boolean;
}

/** Proof that a certificate was judged good for a purpose at a time; only `verifyPath` makes one. */
export type VerifiedCertificate = Brand<
  {
    readonly certificate: Certificate;
    /** Leaf first, anchor last. */
    readonly chain: readonly Certificate[];
    readonly purpose: Purpose;
    /** When every certificate of the chain is valid; both inclusive, the last second is whole. */
    readonly validFromMs: number;
    readonly validUntilMs: number;
    /** The earliest nextUpdate of the CRLs that were relied on; `undefined` when there were none. */
    readonly crlNextUpdateMs: number | undefined;
  },
  "VerifiedCertificate"
>;

/**
 * RFC 5280 §6 for one leaf: builds a path to an anchor and validates it, then the purpose, the host and revocation.
 * Everything unknown and critical refuses the certificate it stands in.
 *
 * The same leaf with the same intermediates, anchors and purpose is remembered while its Certificate object lives: then
 * time, names and CRLs alone are checked again, since all else is a function of those bytes.
 *
 * @throws {PkiError} first what the leaf itself is refused for (`PROFILE_VIOLATED`, `KEY_USAGE_WRONG`,
 * `EXTENDED_KEY_USAGE_WRONG`, `NOT_YET_VALID`, `EXPIRED`, `UNKNOWN_CRITICAL_EXTENSION`), then the refusal of
 * the path that came furthest (`REVOKED` and the CRL codes among them), then `HOST_MALFORMED`, `HOST_MISMATCH`, `EMAIL_MISMATCH`
 */
export function verifyPath(request: PathRequest): VerifiedCertificate {
  const { leaf, purpose, profile = defaultProfile, atMs } = request;
  const known = recall(request);
  if (known !== undefined) {
    try {
      for (const certificate of known) checkValidity(certificate, atMs);
      return prove(known, request, checkRevocation(known, request));
    } catch (error) {
      // Another path may be good at this time; the search says so, or says why not.
      if (!(error instanceof PkiError) || isNameRefusal(error)) throw error;
    }
  }
  checkLeafPurpose(leaf, purpose, profile);
  let crlNextUpdateMs: number | undefined;
  const chain = findPath({
    ...request,
    maxIntermediates: request.maxIntermediates ?? defaultMaxIntermediates,
    judge: (found) => {
      checkPolicies(found);
      crlNextUpdateMs = checkRevocation(found, request);
    },
  });
  remember(request, chain);
  return prove(chain, request, crlNextUpdateMs);
}

const defaultProfile: Profile = "securechat";
const defaultMaxIntermediates = 8;
const maxRememberedPerLeaf = 8;
const maxRememberedIntermediates = 16;

interface RememberedPath {
  readonly request: PathRequest;
  readonly chain: readonly Certificate[];
}

/** Chains that were found good but for time, names and CRLs. They live no longer than the leaf's Certificate object. */
const remembered = new WeakMap<Certificate, RememberedPath[]>();

/** A chain depends on the leaf, time and CRLs, and on this. Compared, not hashed: it is what the second sight costs. */
function isSameQuestion(a: PathRequest, b: PathRequest): boolean {
  return (
    a.purpose === b.purpose &&
    (a.profile ?? defaultProfile) === (b.profile ?? defaultProfile) &&
    (a.maxIntermediates ?? defaultMaxIntermediates) === (b.maxIntermediates ?? defaultMaxIntermediates) &&
    isSameList(a.anchors, b.anchors) &&
    isSameList(a.intermediates, b.intermediates)
  );
}

function isSameList(a: readonly Certificate[], b: readonly Certificate[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++)
    if (a[i] !== b[i] && a[i]?.fingerprint !== b[i]?.fingerprint) return false;
  return true;
}

function recall(request: PathRequest): readonly Certificate[] | undefined {
  return remembered.get(request.leaf)?.find((path) => isSameQuestion(path.request, request))?.chain;
}

function remember(request: PathRequest, chain: readonly Certificate[]): void {
  const { leaf, intermediates, anchors, purpose } = request;
  // Hostile intermediates must not be kept alive in bulk.
  if (intermediates.length > maxRememberedIntermediates) return;
  // The caller's arrays may change later; CRLs and names are not part of the question.
  const question: PathRequest = {
    leaf,
    intermediates: [...intermediates],
    anchors: [...anchors],
    crls: [],
    purpose,
    atMs: 0,
    profile: request.profile ?? defaultProfile,
    maxIntermediates: request.maxIntermediates ?? defaultMaxIntermediates,
  };
  const others = (remembered.get(leaf) ?? []).filter((path) => !isSameQuestion(path.request, request));
  remembered.set(leaf, [{ request: question, chain }, ...others].slice(0, maxRememberedPerLeaf));
}

/** @returns the earliest nextUpdate. @throws {PkiError} `REVOKED` and as `findRevocation` */
function checkRevocation(chain: readonly Certificate[], request: PathRequest): number | undefined {
  const { crls, atMs, crlGraceMs = 0, crlRequired = false } = request;
  if (crls.length === 0 && !crlRequired) return undefined;
  const { revocation, nextUpdateMs } = findRevocation({ chain, crls, atMs, crlGraceMs, crlRequired });
  if (revocation === undefined) return nextUpdateMs;
  const { fingerprint, revokedAtMs, reason } = revocation;
  const revoked = chain.find((certificate) => certificate.fingerprint === fingerprint)?.subjectText;
  throw new PkiError(
    "REVOKED",
    `certificate revoked: ${revoked} (since ${new Date(revokedAtMs).toISOString()}, ${reason})`,
    {
      revocation,
    },
  );
}

function prove(
  chain: readonly Certificate[],
  { leaf, purpose, host, email }: PathRequest,
  crlNextUpdateMs: number | undefined,
): VerifiedCertificate {
  if (host !== undefined && !matchesHost(leaf.subjectAltName ?? noGeneralNames, parseHost(host)))
    throw new PkiError(
      "HOST_MISMATCH",
      `the certificate of ${leaf.subjectText} is not for the host that was dialled`,
    );
  if (email !== undefined && !leaf.emails.some((address) => foldMailHost(address) === foldMailHost(email)))
    throw new PkiError(
      "EMAIL_MISMATCH",
      `the certificate of ${leaf.subjectText} is not for the e-mail address asked for`,
    );
  let validFromMs = Number.NEGATIVE_INFINITY;
  let validUntilMs = Number.POSITIVE_INFINITY;
  for (const { notBeforeMs, notAfterMs } of chain) {
    validFromMs = Math.max(validFromMs, notBeforeMs);
    validUntilMs = Math.min(validUntilMs, notAfterMs);
  }
  return {
    certificate: leaf,
    chain,
    purpose,
    validFromMs,
    validUntilMs,
    crlNextUpdateMs,
  } as VerifiedCertificate;
}

/** RFC 5280 §7.5: the host of a mailbox has no case, the rest has. */
function foldMailHost(address: string): string {
  const at = address.lastIndexOf("@");
  return address.slice(0, at) + address.slice(at).toLowerCase();
}

function isNameRefusal({ code }: PkiError): boolean {
  return code === "HOST_MALFORMED" || code === "HOST_MISMATCH" || code === "EMAIL_MISMATCH";
}
