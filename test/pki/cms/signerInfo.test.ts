import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { mergeSignedData } from "../../../src/pki/cms/mergeSignedData.ts";
import { cmsOids } from "../../../src/pki/cms/oids.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { verifySigner } from "../../../src/pki/cms/verifySigner.ts";
import {
  encodeInteger,
  encodeNull,
  encodeOid,
  encodeSequence,
  encodeTlv,
} from "../../../src/pki/derWriter.ts";
import { oids } from "../../../src/pki/oids.ts";
import type { PkiErrorCode } from "../../../src/pki/pkiError.ts";
import { at, type DerNode, readTree, sort } from "./derTree.ts";
import { expectPkiError } from "./expectPkiError.ts";
import { makeParties, type Parties } from "./parties.ts";
import {
  attribute,
  attributeNode,
  certificatesOf,
  counterSignature,
  counterSignaturesOf,
  edit,
  place,
  signedAttrs,
  signerInfo,
  signerInfosOf,
  unsignedAttrs,
  withTokens,
} from "./signedDataFile.ts";
import { content, countersignedBy, onlySigner, signedBy } from "./signing.ts";

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

describe("decodeSignerInfo()", () => {
  test("rejects another version, and a key identifier for issuer and serial number", () => {
    for (const info of [signerInfo, counterSignature])
      expectRefused("CMS_UNSUPPORTED", (file) => {
        info(file).children[place.version] = readTree(encodeInteger(3));
      });
    expectRefused("DER_MALFORMED", (file) => {
      signerInfo(file).children[place.sid] = readTree(encodeTlv(0x80, new Uint8Array(20)));
    });
  });

  test("rejects the same signer, or the same counter signer, twice", () => {
    const second = mergeSignedData(signedBy(parties.alice), signedBy(parties.bob));
    const doubled = edit(signedBy(parties.alice), (tree) => {
      const [other] = signerInfosOf(readTree(signedBy(parties.alice))).children;
      if (other !== undefined) signerInfosOf(tree).children.push(other);
      sort(signerInfosOf(tree));
    });
    decodeSignedData(second);
    expectPkiError("CMS_SIGNER_DUPLICATE", () => decodeSignedData(doubled));
    expectRefused("CMS_SIGNER_DUPLICATE", (file) => {
      const values = counterSignaturesOf(file);
      const again = counterSignature(file);
      const signature = at(again, place.signature).content.slice();
      signature[9] = (signature[9] ?? 0) ^ 1;
      const children = again.children.with(place.signature, { tag: 0x04, content: signature, children: [] });
      values.children.push({ ...again, children });
      sort(values);
    });
  });

  test("rejects algorithms that are no suite, and every second way to write one", () => {
    const algorithm = (oid: string, ...parameters: readonly Uint8Array[]) =>
      readTree(encodeSequence(encodeOid(oid), ...parameters));
    for (const [index, replacement] of [
      [place.digestAlgorithm, algorithm(oids.sha256, encodeNull())],
      [place.digestAlgorithm, algorithm(oids.sha512)],
      [place.digestAlgorithm, algorithm("1.3.14.3.2.26")], // SHA-1
      [place.signatureAlgorithm, algorithm(oids.ecdsaWithSHA256, encodeNull())],
      [place.signatureAlgorithm, algorithm(oids.ecdsaWithSHA384)],
      [place.signatureAlgorithm, algorithm(oids.sha256WithRSAEncryption, encodeNull())],
      [place.signatureAlgorithm, algorithm(cmsOids.rsaEncryption)],
      [place.signatureAlgorithm, algorithm(oids.rsassaPss)],
    ] as const)
      for (const info of [signerInfo, counterSignature])
        expectRefused("CMS_UNSUPPORTED", (file) => {
          info(file).children[index] = replacement;
        });
  });

  test("rejects a missing signed attribute, or all of them missing", () => {
    for (const name of ["contentType", "messageDigest", "signingTime", "signingCertificateV2"] as const)
      expectRefused("CMS_ATTRIBUTE_MISSING", (file) => {
        const attributes = signedAttrs(file);
        attributes.children.splice(attributes.children.indexOf(attribute(attributes, name)), 1);
      });
    for (const info of [signerInfo, counterSignature])
      expectRefused("CMS_ATTRIBUTE_MISSING", (file) => {
        info(file).children.splice(place.signedAttrs, 1);
      });
  });

  test("rejects a signed attribute that is there twice, without a value, or with two", () => {
    for (const name of ["contentType", "messageDigest", "signingTime", "signingCertificateV2"] as const) {
      expectRefused("CMS_ATTRIBUTE_DUPLICATE", (file) => {
        signedAttrs(file).children.push(attribute(signedAttrs(file), name));
        sort(signedAttrs(file));
      });
      expectRefused("CMS_ATTRIBUTE_MALFORMED", (file) => {
        at(attribute(signedAttrs(file), name), 1).children = [];
        sort(signedAttrs(file));
      });
      expectRefused("CMS_ATTRIBUTE_MALFORMED", (file) => {
        const values = at(attribute(signedAttrs(file), name), 1).children;
        values.push(...values);
        sort(signedAttrs(file));
      });
    }
  });

  test("rejects a third element in an attribute, signed or not", () => {
    for (const find of [
      (file: DerNode) => attribute(signedAttrs(file), "messageDigest"),
      (file: DerNode) => attribute(unsignedAttrs(file), "counterSignature"),
    ])
      expectRefused("DER_MALFORMED", (file) => {
        find(file).children.push(readTree(encodeNull()));
        sort(signedAttrs(file));
      });
  });

  test("rejects a signing time in the other of the two forms, before 1950, or with a fraction", () => {
    for (const [code, tag, text] of [
      ["CMS_ATTRIBUTE_MALFORMED", 0x18, "20490101000000Z"],
      ["CMS_ATTRIBUTE_MALFORMED", 0x18, "19490101000000Z"],
      ["DER_MALFORMED", 0x18, "20500101000000.5Z"],
      ["DER_MALFORMED", 0x17, "4901010000Z"],
      ["DER_MALFORMED", 0x17, "490101000000+0000"],
      ["DER_MALFORMED", 0x17, "490230000000Z"],
    ] as const)
      expectRefused(code, (file) => {
        at(attribute(signedAttrs(file), "signingTime"), 1, 0).tag = tag;
        at(attribute(signedAttrs(file), "signingTime"), 1, 0).content = encodeUtf8(text);
        sort(signedAttrs(file));
      });
  });

  test("rejects signed attributes that it does not know, and contentType in a counter signature", () => {
    // id-aa-ets-sigPolicyId: it could mean anything
    expectRefused("CMS_ATTRIBUTE_UNKNOWN", (file) => {
      signedAttrs(file).children.push(attributeNode("1.2.840.113549.1.9.16.2.15", encodeNull()));
      sort(signedAttrs(file));
    });
    expectRefused("CMS_ATTRIBUTE_UNKNOWN", (file) => {
      const attributes = at(counterSignature(file), place.signedAttrs);
      attributes.children.push(attribute(signedAttrs(file), "contentType"));
      sort(attributes);
    });
  });

  test("rejects unsigned attributes that it does not know, and an empty set of them", () => {
    expectRefused("CMS_ATTRIBUTE_UNKNOWN", (file) => {
      unsignedAttrs(file).children.push(attributeNode("1.2.3.4", encodeNull()));
      sort(unsignedAttrs(file));
    });
    expectRefused("CMS_MALFORMED", (file) => {
      unsignedAttrs(file).children = [];
      certificatesOf(file).children = certificatesOf(file).children.filter(
        (child) =>
          !Buffer.from(at(child, 0, 1).content)
            .toString("hex")
            .endsWith(parties.server.certificate.serial),
      );
    });
  });

  test("rejects unsigned attributes in a counter signature", () => {
    expectRefused("CMS_ATTRIBUTE_UNKNOWN", (file) => {
      const nested = attribute(unsignedAttrs(file), "counterSignature");
      counterSignature(file).children.push({
        tag: 0xa1,
        content: new Uint8Array(),
        children: [structuredClone(nested)],
      });
    });
  });

  test("rejects the counterSignature attribute twice, or without a value", () => {
    expectRefused("CMS_ATTRIBUTE_DUPLICATE", (file) => {
      unsignedAttrs(file).children.push(attribute(unsignedAttrs(file), "counterSignature"));
    });
    expectRefused("CMS_ATTRIBUTE_MALFORMED", (file) => {
      counterSignaturesOf(file).children = [];
    });
  });

  test("carries time-stamp tokens without judging them", () => {
    const tokens = [encodeSequence(encodeInteger(1)), encodeSequence(encodeInteger(2))];
    const signer = onlySigner(withTokens(signedBy(parties.alice), ...tokens));
    expect(signer.timeStampTokens).toEqual(tokens);
    verifySigner(signer, content);
  });

  test("rejects one time-stamp token twice", () => {
    const token = encodeSequence(encodeInteger(1));
    const file = withTokens(signedBy(parties.alice), token, encodeSequence(encodeInteger(2)), token);
    expectPkiError("CMS_ATTRIBUTE_DUPLICATE", () => decodeSignedData(file));
  });
});
