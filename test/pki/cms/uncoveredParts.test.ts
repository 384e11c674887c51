import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { countersign } from "../../../src/pki/cms/countersign.ts";
import { mergeSignedData } from "../../../src/pki/cms/mergeSignedData.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { uncoveredParts } from "../../../src/pki/cms/uncoveredParts.ts";
import { encodeInteger, encodeSequence } from "../../../src/pki/derWriter.ts";
import { makeParties, type Parties } from "./parties.ts";
import { withSerial, withTokens } from "./signedDataFile.ts";
import { countersignedBy, signedBy, signingTimeOf } from "./signing.ts";
import { verifyWhole } from "./verifyWhole.ts";

let parties: Parties;

beforeAll(() => {
  parties = makeParties();
});
afterAll(() => parties.remove());

describe("uncoveredParts()", () => {
  test("finds nothing when every certificate is on a path, the anchor included", () => {
    const { alice, ca, dave, intermediate, server } = parties;
    const file = mergeSignedData(signedBy(alice), signedBy(dave, intermediate, ca));
    expect(verifyWhole(countersignedBy(file, alice, server), parties)).toEqual([]);
  });

  test("lists every certificate without a path", () => {
    const { alice, server } = parties;
    const signedData = decodeSignedData(countersignedBy(signedBy(alice), alice, server));
    expect(uncoveredParts(signedData, [])).toEqual(
      signedData.certificates.map((certificate) => ({ kind: "certificate", certificate })),
    );
  });

  test("lists an issuer by name only, which no path goes through", () => {
    const { dave, intermediate } = parties;
    const lookalike = withSerial(intermediate.certificate, 77);
    const file = signedBy(dave, intermediate, { ...intermediate, certificate: lookalike });
    expect(verifyWhole(file, parties)).toEqual([{ kind: "certificate", certificate: lookalike }]);
  });

  test("lists a root that is not the verifier's", () => {
    const { alice, ca } = parties;
    const lookalike = withSerial(ca.certificate, 77);
    const file = signedBy(alice, { ...ca, certificate: lookalike });
    expect(verifyWhole(file, parties)).toEqual([{ kind: "certificate", certificate: lookalike }]);
  });

  test("lists the intermediate of a counter signer whose path was not verified", () => {
    const { alice, dave, intermediate } = parties;
    const file = countersign(signedBy(alice), alice.certificate.fingerprint, {
      ...dave,
      signingTimeMs: signingTimeOf(dave),
      includeCertificates: [intermediate.certificate],
    });
    expect(verifyWhole(file, parties)).toEqual([]);
    expect(uncoveredParts(decodeSignedData(file), [])).toHaveLength(3);
  });

  test("lists time-stamp tokens with their signer", () => {
    const token = encodeSequence(encodeInteger(1));
    const [part, ...rest] = verifyWhole(withTokens(signedBy(parties.alice), token), parties);
    expect(rest).toEqual([]);
    if (part?.kind !== "timeStampToken") throw new Error("no token");
    expect(part.token).toEqual(token);
    expect(part.signer.fingerprint).toBe(parties.alice.certificate.fingerprint);
  });
});
