import { equalBytes } from "../base/bytes.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { ChannelError, type ChannelErrorCode } from "./channelError.ts";

/**
 * Judges a chain that the peer controls: its encoding, its path to an anchor, its purpose, for a server the host that
 * was dialled, revocation. @throws {PkiError}
 */
export type VerifyChain = (chain: readonly Uint8Array[]) => VerifiedCertificate;

/**
 * @param chain what the peer sent, 0 to 4 certificates of any bytes
 * @returns the leaf, proven good for `purpose`
 * @throws {ChannelError} `BAD_CERTIFICATE`, `CERTIFICATE_EXPIRED`, `CERTIFICATE_REVOKED`, `UNKNOWN_CA` with the `PkiError`
 *   as its cause; `INTERNAL` when the fault is this side's
 */
export function judgeChain(
  chain: readonly Uint8Array[],
  purpose: "server" | "client",
  verifyChain: VerifyChain,
): VerifiedCertificate {
  const [leaf] = chain;
  if (leaf === undefined) throw new ChannelError("BAD_CERTIFICATE", `the ${purpose} sent no certificate`);
  let peer: VerifiedCertificate;
  try {
    peer = verifyChain(chain);
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    throw new ChannelError(
      codeOfRefusal(cause),
      `the ${purpose}'s certificate was refused: ${cause.message}`,
      { cause },
    );
  }
  if (peer.purpose !== purpose || !equalBytes(peer.certificate.der, leaf))
    throw new ChannelError(
      "INTERNAL",
      `the ${purpose}'s certificate was judged for another purpose or is another one`,
    );
  return peer;
}

/** The grounds that somebody can do something about have codes of their own. */
function codeOfRefusal({ code }: PkiError): ChannelErrorCode {
  switch (code) {
    case "EXPIRED":
    case "NOT_YET_VALID":
      return "CERTIFICATE_EXPIRED";
    case "REVOKED":
      return "CERTIFICATE_REVOKED";
    case "NO_PATH":
      return "UNKNOWN_CA";
    // The list or the host name is this side's own: the peer can't help it.
    case "REVOCATION_UNKNOWN":
    case "CRL_MALFORMED":
    case "CRL_UNSUPPORTED":
    case "CRL_ISSUER_MISMATCH":
    case "CRL_ISSUER_NOT_ALLOWED":
    case "CRL_SIGNATURE_INVALID":
    case "CRL_NOT_YET_VALID":
    case "CRL_EXPIRED":
    case "HOST_MALFORMED":
      return "INTERNAL";
    default:
      return "BAD_CERTIFICATE";
  }
}
