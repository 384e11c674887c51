import type { Hex } from "../base/hex.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { type VerifiedCertificate, verifyPath } from "../pki/verifyPath.ts";

/**
 * The certificate of a client as its session holds it: bytes, decoded anew when something asks for more. Decoded
 * certificates with their keys are what thousands of silent sessions would cost most; those in use are in the caches of
 * `decodeCertificate` and `verifyPath`.
 */
export class HeldCertificate {
  readonly fingerprint: Hex;
  readonly #chain: readonly Uint8Array[];
  readonly #anchors: readonly Certificate[];
  readonly #validUntilMs: number;

  /** @param verified good for a client, by a path to one of `anchors` */
  constructor(verified: VerifiedCertificate, anchors: readonly Certificate[]) {
    const { certificate, chain, validUntilMs } = verified;
    this.fingerprint = certificate.fingerprint;
    // The anchor, which everybody shares, is last.
    this.#chain = chain.slice(0, -1).map(({ der }) => der);
    this.#anchors = anchors;
    this.#validUntilMs = validUntilMs;
  }

  /** As it was in the handshake: what has passed since, and CRLs, are the caller's to look at. */
  get verified(): VerifiedCertificate {
    const [leaf, ...intermediates] = this.#chain.map(decodeCertificate);
    if (leaf === undefined) throw new Error("a path has a leaf");
    // A time at which the whole path is valid, so that the answer is the same whenever it is asked for.
    const atMs = this.#validUntilMs;
    return verifyPath({ leaf, intermediates, anchors: this.#anchors, crls: [], purpose: "client", atMs });
  }
}
