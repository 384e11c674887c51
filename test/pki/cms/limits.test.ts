import { afterAll, beforeAll, describe, test } from "bun:test";
import { cmsLimits } from "../../../src/pki/cms/limits.ts";
import { cmsOids } from "../../../src/pki/cms/oids.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { encodeSequence } from "../../../src/pki/derWriter.ts";
import type { PkiErrorCode } from "../../../src/pki/pkiError.ts";
import { at, type DerNode, sort } from "./derTree.ts";
import { expectPkiError } from "./expectPkiError.ts";
import { makeParties, type Parties } from "./parties.ts";
import {
  attributeNode,
  certificatesOf,
  counterSignaturesOf,
  edit,
  signerInfo,
  signerInfosOf,
  unsignedAttrs,
} from "./signedDataFile.ts";
import { countersignedBy, signedBy } from "./signing.ts";

let parties: Parties;

beforeAll(() => {
  parties = makeParties();
});
afterAll(() => parties.remove());

/** Decoding must refuse one signer's countersigned file after `change`. */
function expectRefused(code: PkiErrorCode, change: (file: DerNode) => void): void {
  const file = countersignedBy(signedBy(parties.alice), parties.alice, parties.server);
  decodeSignedData(edit(file, () => {}));
  expectPkiError(code, () => decodeSignedData(edit(file, change)));
}

describe("decodeSignedData()", () => {
  test("rejects more bytes than allowed before it reads them", () => {
    expectPkiError("CMS_TOO_LARGE", () => decodeSignedData(new Uint8Array(cmsLimits.maxBytes + 1)));
    expectPkiError("DER_MALFORMED", () => decodeSignedData(new Uint8Array(cmsLimits.maxBytes)));
  });

  test("rejects more signers, certificates, counter signatures and tokens than allowed", () => {
    expectRefused("CMS_TOO_LARGE", (file) => {
      signerInfosOf(file).children = repeat(signerInfo(file), cmsLimits.maxSigners + 1);
    });
    expectRefused("CMS_SIGNER_DUPLICATE", (file) => {
      signerInfosOf(file).children = repeat(signerInfo(file), cmsLimits.maxSigners);
    });
    const empty: DerNode = { tag: 0x30, content: new Uint8Array(), children: [] };
    expectRefused("CMS_TOO_LARGE", (file) => {
      certificatesOf(file).children = repeat(empty, cmsLimits.maxCertificates + 1);
    });
    expectRefused("CERTIFICATE_MALFORMED", (file) => {
      certificatesOf(file).children = repeat(empty, cmsLimits.maxCertificates);
    });
    expectRefused("CMS_TOO_LARGE", (file) => {
      const values = counterSignaturesOf(file);
      values.children = repeat(at(values, 0), cmsLimits.maxCounterSignatures + 1);
    });
    expectRefused("CMS_SIGNER_DUPLICATE", (file) => {
      const values = counterSignaturesOf(file);
      values.children = repeat(at(values, 0), cmsLimits.maxCounterSignatures);
    });
    expectRefused("CMS_TOO_LARGE", (file) => {
      const token = encodeSequence();
      const tokens = attributeNode(
        cmsOids.timeStampToken,
        ...repeat(token, cmsLimits.maxTimeStampTokens + 1),
      );
      unsignedAttrs(file).children.push(tokens);
      sort(unsignedAttrs(file));
    });
  });
});

function repeat<T>(item: T, times: number): T[] {
  return Array.from({ length: times }, () => item);
}
