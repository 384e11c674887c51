import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import type { Certificate } from "../pki/certificate.ts";
import { type Crl, decodeCrl, verifyCrl } from "../pki/crl.ts";
import type { OnEvent } from "./clientEvents.ts";
import type { Vault } from "./vault.ts";

/**
 * The newest CRL of each trusted CA: what the vault kept, what a file gave, and what the server hands out after login. The
 * highest number that the CA signed counts; the server can hold a newer one back until `nextUpdate`, not take one away.
 */
export class Revocations {
  readonly #anchors: readonly Certificate[];
  readonly #vault: Vault;
  readonly #onEvent: OnEvent;
  readonly #newest = new Map<Hex, Crl>();
  #version = 0;

  constructor(options: { anchors: readonly Certificate[]; vault: Vault; onEvent: OnEvent }) {
    this.#anchors = options.anchors;
    this.#vault = options.vault;
    this.#onEvent = options.onEvent;
    for (const { value } of this.#vault.list("crl")) this.#offer(decodeCrl(value));
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
   * Takes a CRL from a file or from the server and keeps it.
   *
   * @returns whether it is newer than the one at hand
   * @throws {PkiError} when it is malformed or not signed by a trusted CA
   */
  take(der: Uint8Array): boolean {
    const crl = decodeCrl(der);
    const issuer = this.#offer(crl);
    if (issuer === undefined) return false;
    const batch = this.#vault.batch();
    batch.write("crl", issuer, der);
    this.#vault.commit(batch);
    return true;
  }

  /** Says once per call when a CRL is past its `nextUpdate`. */
  warnIfStale(nowMs: number): void {
    if (this.isStale(nowMs))
      this.#onEvent({
        event: "warning",
        code: "STALE_CRL",
        message:
          "the list of revoked certificates is out of date: nobody new is admitted until the CA issues another",
      });
  }

  /** @returns the key of its issuer when it is the newest now */
  #offer(crl: Crl): Hex | undefined {
    const issuer = this.#issuerOf(crl);
    const key = encodeHex(sha256(issuer.subject));
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

  /** CAs may share a name: the one whose key signed it. */
  #issuerOf(crl: Crl): Certificate {
    let refusal: unknown;
    for (const anchor of this.#anchors)
      try {
        verifyCrl(crl, anchor);
        return anchor;
      } catch (error) {
        refusal = error;
      }
    throw refusal;
  }
}
