import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isLowS } from "../../../src/crypto/ecdsaSignature.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { verifySigner } from "../../../src/pki/cms/verifySigner.ts";
import { expectPkiError } from "./expectPkiError.ts";
import { opensslSign } from "./opensslSign.ts";
import { makeParties, type Parties, type Party } from "./parties.ts";
import { content, onlySigner } from "./signing.ts";

let parties: Parties;

beforeAll(() => {
  parties = makeParties();
});
afterAll(() => parties.remove());

/** OpenSSL's ECDSA signatures have a high S every other time: signs until one has, or has not. */
function opensslSignWith(s: "high" | "low", party: Party, ...options: readonly string[]): Uint8Array {
  for (;;) {
    const file = opensslSign(parties, party, ...options);
    if (isLowS(onlySigner(file).signature, "p256") === (s === "low")) return file;
  }
}

describe("what OpenSSL signs", () => {
  test("is accepted with -cades for p256 and RSA, with smimeCapabilities or without", () => {
    for (const options of [["-cades"], ["-cades", "-nosmimecap"]]) {
      const byAlice = onlySigner(opensslSignWith("low", parties.alice, ...options));
      expect(byAlice.fingerprint).toBe(parties.alice.certificate.fingerprint);
      verifySigner(byAlice, content);
      const byCarol = onlySigner(opensslSign(parties, parties.carol, ...options));
      expect(byCarol.fingerprint).toBe(parties.carol.certificate.fingerprint);
      verifySigner(byCarol, content);
    }
  });

  test("is accepted with an intermediate", () => {
    const certfile = ["-certfile", parties.intermediate.certificateFile];
    const file = opensslSignWith("low", parties.dave, "-cades", ...certfile);
    expect(decodeSignedData(file).certificates).toHaveLength(2);
    verifySigner(onlySigner(file), content);
  });

  test("is rejected with a high S", () => {
    const signer = onlySigner(opensslSignWith("high", parties.alice, "-cades"));
    expectPkiError("CMS_SIGNATURE_NOT_CANONICAL", () => verifySigner(signer, content));
  });

  test("is rejected without signingCertificateV2 and without signed attributes", () => {
    for (const options of [[], ["-noattr"]])
      expectPkiError("CMS_ATTRIBUTE_MISSING", () =>
        decodeSignedData(opensslSign(parties, parties.alice, ...options)),
      );
  });

  test("is rejected with another digest and with RSA-PSS", () => {
    for (const options of [
      ["-md", "sha512"],
      ["-keyopt", "rsa_padding_mode:pss"],
    ])
      expectPkiError("CMS_UNSUPPORTED", () =>
        decodeSignedData(opensslSign(parties, parties.carol, "-cades", ...options)),
      );
  });

  test("is rejected by a p384 key", () => {
    const frank = parties.certifyFiles("frank", "p384", "user", parties.ca);
    const signer = onlySigner(opensslSign(parties, frank, "-cades"));
    expectPkiError("ALGORITHM_MISMATCH", () => verifySigner(signer, content));
  });

  test("is rejected without the signer's certificate, and with one that nobody needs", () => {
    const without = opensslSign(parties, parties.alice, "-cades", "-nocerts");
    expectPkiError("CMS_CERTIFICATE_MISSING", () => decodeSignedData(without));
    const more = opensslSign(parties, parties.alice, "-cades", "-certfile", parties.bob.certificateFile);
    expectPkiError("CMS_CERTIFICATE_UNUSED", () => decodeSignedData(more));
  });

  test("is rejected with a key identifier, attached content or indefinite lengths", () => {
    for (const [code, option] of [
      ["CMS_UNSUPPORTED", "-keyid"],
      ["CMS_CONTENT_ATTACHED", "-nodetach"],
      ["DER_MALFORMED", "-stream"],
    ] as const)
      expectPkiError(code, () => decodeSignedData(opensslSign(parties, parties.alice, "-cades", option)));
  });
});
