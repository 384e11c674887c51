import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeCertificate } from "../../../src/pki/certificate.ts";
import { cmsLimits } from "../../../src/pki/cms/limits.ts";
import { mergeSignedData } from "../../../src/pki/cms/mergeSignedData.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { verifySigner } from "../../../src/pki/cms/verifySigner.ts";
import { encodeInteger, encodeSequence } from "../../../src/pki/derWriter.ts";
import { at } from "./derTree.ts";
import { expectPkiError } from "./expectPkiError.ts";
import { makeParties, type Parties, type Party } from "./parties.ts";
import { attribute, edit, place, signedAttrs, signerInfo, withSerial, withTokens } from "./signedDataFile.ts";
import { content, countersignedBy, onlySigner, signedBy, signedLaterBy, signerOf } from "./signing.ts";

let parties: Parties;

beforeAll(() => {
  parties = makeParties();
});
afterAll(() => parties.remove());

const merged = (...files: readonly Uint8Array[]): Uint8Array => files.reduce(mergeSignedData);
const signersOf = (file: Uint8Array) =>
  new Set(decodeSignedData(file).signers.map(({ fingerprint }) => fingerprint));
const counterSignersOf = (file: Uint8Array, party: Party) =>
  new Set(signerOf(file, party).counterSignatures.map(({ certificate }) => certificate.commonName));
const certificatesIn = (file: Uint8Array) =>
  new Set(decodeSignedData(file).certificates.map(({ commonName }) => commonName));

describe("mergeSignedData()", () => {
  test("is commutative, associative and idempotent for files with each signer's one signature", () => {
    const { alice, bob, carol, dave, erin, server, intermediate } = parties;
    // each with the counter signatures that it may have gathered in one place and not in another
    const pool = [
      signedBy(alice),
      signedBy(bob),
      signedBy(carol),
      signedBy(dave, intermediate),
      signedBy(erin),
    ];
    const targets = [alice, bob, carol, dave, erin];
    const pieces = pool.flatMap((file, index) => {
      const target = targets[index] ?? alice;
      return [file, countersignedBy(file, target, server), countersignedBy(file, target, carol)];
    });
    const files = fc
      .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 6 })
      .map((chosen) => merged(...chosen));
    fc.assert(
      fc.property(files, files, files, (a, b, c) => {
        expect(signersOf(merged(a, b))).toEqual(signersOf(a).union(signersOf(b)));
        // Each counter signature in `pieces` was made once, so not only the signers but all bytes agree.
        expect(merged(a, b)).toEqual(merged(b, a));
        expect(merged(merged(a, b), c)).toEqual(merged(a, merged(b, c)));
        expect(merged(a, a)).toEqual(a);
        expect(merged(merged(a, b), b)).toEqual(merged(a, b));
        for (const signer of decodeSignedData(merged(a, b)).signers) verifySigner(signer, content);
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  test("keeps the first of two signatures by one signer, with its counter signatures only", () => {
    const { alice, server } = parties;
    const [first, second] = [signedBy(alice), signedLaterBy(alice, 1)];
    const countersigned = countersignedBy(second, alice, server);
    // A counter signature is over one signature. The counter signer's certificate goes with it.
    expect(onlySigner(first).signature).not.toEqual(onlySigner(second).signature);
    expect(merged(first, countersigned)).toEqual(first);
    expect(merged(countersigned, first)).toEqual(countersigned);
  });

  test("takes over counter signatures that the first has not, and keeps the first by one counter signer", () => {
    const { alice, bob, server } = parties;
    const file = signedBy(alice);
    const byServer = countersignedBy(file, alice, server);
    expect(merged(file, byServer)).toEqual(byServer);
    const byBoth = merged(byServer, countersignedBy(file, alice, bob));
    expect(counterSignersOf(byBoth, alice)).toEqual(new Set(["server", "bob"]));
    verifySigner(onlySigner(byBoth), content);
    const again = countersignedBy(file, alice, server, 2);
    expect(again).not.toEqual(byServer);
    expect(merged(byServer, again)).toEqual(byServer);
    expect(merged(again, byServer)).toEqual(again);
  });

  test("takes over no counter signature from a SignerInfo with another signature, or with other attributes", () => {
    const { alice, server } = parties;
    const file = signedBy(alice);
    const countersigned = countersignedBy(file, alice, server);
    const otherSignature = edit(countersigned, (tree) => {
      const signature = at(signerInfo(tree), place.signature);
      signature.content = signature.content.with(9, (signature.content[9] ?? 0) ^ 1);
    });
    const otherAttributes = edit(countersigned, (tree) => {
      const digest = at(attribute(signedAttrs(tree), "messageDigest"), 1, 0);
      digest.content = digest.content.with(9, (digest.content[9] ?? 0) ^ 1);
    });
    for (const other of [otherSignature, otherAttributes]) expect(merged(file, other)).toEqual(file);
  });

  test("takes over the intermediates of those signers whom it takes over", () => {
    const { alice, dave, intermediate } = parties;
    expect(certificatesIn(merged(signedBy(alice), signedBy(dave, intermediate)))).toEqual(
      new Set(["alice", "dave", "intermediate"]),
    );
    const elsewhere = merged(signedBy(dave), signedBy(alice));
    expect(certificatesIn(merged(elsewhere, signedBy(alice)))).toEqual(new Set(["alice", "dave"]));
  });

  test("joins time-stamp tokens over the same signature", () => {
    const file = signedBy(parties.alice);
    const token = (value: number) => encodeSequence(encodeInteger(value));
    const joined = merged(withTokens(file, token(1), token(2)), withTokens(file, token(2), token(3)));
    expect(onlySigner(joined).timeStampTokens).toEqual([token(1), token(2), token(3)]);
    const other = withTokens(signedLaterBy(parties.alice, 1), token(4));
    expect(merged(joined, other)).toEqual(joined);
  });

  test("rejects two certificates of one issuer and serial number", () => {
    const { alice, dave, intermediate } = parties;
    const otherForm = decodeCertificate(
      edit(intermediate.certificate.der, (tree) => {
        const signature = at(tree, 2);
        signature.content = signature.content.with(20, (signature.content[20] ?? 0) ^ 1);
      }),
    );
    const erin = parties.certify("erin", "ed25519", "user", intermediate);
    const file = merged(signedBy(alice), signedBy(dave, intermediate));
    const other = signedBy(erin, { ...intermediate, certificate: otherForm });
    for (const pair of [
      [file, other],
      [other, file],
    ])
      expectPkiError("CMS_CONFLICT", () => merged(...pair));
  });

  test("rejects a file that does not decode, on either side", () => {
    const file = signedBy(parties.alice);
    const cut = file.subarray(0, -1);
    expectPkiError("DER_MALFORMED", () => mergeSignedData(file, cut));
    expectPkiError("DER_MALFORMED", () => mergeSignedData(cut, file));
  });

  test("rejects more signers than allowed", () => {
    const { alice } = parties;
    const signedAs = (serial: number) =>
      signedBy({ ...alice, certificate: withSerial(alice.certificate, serial) });
    let file = signedAs(1);
    for (let serial = 2; serial <= cmsLimits.maxSigners; serial++)
      file = mergeSignedData(file, signedAs(serial));
    expect(signersOf(file).size).toBe(cmsLimits.maxSigners);
    expectPkiError("CMS_TOO_LARGE", () => mergeSignedData(file, signedAs(cmsLimits.maxSigners + 1)));
  });
});
