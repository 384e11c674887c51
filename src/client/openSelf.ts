import type { PrivateKey } from "../crypto/crypto.ts";
import { memberOf } from "../log/memberIdentity.ts";
import { type Certificate, decodeCertificate } from "../pki/certificate.ts";
import { personOf } from "../pki/identity.ts";
import { keyMatchesCertificate } from "../pki/keyFile.ts";
import { verifyPath } from "../pki/verifyPath.ts";
import { ClientError } from "./clientError.ts";
import type { Self } from "./devices.ts";

/**
 * Who the options say this client is, checked as a server would.
 *
 * @throws {ClientError} `CERTIFICATE_REFUSED`
 */
export function openSelf({
  chain,
  key,
  anchors,
  now,
  role,
}: {
  chain: readonly Uint8Array[];
  key: PrivateKey;
  anchors: readonly Certificate[];
  now: () => number;
  /** Of the server's operator, who is a member under the server's certificate: `server`. */
  role: "client" | "server";
}): Self {
  try {
    const [certificate, ...intermediates] = chain.map(decodeCertificate);
    if (certificate === undefined) throw new ClientError("CERTIFICATE_REFUSED", "there is no certificate");
    if (!keyMatchesCertificate(key, certificate))
      throw new ClientError("CERTIFICATE_REFUSED", "the private key is not the one of the certificate");
    const verified = verifyPath({
      leaf: certificate,
      intermediates,
      anchors,
      crls: [],
      purpose: role,
      atMs: now(),
    });
    return {
      verified,
      certificate,
      chain,
      key,
      ...(role === "client" ? personOf(certificate) : memberOf(certificate)),
    };
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw new ClientError(
      "CERTIFICATE_REFUSED",
      `the own certificate is no good: ${cause instanceof Error ? cause.message : ""}`,
      { cause },
    );
  }
}
