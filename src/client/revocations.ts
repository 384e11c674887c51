import { encodeHex, type Hex } from "../base/hex.ts";
import type { Certificate } from "../pki/certificate.ts";
import { type Crl, decodeCrl, verifyCrl } from "../pki/crl.ts";
import { parseCrlBundle } from "../pki/crlBundle.ts";
import { authorityKey } from "../pki/crlIssuer.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { ClientError } from "./clientError.ts";
import type { OnEvent } from "./clientEvents.ts";
import type { Vault } from "./vault.ts";

/** Lists that are kept while no path has shown who signed them. */
const maxUnproven = 16;
const dayMs = 86_400_000;

/**
 * The newest CRL of each CA that is trusted or stands on a path to one that is: what the vault kept, what a file gave, and
 * what the server hands out after login. The highest number that the CA signed counts; the server can hold a newer one
 * back until `nextUpdate`, not take one away.
 */
export class Revocations {
  readonly #anchors: readonly Certificate[];
  readonly #vault: Vault;
  readonly #onEvent: OnEvent;
  readonly #newest = new Map<Hex, Crl>();
  /** Issuing CAs that stood on a verified path, by fingerprint. */
  readonly #authorities = new Map<Hex, Certificate>();
  /** By the issuer's Name, in hex: lists of issuing CAs that no path has led through yet. */
  readonly #unproven = new Map<string, Crl>();
  #version = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;

  constructor(options: { anchors: readonly Certificate[]; vault: Vault; onEvent: OnEvent }) {
    this.#anchors = options.anchors;
    this.#vault = options.vault;
    this.#onEvent = options.onEvent;
    for (const { value } of this.#vault.list("crl")) this.#consider(decodeCrl(value));
  }

  /** Changes with every newer CRL. */
  get version(): number {
    return this.#version;
  }

  get crls(): readonly Crl[] {
    return [...this.#newest.values()];
  }

  /** The CRL number that a signed body names; `null` without a CRL. With several CAs: that of the one that issued last. */
  get number(): string | null {
    const [latest] = [...this.#newest.values()].sort((a, b) => b.thisUpdateMs - a.thisUpdateMs);
    return latest === undefined ? null : latest.number.toString();
  }

  /** @returns whether a CRL is past its `nextUpdate`: then nobody new is admitted */
  isStale(nowMs: number): boolean {
    return this.crls.some((crl) => nowMs > crl.nextUpdateMs);
  }

  /**
   * Takes a CRL from the server and keeps it. One of an issuing CA that is not known yet waits for a path through it.
   *
   * @returns whether it is newer than the one at hand
   * @throws {PkiError} when it is malformed, or not signed by the CA that it names
   */
  take(der: Uint8Array): boolean {
    return this.#consider(decodeCrl(der));
  }

  /**
   * Takes the lists of a file that the user named.
   *
   * @param file as `parseCrlBundle` reads it
   * @throws {ClientError} `CRL_REFUSED` when one of them can't be used
   */
  takeFile(file: Uint8Array): void {
    try {
      for (const crl of parseCrlBundle(file).crls) this.#consider(crl);
    } catch (cause) {
      if (!(cause instanceof PkiError)) throw cause;
      throw new ClientError("CRL_REFUSED", `the list of revoked certificates is refused: ${cause.message}`, {
        cause,
      });
    }
  }

  /** The issuing CAs of a verified path may revoke what they issued. @returns whether that brought a newer list */
  trust({ chain }: VerifiedCertificate): boolean {
    let isNewer = false;
    for (const authority of chain.slice(1, -1)) {
      if (this.#authorities.has(authority.fingerprint)) continue;
      this.#authorities.set(authority.fingerprint, authority);
      const name = encodeHex(authority.subject);
      const waiting = this.#unproven.get(name);
      if (waiting === undefined) continue;
      this.#unproven.delete(name);
      try {
        isNewer = this.#consider(waiting) || isNewer;
      } catch (error) {
        // Somebody made it up in the name of this CA.
        if (!(error instanceof PkiError)) throw error;
      }
    }
    return isNewer;
  }

  /** Says, once a day at most, when a CRL is past its `nextUpdate`. */
  warnIfStale(nowMs: number): void {
    if (!this.isStale(nowMs) || nowMs < this.#warnedMs + dayMs) return;
    this.#warnedMs = nowMs;
    this.#onEvent({
      event: "warning",
      code: "STALE_CRL",
      message:
        "the list of revoked certificates is out of date: nobody new is admitted until the CA issues another",
    });
  }

  /** @returns whether it is the newest of its issuer now; then it is kept @throws {PkiError} */
  #consider(crl: Crl): boolean {
    const issuer = this.#issuerOf(crl);
    if (issuer === undefined) {
      this.#await(crl);
      return false;
    }
    const key = this.#offer(crl, issuer);
    if (key === undefined) return false;
    const batch = this.#vault.batch();
    batch.write("crl", key, crl.der);
    this.#vault.commit(batch);
    return true;
  }

  /** Anybody can claim a name: a few of the newest wait, and which of them is good a signature says later. */
  #await(crl: Crl): void {
    const name = encodeHex(crl.issuer);
    const before = this.#unproven.get(name);
    if (before !== undefined && before.number >= crl.number) return;
    if (before === undefined && this.#unproven.size >= maxUnproven) return;
    this.#unproven.set(name, crl);
  }

  /** @returns the key of its issuer when it is the newest now */
  #offer(crl: Crl, issuer: Certificate): Hex | undefined {
    const key = authorityKey(issuer);
    const before = this.#newest.get(key);
    if (before !== undefined && crl.number <= before.number) {
      if (crl.number < before.number)
        this.#onEvent({
          event: "warning",
          code: "STALE_CRL",
          message: `a list of revoked certificates was refused: number ${crl.number}, number ${before.number} is known`,
        });
      return undefined;
    }
    this.#newest.set(key, crl);
    this.#version += 1;
    return key;
  }

  /**
   * CAs may share a name: the one whose key signed it.
   *
   * @returns `undefined` when nobody of that name is known
   * @throws {PkiError} when it is by none of those who have the name
   */
  #issuerOf(crl: Crl): Certificate | undefined {
    let refusal: PkiError | undefined;
    for (const authority of [...this.#anchors, ...this.#authorities.values()])
      try {
        verifyCrl(crl, authority);
        return authority;
      } catch (error) {
        if (!(error instanceof PkiError)) throw error;
        if (error.code !== "CRL_ISSUER_MISMATCH") refusal = error;
      }
    if (refusal !== undefined) throw refusal;
    return undefined;
  }
}
