import { decodeSignedData, type SignedData } from "../../../src/pki/cms/signedData.ts";
import { type UncoveredPart, uncoveredParts } from "../../../src/pki/cms/uncoveredParts.ts";
import { verifySigner } from "../../../src/pki/cms/verifySigner.ts";
import { verifyPath } from "../../../src/pki/verifyPath.ts";
import type { Parties } from "./parties.ts";
import { content } from "./signing.ts";

/**
 * What a verifier of evidence does with a file: every signer, every path, then what is left over.
 *
 * @throws {PkiError}
 */
export function verifyWhole(file: Uint8Array, parties: Parties): readonly UncoveredPart[] {
  const signedData = decodeSignedData(file);
  for (const signer of signedData.signers) verifySigner(signer, content);
  return uncoveredParts(signedData, pathsOf(signedData, parties));
}

function pathsOf(
  { signers, certificates }: SignedData,
  { ca, nowMs }: Parties,
): ReturnType<typeof verifyPath>[] {
  return signers
    .flatMap((signer) => [signer, ...signer.counterSignatures])
    .map(({ certificate }) =>
      verifyPath({
        leaf: certificate,
        intermediates: certificates,
        anchors: [ca.certificate],
        crls: [],
        purpose: "evidence",
        atMs: nowMs,
      }),
    );
}
