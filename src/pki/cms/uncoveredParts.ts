import type { Certificate } from "../certificate.ts";
import type { VerifiedCertificate } from "../verifyPath.ts";
import type { SignedData, Signer } from "./signedData.ts";

/** Something in a file that could be changed without making a signature or a path fail. */
export type UncoveredPart =
  | { readonly kind: "certificate"; readonly certificate: Certificate }
  | { readonly kind: "timeStampToken"; readonly signer: Signer; readonly token: Uint8Array };

/**
 * What no check has covered once every signer has passed `verifySigner`. Certificates are covered by being on one of
 * the paths that the caller verified; time-stamp tokens by nothing yet. A file is accepted as a whole only when this
 * list is empty.
 *
 * @param paths of all signers and counter signers, from `verifyPath` with the anchors of the verifier
 */
export function uncoveredParts(
  signedData: SignedData,
  paths: readonly VerifiedCertificate[],
): readonly UncoveredPart[] {
  const covered = new Set(paths.flatMap(({ chain }) => chain.map(({ fingerprint }) => fingerprint)));
  return [
    ...signedData.certificates
      .filter(({ fingerprint }) => !covered.has(fingerprint))
      .map((certificate): UncoveredPart => ({ kind: "certificate", certificate })),
    ...signedData.signers.flatMap((signer) =>
      signer.timeStampTokens.map((token): UncoveredPart => ({ kind: "timeStampToken", signer, token })),
    ),
  ];
}
