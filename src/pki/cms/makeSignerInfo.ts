import type { PrivateKey } from "../../crypto/crypto.ts";
import type { Certificate } from "../certificate.ts";
import { keyMatchesCertificate } from "../keyFile.ts";
import { PkiError } from "../pkiError.ts";
import { cmsOids } from "./oids.ts";
import { suiteForKey } from "./signatureSuite.ts";
import { encodeSignedAttributes, encodeSigningCertificate, type Role } from "./signedAttributes.ts";
import type { SignerInfo } from "./signerInfo.ts";

/** Who signs, and when by its clock. */
export interface SigningParty {
  readonly certificate: Certificate;
  readonly key: PrivateKey;
  /** ms since the epoch, years 1950 to 9999; CMS keeps whole seconds, the rest is dropped. */
  readonly signingTimeMs: number;
}

/**
 * Signs `message`: the content for a signer, somebody's signature octets for a counter signer.
 *
 * @throws {PkiError} `CMS_SIGNER_MISMATCH` when the key is not the certificate's, `KEY_UNSUPPORTED`
 */
export function makeSignerInfo(role: Role, message: Uint8Array, party: SigningParty): SignerInfo {
  const { certificate, key } = party;
  if (!keyMatchesCertificate(key, certificate))
    throw new PkiError(
      "CMS_SIGNER_MISMATCH",
      `CMS: the key is not that of the certificate of ${certificate.subjectText}`,
    );
  const suite = suiteForKey(certificate.publicKey.type);
  const signingTimeMs = Math.floor(party.signingTimeMs / 1000) * 1000;
  const messageDigest = suite.digest(message);
  const der = encodeSignedAttributes({ role, messageDigest, signingTimeMs, certificate });
  return {
    certificate,
    fingerprint: certificate.fingerprint,
    signingTimeMs,
    suite,
    signedAttributes: {
      der,
      contentType: role === "signer" ? cmsOids.data : undefined,
      messageDigest,
      signingTimeMs,
      signingCertificate: encodeSigningCertificate(certificate),
    },
    signature: key.sign(der),
  };
}
