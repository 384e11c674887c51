import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { crypto } from "../../../src/crypto/crypto.ts";
import { countersign } from "../../../src/pki/cms/countersign.ts";
import { mergeSignedData } from "../../../src/pki/cms/mergeSignedData.ts";
import { signDetached } from "../../../src/pki/cms/signDetached.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { verifySigner } from "../../../src/pki/cms/verifySigner.ts";
import { formatPem } from "../../../src/pki/pem.ts";
import { createTestAuthority } from "../testAuthority.ts";
import { expectPkiError } from "./expectPkiError.ts";
import { openssl, requireOpenssl } from "./openssl.ts";
import { makeParties, type Parties } from "./parties.ts";
import { content, countersignedBy, onlySigner, signedBy } from "./signing.ts";

let parties: Parties;

beforeAll(() => {
  parties = makeParties();
});
afterAll(() => parties.remove());

let files = 0;

function opensslVerify(
  file: Uint8Array,
  over = content,
  anchors = parties.ca.certificateFile,
): ReturnType<typeof openssl> {
  const name = `file${files++}`;
  const [signature, detached] = [parties.write(`${name}.p7s`, file), parties.write(name, over)];
  const inputs = [
    "-inform",
    "DER",
    "-in",
    signature,
    "-content",
    detached,
    "-CAfile",
    anchors,
    "-out",
    `${detached}.out`,
  ];
  // -cades: signingCertificateV2 is checked too
  return openssl("cms", "-verify", "-binary", "-cades", ...inputs);
}

describe("signDetached()", () => {
  test("is accepted by OpenSSL for a p256 and for an RSA signer", () => {
    for (const party of [parties.alice, parties.carol]) {
      const verdict = opensslVerify(signedBy(party));
      expect(verdict.stderr).toContain("CAdES Verification successful");
      expect(verdict.ok).toBe(true);
    }
  });

  test("is refused by OpenSSL over other content", () => {
    expect(opensslVerify(signedBy(parties.alice), encodeUtf8("something else")).ok).toBe(false);
  });

  test("carries the intermediate that its path needs, and OpenSSL follows it", () => {
    expect(opensslVerify(signedBy(parties.dave)).ok).toBe(false);
    expect(opensslVerify(signedBy(parties.dave, parties.intermediate)).ok).toBe(true);
  });

  test("writes the attributes that OpenSSL prints", () => {
    const file = countersignedBy(signedBy(parties.alice), parties.alice, parties.server);
    const printed = requireOpenssl(
      ...["cms", "-cmsout", "-print", "-noout", "-inform", "DER"],
      ...["-in", parties.write("printed.p7s", file)],
    );
    for (const name of [
      "object: contentType (1.2.840.113549.1.9.3)",
      "object: signingTime (1.2.840.113549.1.9.5)",
      "object: messageDigest (1.2.840.113549.1.9.4)",
      "object: id-smime-aa-signingCertificateV2 (1.2.840.113549.1.9.16.2.47)",
      "object: countersignature (1.2.840.113549.1.9.6)",
    ])
      expect(printed).toContain(name);
    expect(printed).toContain("eContent: <ABSENT>");
    const parsed = requireOpenssl("asn1parse", "-inform", "DER", "-in", parties.write("parsed.p7s", file));
    // once in the signer; the counter signer has no contentType
    expect(parsed.match(/:contentType/g)).toHaveLength(1);
    expect(parsed.match(/:signingTime/g)).toHaveLength(2);
  });

  test("signs for Ed25519 with SHA-512 (RFC 8419)", () => {
    const signer = onlySigner(signedBy(parties.erin));
    expect(signer.suite.scheme).toBe("ed25519");
    expect(signer.signedAttributes.messageDigest).toEqual(crypto().sha512(content));
    verifySigner(signer, content);
  });

  test("keeps whole seconds of the signing time, in the form that its year demands", () => {
    const { certificate, key } = parties.alice;
    for (const [signingTimeMs, form, year] of [
      [Date.UTC(2049, 11, 31, 23, 59, 59, 999), "UTCTIME", "491231235959Z"],
      [Date.UTC(2050, 0, 1), "GENERALIZEDTIME", "20500101000000Z"],
      [Date.UTC(1950, 0, 1, 0, 0, 0, 1), "UTCTIME", "500101000000Z"],
    ] as const) {
      const file = signDetached({ content, certificate, key, includeCertificates: [], signingTimeMs });
      const signer = onlySigner(file);
      verifySigner(signer, content);
      expect(signer.signingTimeMs).toBe(Math.floor(signingTimeMs / 1000) * 1000);
      const printed = requireOpenssl(
        "asn1parse",
        "-inform",
        "DER",
        "-in",
        parties.write(`time${year}`, file),
      );
      expect(printed).toMatch(new RegExp(`${form} +:${year}`));
    }
  });

  test("leaves out certificates that its path can't need, and takes its own in once", () => {
    const { certificates } = decodeSignedData(
      signedBy(parties.alice, parties.bob, parties.alice, parties.ca),
    );
    expect(new Set(certificates.map(({ fingerprint }) => fingerprint))).toEqual(
      new Set([parties.alice.certificate.fingerprint, parties.ca.certificate.fingerprint]),
    );
    expect(certificates).toHaveLength(2);
  });

  test("rejects a key that is not the certificate's", () => {
    const mixed = { ...parties.alice, key: parties.bob.key };
    expectPkiError("CMS_SIGNER_MISMATCH", () => signedBy(mixed));
  });
});

describe("several signers", () => {
  test("OpenSSL accepts two and three merged signers, countersigned or not", () => {
    const two = mergeSignedData(signedBy(parties.alice), signedBy(parties.bob));
    expect(opensslVerify(two).ok).toBe(true);
    const three = mergeSignedData(two, signedBy(parties.carol));
    expect(opensslVerify(three).ok).toBe(true);
    let countersigned = three;
    for (const target of [parties.alice, parties.bob, parties.carol])
      countersigned = countersignedBy(countersigned, target, parties.server);
    expect(opensslVerify(countersigned).stderr).toContain("CAdES Verification successful");
    // OpenSSL 3.0 can't check Ed25519, but doesn't look at counter signatures
    const byEd25519 = countersignedBy(countersigned, parties.alice, parties.erin);
    expect(opensslVerify(byEd25519).ok).toBe(true);
    const { signers } = decodeSignedData(byEd25519);
    for (const signer of signers) verifySigner(signer, content);
    expect(signers.map(({ counterSignatures }) => counterSignatures.length).sort()).toEqual([1, 1, 2]);
  });

  test("OpenSSL accepts them with certificates of our own CA, an intermediate among them", async () => {
    const root = await createTestAuthority({ intermediates: true });
    const below = await root.issueIntermediate("Example Intermediate");
    const [heidi, ivan] = [await root.issueUser("heidi"), await below.issueUser("ivan")];
    const rsa = await root.issueUser("judy", "judy@example.org", { keyType: "rsa2048" });
    const server = await root.issueServer("chat.example.org");
    const signingTimeMs = root.nowMs;
    let file = [heidi, ivan, rsa]
      .map((party) => signDetached({ ...party, content, includeCertificates: [below.ca], signingTimeMs }))
      .reduce(mergeSignedData);
    for (const { certificate } of [heidi, ivan, rsa])
      file = countersign(file, certificate.fingerprint, { ...server, signingTimeMs });
    const anchor = parties.write("our_ca.pem", formatPem("CERTIFICATE", root.ca.der));
    expect(opensslVerify(file, content, anchor).stderr).toContain("CAdES Verification successful");
    for (const signer of decodeSignedData(file).signers) verifySigner(signer, content);
  });
});
