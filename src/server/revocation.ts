import { equalBytes } from "../base/bytes.ts";
import type { Certificate } from "../pki/certificate.ts";
import { type Crl, parseCrlFile, verifyCrl } from "../pki/crl.ts";
import { PkiError } from "../pki/pkiError.ts";
import { findRevocation } from "../pki/revocation.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { maxCrlBytes } from "../wire/sessionMessages.ts";
import { ServerError } from "./serverError.ts";

/**
 * The newest CRL that the operator has given. Past its nextUpdate it still says who is revoked: a server that turned
 * everybody away then would only punish those who stayed good.
 */
export class Revocation {
  readonly #anchors: readonly Certificate[];
  #crl: Crl | undefined;

  constructor(anchors: readonly Certificate[]) {
    this.#anchors = anchors;
  }

  get crl(): Crl | undefined {
    return this.#crl;
  }

  /** @param file PEM or DER @returns the list, which is in use now @throws {ServerError} `CRL_REFUSED` */
  replace(file: Uint8Array, nowMs: number): Crl {
    const crl = this.#verified(file);
    if (crl.thisUpdateMs > nowMs)
      throw new ServerError(
        "CRL_REFUSED",
        `the CRL is from the future (${new Date(crl.thisUpdateMs).toISOString()})`,
      );
    if (crl.der.length > maxCrlBytes)
      throw new ServerError(
        "CRL_REFUSED",
        `CRL of ${crl.der.length} bytes, at most ${maxCrlBytes} can be handed to clients`,
      );
    if (this.#crl !== undefined && crl.number < this.#crl.number)
      throw new ServerError(
        "CRL_REFUSED",
        `CRL number ${crl.number} is older than ${this.#crl.number}, which is in use`,
      );
    this.#crl = crl;
    return crl;
  }

  /** @returns whether the list names this certificate or one above it, or can't be held against them: fail closed */
  isRevoked({ chain }: VerifiedCertificate): boolean {
    const crl = this.#crl;
    if (crl === undefined) return false;
    const judged = { chain, crls: [crl], atMs: crl.thisUpdateMs, crlGraceMs: Number.POSITIVE_INFINITY };
    try {
      return findRevocation(judged).revocation !== undefined;
    } catch (error) {
      if (error instanceof PkiError) return true;
      throw error;
    }
  }

  #verified(file: Uint8Array): Crl {
    try {
      const crl = parseCrlFile(file);
      const issuer = this.#anchors.find(({ subject }) => equalBytes(subject, crl.issuer));
      if (issuer === undefined)
        throw new ServerError("CRL_REFUSED", "the CRL is not by the CA that this server trusts");
      verifyCrl(crl, issuer);
      return crl;
    } catch (cause) {
      if (cause instanceof ServerError) throw cause;
      throw new ServerError(
        "CRL_REFUSED",
        `the CRL can't be used: ${cause instanceof Error ? cause.message : ""}`,
        {
          cause,
        },
      );
    }
  }
}
