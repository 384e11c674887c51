import type { PrivateKey } from "../crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { serverNames } from "../pki/identity.ts";
import { keyMatchesCertificate } from "../pki/keyFile.ts";
import { PkiError } from "../pki/pkiError.ts";
import { verifyPath } from "../pki/verifyPath.ts";
import type { ServerIdentity } from "./ownIdentity.ts";
import type { Revocation } from "./revocation.ts";
import { ServerError } from "./serverError.ts";

interface IdentityOptions {
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
  readonly anchors: readonly Certificate[];
  readonly now: () => number;
}

/**
 * The certificate and key that the server is about to use, judged as its clients will judge them.
 *
 * @throws {ServerError} `KEY_MISMATCH`, `CERTIFICATE_EXPIRED`, `NOT_A_SERVER_CERTIFICATE`, `CERTIFICATE_REFUSED`
 */
export function serverIdentity(options: IdentityOptions, revocation: Revocation): ServerIdentity {
  const { chain, key, anchors, now } = options;
  try {
    const [leaf, ...intermediates] = chain.map(decodeCertificate);
    if (leaf === undefined) throw new ServerError("CERTIFICATE_REFUSED", "there is no server certificate");
    if (!keyMatchesCertificate(key, leaf))
      throw new ServerError("KEY_MISMATCH", `the key is not that of the certificate of ${leaf.subjectText}`);
    const verified = verifyPath({ leaf, intermediates, anchors, crls: [], purpose: "server", atMs: now() });
    serverNames(leaf);
    if (revocation.isRevoked(verified))
      throw new ServerError(
        "CERTIFICATE_REFUSED",
        `the server's own certificate is revoked: ${leaf.subjectText}`,
      );
    return { verified, chain, key };
  } catch (cause) {
    if (cause instanceof PkiError) throw refusedBy(cause);
    throw cause;
  }
}

function refusedBy(cause: PkiError): ServerError {
  switch (cause.code) {
    case "EXPIRED":
    case "NOT_YET_VALID":
      return new ServerError(
        "CERTIFICATE_EXPIRED",
        `the server certificate is not valid now: ${cause.message}${cause.code === "EXPIRED" ? ' with "securechat issue --renew"' : "; is the clock right?"}`,
        {
          cause,
        },
      );
    case "KEY_USAGE_WRONG":
    case "EXTENDED_KEY_USAGE_WRONG":
    case "PROFILE_VIOLATED":
    case "NOT_A_SERVER":
      return new ServerError(
        "NOT_A_SERVER_CERTIFICATE",
        `this is no server's certificate: ${cause.message}`,
        { cause },
      );
    default:
      return new ServerError(
        "CERTIFICATE_REFUSED",
        `the server certificate can't be used: ${cause.message}`,
        {
          cause,
        },
      );
  }
}
