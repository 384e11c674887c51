import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { decodeCertificate } from "../../../src/pki/certificate.ts";
import { countersign } from "../../../src/pki/cms/countersign.ts";
import { cmsLimits } from "../../../src/pki/cms/limits.ts";
import { mergeSignedData } from "../../../src/pki/cms/mergeSignedData.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { verifySigner } from "../../../src/pki/cms/verifySigner.ts";
import { at } from "./derTree.ts";
import { expectPkiError } from "./expectPkiError.ts";
import { makeParties, type Parties } from "./parties.ts";
import { counterSignature, edit, place, withSerial } from "./signedDataFile.ts";
import { content, countersignedBy, onlySigner, signedBy, signerOf, signingTimeOf } from "./signing.ts";

let parties: Parties;

beforeAll(() => {
  parties = makeParties();
});
afterAll(() => parties.remove());

describe("countersign()", () => {
  test("signs one signer's signature and leaves the others as they are", () => {
    const { alice, bob, server } = parties;
    const file = mergeSignedData(signedBy(alice), signedBy(bob));
    const countersigned = countersignedBy(file, bob, server);
    expect(signerOf(countersigned, alice)).toEqual(signerOf(file, alice));
    const { counterSignatures, ...signer } = signerOf(countersigned, bob);
    expect(signer).toEqual((({ counterSignatures: _, ...rest }) => rest)(signerOf(file, bob)));
    expect(counterSignatures.map(({ fingerprint }) => fingerprint)).toEqual([server.certificate.fingerprint]);
    verifySigner(signerOf(countersigned, bob), content);
  });

  test("takes the intermediates of the counter signer in", () => {
    const { alice, bob, dave, intermediate } = parties;
    const file = countersign(signedBy(alice), alice.certificate.fingerprint, {
      ...dave,
      signingTimeMs: signingTimeOf(dave),
      includeCertificates: [intermediate.certificate, bob.certificate],
    });
    expect(new Set(decodeSignedData(file).certificates.map(({ commonName }) => commonName))).toEqual(
      new Set(["alice", "dave", "intermediate"]),
    );
  });

  test("leaves a signer as it is that the same certificate has countersigned: the first date counts", () => {
    const { alice, server } = parties;
    const file = countersignedBy(signedBy(alice), alice, server);
    const signingTimeMs = signingTimeOf(server) + 3_600_000;
    expect(countersign(file, alice.certificate.fingerprint, { ...server, signingTimeMs })).toEqual(file);
  });

  test("rejects a file with a false counter signature in its name", () => {
    const { alice, server } = parties;
    const forged = edit(countersignedBy(signedBy(alice), alice, server), (tree) => {
      const signature = at(counterSignature(tree), place.signature);
      signature.content = onlySigner(signedBy(alice)).signature;
    });
    const error = expectPkiError("CMS_COUNTERSIGNATURE_INVALID", () =>
      countersignedBy(forged, alice, server),
    );
    expect(error.cause).toMatchObject({ code: "CMS_SIGNATURE_INVALID" });
  });

  test("rejects a signer who is not in the file", () => {
    const { alice, bob, server } = parties;
    expectPkiError("CMS_SIGNER_UNKNOWN", () => countersignedBy(signedBy(alice), bob, server));
  });

  test("rejects a key that is not the certificate's", () => {
    const { alice, bob, server } = parties;
    expectPkiError("CMS_SIGNER_MISMATCH", () =>
      countersignedBy(signedBy(alice), alice, { ...server, key: bob.key }),
    );
  });

  test("rejects a second form of an embedded intermediate", () => {
    const { alice, dave, intermediate } = parties;
    const file = mergeSignedData(signedBy(alice), signedBy(dave, intermediate));
    const otherForm = decodeCertificate(
      edit(intermediate.certificate.der, (tree) => {
        const signature = at(tree, 2);
        signature.content = signature.content.with(20, (signature.content[20] ?? 0) ^ 1);
      }),
    );
    const erin = parties.certify("erin", "ed25519", "user", intermediate);
    const party = { ...erin, signingTimeMs: signingTimeOf(erin), includeCertificates: [otherForm] };
    expectPkiError("CMS_CONFLICT", () => countersign(file, alice.certificate.fingerprint, party));
    const same = { ...party, includeCertificates: [intermediate.certificate] };
    expect(
      decodeSignedData(countersign(file, alice.certificate.fingerprint, same)).certificates,
    ).toHaveLength(4);
  });

  test("rejects one counter signature more than allowed", () => {
    const { alice, bob, server } = parties;
    let file = signedBy(alice);
    for (let serial = 1; serial <= cmsLimits.maxCounterSignatures; serial++)
      file = countersignedBy(file, alice, { ...bob, certificate: withSerial(bob.certificate, serial) });
    expect(onlySigner(file).counterSignatures).toHaveLength(cmsLimits.maxCounterSignatures);
    verifySigner(onlySigner(file), content);
    expectPkiError("CMS_TOO_LARGE", () => countersignedBy(file, alice, server));
  });
});
