import type { Certificate } from "../certificate.ts";
import { makeSignerInfo, type SigningParty } from "./makeSignerInfo.ts";
import { assembleSignedData } from "./signedData.ts";

/**
 * Signs `content`, which stays outside.
 *
 * @param input.includeCertificates intermediates (and a root, for information); those that by name can't be on the
 *  path of `certificate` are left out, `certificate` itself is always in
 * @returns ContentInfo with a SignedData of one signer, DER
 * @throws {PkiError} `CMS_SIGNER_MISMATCH` when the key is not the certificate's, `KEY_UNSUPPORTED`, `CMS_CONFLICT`,
 *  `CMS_TOO_LARGE`
 */
export function signDetached(
  input: SigningParty & {
    readonly content: Uint8Array;
    readonly includeCertificates: readonly Certificate[];
  },
): Uint8Array {
  const signerInfo = makeSignerInfo("signer", input.content, input);
  return assembleSignedData(
    [{ ...signerInfo, counterSignatures: [], timeStampTokens: [] }],
    input.includeCertificates,
  );
}
