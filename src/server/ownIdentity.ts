import type { Hex } from "../base/hex.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { serverNames } from "../pki/identity.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { ServerError } from "./serverError.ts";

/** A certificate of the server with its key. */
export interface ServerIdentity {
  readonly verified: VerifiedCertificate;
  /** Leaf first, as it is sent in the handshake. */
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
}

/**
 * What the server is and signs with now. A renewal takes its place at once for everything new; sessions that shook hands
 * with the one before go on, and may still name it in a conversation that they begin.
 */
export class OwnIdentity implements ServerIdentity {
  #current: ServerIdentity;
  readonly #all = new Map<Hex, VerifiedCertificate>();

  constructor(identity: ServerIdentity) {
    this.#current = identity;
    this.#remember(identity);
  }

  get verified(): VerifiedCertificate {
    return this.#current.verified;
  }

  get chain(): readonly Uint8Array[] {
    return this.#current.chain;
  }

  get key(): PrivateKey {
    return this.#current.key;
  }

  /** @returns the certificate, if the server has used it since it started */
  find(fingerprint: Hex): VerifiedCertificate | undefined {
    return this.#all.get(fingerprint);
  }

  /**
   * Conversations know their server by a name of its certificate, so no name may go; and its operator by the first, which
   * has to stay the first.
   *
   * @throws {ServerError} `CERTIFICATE_REFUSED`
   */
  requireSameNames({ verified }: ServerIdentity): void {
    const names = serverNames(verified.certificate);
    const [first, ...others] = serverNames(this.verified.certificate);
    const lost = names[0] === first ? others.find((name) => !names.includes(name)) : first;
    if (lost !== undefined)
      throw new ServerError(
        "CERTIFICATE_REFUSED",
        `the new certificate is not for ${lost}, ${lost === first ? "which its first name has to be" : "a name that conversations here know the server by"}`,
      );
  }

  replace(identity: ServerIdentity): void {
    this.#current = identity;
    this.#remember(identity);
  }

  #remember({ verified }: ServerIdentity): void {
    this.#all.set(verified.certificate.fingerprint, verified);
  }
}
