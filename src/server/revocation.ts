import { equalBytes } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { Crl } from "../pki/crl.ts";
import { type CrlBundle, parseCrlBundle } from "../pki/crlBundle.ts";
import { authorityKey, findCrlIssuer } from "../pki/crlIssuer.ts";
import { PkiError } from "../pki/pkiError.ts";
import { findRevocation } from "../pki/revocation.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { maxCrlBytes } from "../wire/sessionMessages.ts";
import { ServerError } from "./serverError.ts";

/** What the operator wants of revocation lists. */
export interface CrlPolicy {
  /** How long past its nextUpdate a list is still gone by, ms. */
  readonly graceMs: number;
  /** Without a list of every CA on a path, current to the second, nobody is let in. */
  readonly required: boolean;
  /** How messages call the file that has to be renewed. */
  readonly source: string;
}

export const defaultCrlPolicy: CrlPolicy = {
  graceMs: 7 * 24 * 3_600_000,
  required: false,
  source: "the CRL",
};

interface List {
  readonly crl: Crl;
  readonly issuer: Certificate;
}

export interface ListInUse extends List {
  readonly authority: Hex;
}

/**
 * The newest list that the operator has given of each CA. Past nextUpdate it still says who is revoked; whether it still
 * says who is not is a matter of the policy, and of new sessions only: those who stayed good are not thrown out.
 */
export class Revocation {
  readonly policy: CrlPolicy;
  readonly #anchors: readonly Certificate[];
  /** Issuing CAs that the server knows of itself. */
  readonly #authorities: readonly Certificate[];
  readonly #lists = new Map<Hex, List>();
  #version = 0;

  constructor(options: {
    anchors: readonly Certificate[];
    authorities?: readonly Certificate[];
    policy?: CrlPolicy;
  }) {
    this.#anchors = options.anchors;
    this.#authorities = options.authorities ?? [];
    this.policy = options.policy ?? defaultCrlPolicy;
  }

  /** With the name of the CA that signed it. */
  get lists(): readonly ListInUse[] {
    return [...this.#lists].map(([authority, list]) => ({ authority, ...list }));
  }

  get crls(): readonly Crl[] {
    return [...this.#lists.values()].map(({ crl }) => crl);
  }

  /** Changes with every list that is taken. */
  get version(): number {
    return this.#version;
  }

  /** The list that has to be renewed first. */
  get nextDue(): { readonly nextUpdateMs: number; readonly issuer: string } | undefined {
    const [first] = [...this.#lists.values()].sort((a, b) => a.crl.nextUpdateMs - b.crl.nextUpdateMs);
    return first && { nextUpdateMs: first.crl.nextUpdateMs, issuer: first.issuer.subjectText };
  }

  /**
   * Takes the lists of a file that are newer than those in use; one bad list refuses the file.
   *
   * @param file as `parseCrlBundle` reads it
   * @returns the newer ones
   * @throws {ServerError} `CRL_REFUSED`
   */
  replace(file: Uint8Array, nowMs: number): readonly Crl[] {
    const { crls, certificates } = parsed(file);
    const authorities = [...this.#authorities, ...certificates];
    const newer = new Map<Hex, List>();
    for (const crl of crls) {
      const issuer = issuerOf(crl, { anchors: this.#anchors, authorities, atMs: nowMs });
      const key = authorityKey(issuer);
      if (newer.has(key)) throw refused(`two lists of ${visible(issuer.subjectText)} in one file`);
      if (this.#isNewer({ crl, issuer }, nowMs)) newer.set(key, { crl, issuer });
    }
    for (const [key, list] of newer) this.#lists.set(key, list);
    if (newer.size > 0) this.#version += 1;
    return [...newer.values()].map(({ crl }) => crl);
  }

  /** @returns whether a list names this certificate or one above it, or can't be held against them: fail closed */
  isRevoked({ chain }: VerifiedCertificate): boolean {
    const { crls } = this;
    if (crls.length === 0) return false;
    // None is from the future, and how old they are does not matter to who is on them.
    const atMs = Math.max(...crls.map(({ thisUpdateMs }) => thisUpdateMs));
    try {
      return (
        findRevocation({ chain, crls, atMs, crlGraceMs: Number.POSITIVE_INFINITY }).revocation !== undefined
      );
    } catch (error) {
      if (error instanceof PkiError) return true;
      throw error;
    }
  }

  /**
   * Whether anybody may be let in on these lists at this time.
   *
   * @throws {ServerError} `CRL_REQUIRED`, `CRL_EXPIRED`: the message names the file to renew
   */
  requireCurrent(nowMs: number): void {
    const { required, source } = this.policy;
    const due = this.nextDue;
    if (due === undefined) {
      if (required)
        throw new ServerError(
          "CRL_REQUIRED",
          'there is no CRL, and --crl-required asks for one: make it with "securechat ca crl" and name it with --crl',
        );
      return;
    }
    if (nowMs <= due.nextUpdateMs + this.graceMs) return;
    const grace = required ? "" : ` and the grace of ${Math.round(this.graceMs / 86_400_000)} days is over`;
    throw new ServerError(
      "CRL_EXPIRED",
      `${source} (of ${visible(due.issuer)}) was due for renewal at ${isoTime(due.nextUpdateMs)}${grace}: nobody new is let in; renew it with "securechat ca crl"`,
    );
  }

  get graceMs(): number {
    return this.policy.required ? 0 : this.policy.graceMs;
  }

  /** @throws {ServerError} `CRL_REFUSED` */
  #isNewer({ crl, issuer }: List, nowMs: number): boolean {
    if (crl.thisUpdateMs > nowMs) throw refused(`the CRL is from the future (${isoTime(crl.thisUpdateMs)})`);
    if (crl.der.length > maxCrlBytes)
      throw refused(`CRL of ${crl.der.length} bytes, at most ${maxCrlBytes} can be handed to clients`);
    const used = this.#lists.get(authorityKey(issuer))?.crl;
    if (used === undefined || crl.number > used.number) return true;
    if (crl.number < used.number)
      throw refused(`CRL number ${crl.number} is older than ${used.number}, which is in use`);
    if (equalBytes(crl.der, used.der)) return false;
    throw refused(`CRL number ${crl.number} is in use with another content: a new list has a higher number`);
  }
}

function parsed(file: Uint8Array): CrlBundle {
  try {
    return parseCrlBundle(file);
  } catch (cause) {
    throw refused(`the CRL can't be used: ${messageOf(cause)}`, cause);
  }
}

function issuerOf(crl: Crl, trust: Parameters<typeof findCrlIssuer>[1]): Certificate {
  try {
    return findCrlIssuer(crl, trust);
  } catch (cause) {
    const hint =
      cause instanceof PkiError && cause.code === "CRL_ISSUER_MISMATCH"
        ? "; for the list of an issuing CA put that CA's certificate into the same file"
        : "";
    throw refused(`the CRL can't be used: ${messageOf(cause)}${hint}`, cause);
  }
}

function refused(message: string, cause?: unknown): ServerError {
  return new ServerError("CRL_REFUSED", message, { cause });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : "";
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
