import type { Hex } from "../base/hex.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type VerifiedCertificate, verifyPath } from "../pki/verifyPath.ts";
import type { AccountStore } from "../store/accountStore.ts";
import { BoundedCache } from "./boundedCache.ts";
import type { Revocation } from "./revocation.ts";

const maxKept = 2_048;

interface Path {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
}

/**
 * The certificates of the store, at hand without waiting once they are loaded: the rules of a log ask for them by
 * fingerprint and time.
 */
export class CertificateBook {
  readonly #accounts: AccountStore;
  readonly #anchors: readonly Certificate[];
  readonly #revocation: Revocation;
  /** Every message asks about every member. */
  readonly #verdicts = new WeakMap<Certificate, { readonly version: number; readonly revoked: boolean }>();
  readonly #paths = new BoundedCache<Hex, Path>(maxKept);

  constructor(accounts: AccountStore, anchors: readonly Certificate[], revocation: Revocation) {
    this.#accounts = accounts;
    this.#anchors = anchors;
    this.#revocation = revocation;
  }

  /** Makes at hand what the store has of these. */
  async load(fingerprints: Iterable<Hex>): Promise<void> {
    const missing = [...new Set(fingerprints)].filter(
      (fingerprint) => this.#paths.find(fingerprint) === undefined,
    );
    if (missing.length === 0) return;
    for (const { fingerprint, chain } of await this.#accounts.certificates(missing)) {
      const [leaf, ...intermediates] = chain.map(decodeCertificate);
      if (leaf !== undefined) this.#paths.keep(fingerprint, { leaf, intermediates });
    }
  }

  /** Makes at hand what `isRevoked` goes by: where there is no list nothing is asked for. */
  async loadForRevocation(fingerprints: Iterable<Hex>): Promise<void> {
    if (this.#revocation.crls.length > 0) await this.load(fingerprints);
  }

  has(fingerprint: Hex): boolean {
    return this.#paths.find(fingerprint) !== undefined;
  }

  /** @returns whether it is at hand (see `loadForRevocation`) and revoked; one that is not valid at that time has other
   *  reasons to be out */
  isRevoked(fingerprint: Hex, atMs: number): boolean {
    const { crls, version } = this.#revocation;
    const leaf = this.#paths.find(fingerprint)?.leaf;
    if (crls.length === 0 || leaf === undefined) return false;
    const known = this.#verdicts.get(leaf);
    if (known?.version === version) return known.revoked;
    let verified: VerifiedCertificate;
    try {
      verified = this.at(fingerprint, atMs);
    } catch (error) {
      if (error instanceof PkiError) return false;
      throw error;
    }
    const revoked = this.#revocation.isRevoked(verified);
    this.#verdicts.set(leaf, { version, revoked });
    return revoked;
  }

  /** @returns whether it is at hand, valid at that time and not revoked */
  isGood(fingerprint: Hex, atMs: number): boolean {
    try {
      return !this.#revocation.isRevoked(this.at(fingerprint, atMs));
    } catch (error) {
      if (error instanceof PkiError) return false;
      throw error;
    }
  }

  /** For a signer of evidence at that time; CRLs have no part in it. @throws {PkiError} */
  at(fingerprint: Hex, atMs: number): VerifiedCertificate {
    const path = this.#paths.find(fingerprint);
    if (path === undefined)
      throw new PkiError("NO_PATH", `the server doesn't know the certificate ${fingerprint}`);
    return this.#verify(path, atMs);
  }

  /** As `at`, for a chain that came with something else, the leaf first. @throws {PkiError} */
  verify(chain: readonly Uint8Array[], atMs: number): VerifiedCertificate {
    const [leaf, ...intermediates] = chain.map(decodeCertificate);
    if (leaf === undefined) throw new PkiError("NO_PATH", "a chain without a certificate");
    return this.#verify({ leaf, intermediates }, atMs);
  }

  #verify(path: Path, atMs: number): VerifiedCertificate {
    return verifyPath({ ...path, anchors: this.#anchors, crls: [], purpose: "evidence", atMs });
  }
}
