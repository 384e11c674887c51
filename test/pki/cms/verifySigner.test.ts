import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { crypto, type PrivateKey } from "../../../src/crypto/crypto.ts";
import { decodeEcdsaSignature, encodeEcdsaSignature } from "../../../src/crypto/ecdsaSignature.ts";
import type { Certificate } from "../../../src/pki/certificate.ts";
import { mergeSignedData } from "../../../src/pki/cms/mergeSignedData.ts";
import { cmsOids } from "../../../src/pki/cms/oids.ts";
import { encodeIssuerAndSerial, encodeSigningCertificate } from "../../../src/pki/cms/signedAttributes.ts";
import { verifySigner } from "../../../src/pki/cms/verifySigner.ts";
import {
  encodeContext,
  encodeInteger,
  encodeNull,
  encodeOctetString,
  encodeOid,
  encodeSequence,
} from "../../../src/pki/derWriter.ts";
import { oids } from "../../../src/pki/oids.ts";
import type { PkiErrorCode } from "../../../src/pki/pkiError.ts";
import { at, type DerNode, readTree, sort } from "./derTree.ts";
import { expectPkiError } from "./expectPkiError.ts";
import { requireOpenssl } from "./openssl.ts";
import { makeParties, type Parties } from "./parties.ts";
import {
  attribute,
  certificatesOf,
  counterSignature,
  counterSignaturesOf,
  edit,
  place,
  signAgain,
  signerInfo,
} from "./signedDataFile.ts";
import { content, countersignedBy, onlySigner, signedBy, signedLaterBy, signerOf } from "./signing.ts";

let parties: Parties;

beforeAll(() => {
  parties = makeParties();
});
afterAll(() => parties.remove());

/** Alice's file must decode and her signature be refused after `change`; `key` then signs the attributes again. */
function expectRefused(code: PkiErrorCode, change: (signerInfo: DerNode) => void, key?: PrivateKey): void {
  const file = edit(signedBy(parties.alice), (tree) => {
    change(signerInfo(tree));
    if (key !== undefined) signAgain(signerInfo(tree), key);
  });
  expectPkiError(code, () => verifySigner(onlySigner(file), content));
}

/** As above with the counter signature by the server on Alice's signature. @returns the ground for the refusal */
function expectCounterRefused(change: (counterSignature: DerNode) => void, key?: PrivateKey): unknown {
  const file = countersignedBy(signedBy(parties.alice), parties.alice, parties.server);
  verifySigner(onlySigner(file), content);
  const changed = edit(file, (tree) => {
    change(counterSignature(tree));
    if (key !== undefined) signAgain(counterSignature(tree), key);
  });
  const error = expectPkiError("CMS_COUNTERSIGNATURE_INVALID", () =>
    verifySigner(onlySigner(changed), content),
  );
  return error.cause;
}

function setValue(info: DerNode, name: keyof typeof cmsOids, value: Uint8Array): void {
  at(attribute(at(info, place.signedAttrs), name), 1).children = [readTree(value)];
}

function flip(node: DerNode): void {
  const last = node.content.length - 1;
  node.content = node.content.with(last, (node.content[last] ?? 0) ^ 1);
}

/** The other valid form of an ECDSA signature: (r, n - s). */
function otherForm(signature: Uint8Array): Uint8Array {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const parts = decodeEcdsaSignature(signature, "p256");
  if (parts === undefined) throw new Error("not an ECDSA signature");
  const s = order - BigInt(`0x${parts.s.toHex()}`);
  return encodeEcdsaSignature({ r: parts.r, s: Uint8Array.fromHex(s.toString(16).padStart(64, "0")) });
}

/** SigningCertificateV2 values that name the certificate in another way than the one allowed. */
function otherSigningCertificates(certificate: Certificate): Uint8Array[] {
  const hash = encodeOctetString(Uint8Array.fromHex(certificate.fingerprint));
  const [issuer, serial] = [certificate.issuer, encodeInteger(Uint8Array.fromHex(certificate.serial))];
  const issuerSerial = encodeSequence(encodeSequence(encodeContext(4, issuer)), serial);
  const sha256 = encodeSequence(encodeOid(oids.sha256));
  const certId = encodeSequence(hash, issuerSerial);
  return [
    encodeSequence(encodeSequence(encodeSequence(hash))), // no issuerSerial
    encodeSequence(encodeSequence(encodeSequence(sha256, hash, issuerSerial))), // the DEFAULT written out
    encodeSequence(encodeSequence(certId, certId)),
    encodeSequence(encodeSequence(certId), encodeSequence()), // policies
    encodeSequence(encodeSequence()),
  ];
}

describe("verifySigner()", () => {
  test("accepts p256, RSA and Ed25519 signers with counter signatures of all three", () => {
    for (const target of [parties.alice, parties.carol, parties.erin]) {
      let file = signedBy(target);
      for (const counterSigner of [parties.server, parties.carol, parties.erin])
        file = countersignedBy(file, target, counterSigner);
      const signer = onlySigner(file);
      expect(signer.counterSignatures).toHaveLength(3);
      verifySigner(signer, content);
    }
  });

  test("rejects other content", () => {
    const signer = onlySigner(signedBy(parties.alice));
    expectPkiError("CMS_DIGEST_MISMATCH", () => verifySigner(signer, encodeUtf8("other words")));
    expectPkiError("CMS_DIGEST_MISMATCH", () => verifySigner(signer, new Uint8Array()));
  });

  test("rejects a content type that is not id-data, though it is signed", () => {
    expectRefused(
      "CMS_CONTENT_TYPE_WRONG",
      (info) => setValue(info, "contentType", encodeOid(cmsOids.signedData)),
      parties.alice.key,
    );
  });

  test("rejects a digest of another length, though it is signed", () => {
    expectRefused(
      "CMS_DIGEST_MISMATCH",
      (info) => setValue(info, "messageDigest", encodeOctetString(crypto().sha256(content).subarray(0, 31))),
      parties.alice.key,
    );
  });

  test("rejects changed signed attributes and a changed signature", () => {
    expectRefused("CMS_SIGNATURE_INVALID", (info) => {
      const time = at(attribute(at(info, place.signedAttrs), "signingTime"), 1, 0);
      time.content = encodeUtf8("300101000000Z");
      sort(at(info, place.signedAttrs));
    });
    expectRefused("CMS_SIGNATURE_INVALID", (info) => flip(at(info, place.signature)));
    expectRefused("CMS_SIGNATURE_INVALID", (info) => {
      at(info, place.signature).content = new Uint8Array();
    });
  });

  test("rejects somebody else's signature in the signer's name", () => {
    expectRefused("CMS_SIGNATURE_INVALID", () => {}, parties.bob.key);
  });

  test("rejects an ECDSA signature with a high S, which is valid otherwise", () => {
    const high = otherForm(onlySigner(signedBy(parties.alice)).signature);
    expect(otherForm(high)).not.toEqual(high);
    expectRefused("CMS_SIGNATURE_NOT_CANONICAL", (info) => {
      const signature = at(info, place.signature);
      signature.content = otherForm(signature.content);
    });
  });

  test("rejects an RSA signature with another length than the modulus", () => {
    const file = edit(signedBy(parties.carol), (tree) => {
      const signature = at(signerInfo(tree), place.signature);
      signature.content = Uint8Array.of(0, ...signature.content);
    });
    expectPkiError("CMS_SIGNATURE_INVALID", () => verifySigner(onlySigner(file), content));
  });

  test("rejects the algorithms of another type of key", () => {
    expectRefused("ALGORITHM_MISMATCH", (info) => {
      info.children[place.signatureAlgorithm] = readTree(
        encodeSequence(encodeOid(cmsOids.rsaEncryption), encodeNull()),
      );
    });
  });

  test("rejects a signingCertificateV2 of another certificate, or in another form, though it is signed", () => {
    const { key, certificate } = parties.alice;
    for (const value of [
      encodeSigningCertificate(parties.bob.certificate),
      ...otherSigningCertificates(certificate),
    ])
      expectRefused("CMS_SIGNER_MISMATCH", (info) => setValue(info, "signingCertificateV2", value), key);
  });

  test("rejects a second certificate of the signer's key put in place of the one that was signed with", () => {
    // What the attribute is for: same key, another certificate, everything else rewritten to fit.
    const again = parties.certifyAgain(parties.alice);
    expect(again.certificate.publicKey.spki).toEqual(parties.alice.certificate.publicKey.spki);
    const file = edit(signedBy(parties.alice), (tree) => {
      certificatesOf(tree).children = [readTree(again.certificate.der)];
      signerInfo(tree).children[place.sid] = readTree(encodeIssuerAndSerial(again.certificate));
    });
    expectPkiError("CMS_SIGNER_MISMATCH", () => verifySigner(onlySigner(file), content));
  });
});

describe("verifySigner() of counter signatures", () => {
  test("OpenSSL verifies the counter signature's octets over its signed attributes", () => {
    const signer = onlySigner(countersignedBy(signedBy(parties.alice), parties.alice, parties.server));
    const [counter] = signer.counterSignatures;
    if (counter === undefined) throw new Error("no counter signature");
    expect(counter.signedAttributes.messageDigest).toEqual(crypto().sha256(signer.signature));
    const key = requireOpenssl("x509", "-in", parties.server.certificateFile, "-noout", "-pubkey");
    const said = requireOpenssl(
      ...["dgst", "-sha256", "-verify", parties.write("server_public.pem", key)],
      ...["-signature", parties.write("counter.sig", counter.signature)],
      parties.write("counter.attributes", counter.signedAttributes.der),
    );
    expect(said).toContain("Verified OK");
  });

  test("rejects a changed one", () => {
    const cause = expectCounterRefused((counter) => flip(at(counter, place.signature)));
    expect(cause).toMatchObject({ code: "CMS_SIGNATURE_INVALID" });
  });

  test("rejects one with a high S", () => {
    const cause = expectCounterRefused((counter) => {
      const signature = at(counter, place.signature);
      signature.content = otherForm(signature.content);
    });
    expect(cause).toMatchObject({ code: "CMS_SIGNATURE_NOT_CANONICAL" });
  });

  test("rejects one over the content in place of the signature", () => {
    const digest = encodeOctetString(crypto().sha256(content));
    const cause = expectCounterRefused(
      (counter) => setValue(counter, "messageDigest", digest),
      parties.server.key,
    );
    expect(cause).toMatchObject({ code: "CMS_DIGEST_MISMATCH" });
  });

  test("rejects one whose signingCertificateV2 is another's", () => {
    const value = encodeSigningCertificate(parties.bob.certificate);
    const cause = expectCounterRefused(
      (counter) => setValue(counter, "signingCertificateV2", value),
      parties.server.key,
    );
    expect(cause).toMatchObject({ code: "CMS_SIGNER_MISMATCH" });
  });

  test("rejects one that was moved from another signer, or from an earlier signature of the same", () => {
    const { alice, bob, server } = parties;
    const [fromBob, fromEarlier] = [
      countersignedBy(signedBy(bob), bob, server),
      countersignedBy(signedBy(alice), alice, server),
    ];
    for (const donor of [fromBob, fromEarlier]) {
      const file = countersignedBy(signedLaterBy(alice, 1), alice, server);
      const moved = edit(file, (tree) => {
        counterSignaturesOf(tree).children = [counterSignature(readTree(donor))];
      });
      const signer = onlySigner(moved);
      const error = expectPkiError("CMS_COUNTERSIGNATURE_INVALID", () => verifySigner(signer, content));
      expect(error.cause).toMatchObject({ code: "CMS_DIGEST_MISMATCH" });
    }
  });

  test("judges each signer of a file alone", () => {
    const file = mergeSignedData(signedBy(parties.alice), signedBy(parties.carol));
    const other = encodeUtf8("other words");
    for (const party of [parties.alice, parties.carol]) {
      verifySigner(signerOf(file, party), content);
      expectPkiError("CMS_DIGEST_MISMATCH", () => verifySigner(signerOf(file, party), other));
    }
  });
});
