import { decodeCertificate } from "../pki/certificate.ts";
import { personOf } from "../pki/identity.ts";
import { PkiError } from "../pki/pkiError.ts";
import { type VerifiedCertificate, verifyPath } from "../pki/verifyPath.ts";
import { ServerError } from "./serverError.ts";
import type { Services } from "./services.ts";

/** Judges a client's chain: path, purpose, names, revocation. */
export function clientVerifier({ anchors, revocation, now }: Services) {
  return (chain: readonly Uint8Array[]): VerifiedCertificate => {
    const [leaf, ...intermediates] = chain.map(decodeCertificate);
    if (leaf === undefined) throw new PkiError("NO_PATH", "the client has sent no certificate");
    const { crls, policy } = revocation;
    const verified = verifyPath({
      leaf,
      intermediates,
      anchors,
      crls,
      // A list that is overdue still says who is revoked: first that, then whether anybody else is let in.
      crlGraceMs: Number.POSITIVE_INFINITY,
      crlRequired: policy.required,
      purpose: "client",
      atMs: now(),
    });
    personOf(leaf);
    try {
      revocation.requireCurrent(now());
    } catch (cause) {
      if (!(cause instanceof ServerError)) throw cause;
      throw new PkiError("CRL_EXPIRED", cause.message, { cause });
    }
    return verified;
  };
}
