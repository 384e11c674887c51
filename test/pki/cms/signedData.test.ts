import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { concatBytes, encodeUtf8 } from "../../../src/base/bytes.ts";
import { mergeSignedData } from "../../../src/pki/cms/mergeSignedData.ts";
import { cmsOids } from "../../../src/pki/cms/oids.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { verifySigner } from "../../../src/pki/cms/verifySigner.ts";
import {
  encodeInteger,
  encodeNull,
  encodeOctetString,
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
  certificatesOf,
  counterSignature,
  counterSignaturesOf,
  digestAlgorithmsOf,
  edit,
  encapsulatedContentOf,
  signedAttrs,
  signedDataOf,
  signerInfo,
  signerInfosOf,
} from "./signedDataFile.ts";
import { content, countersignedBy, onlySigner, signedBy, signingTimeOf } from "./signing.ts";

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
  test("returns what was signed", () => {
    const file = countersignedBy(signedBy(parties.alice), parties.alice, parties.server);
    const signer = onlySigner(file);
    expect(signer.certificate.commonName).toBe("alice");
    expect(signer.fingerprint).toBe(parties.alice.certificate.fingerprint);
    expect(signer.signingTimeMs).toBe(Math.floor(signingTimeOf(parties.alice) / 1000) * 1000);
    expect(signer.timeStampTokens).toEqual([]);
    const [counter] = signer.counterSignatures;
    expect(counter?.fingerprint).toBe(parties.server.certificate.fingerprint);
    expect(counter?.signingTimeMs).toBe(Math.floor(signingTimeOf(parties.server) / 1000) * 1000 + 1000);
    expect(decodeSignedData(file).certificates).toHaveLength(2);
  });

  test("does not change with the caller's buffer", () => {
    const file = Buffer.from(signedBy(parties.alice));
    const signer = onlySigner(file);
    file.fill(0);
    verifySigner(signer, content);
  });

  test("rejects an empty file, and one that is no CMS", () => {
    expectPkiError("DER_MALFORMED", () => decodeSignedData(new Uint8Array()));
    expectPkiError("DER_MALFORMED", () => decodeSignedData(encodeUtf8("-----BEGIN PKCS7-----\n")));
    expectPkiError("DER_MALFORMED", () => decodeSignedData(parties.alice.certificate.der));
  });

  test("rejects bytes after the end and a file that is cut short", () => {
    const file = signedBy(parties.alice);
    expectPkiError("DER_MALFORMED", () => decodeSignedData(concatBytes(file, Uint8Array.of(0))));
    expectPkiError("DER_MALFORMED", () => decodeSignedData(file.subarray(0, -1)));
  });

  test("rejects another type of ContentInfo", () => {
    expectRefused("CMS_CONTENT_TYPE_WRONG", (file) => {
      file.children[0] = readTree(encodeOid(cmsOids.data));
    });
  });

  test("rejects another version of SignedData", () => {
    expectRefused("CMS_UNSUPPORTED", (file) => {
      signedDataOf(file).children[0] = readTree(encodeInteger(3));
    });
  });

  test("rejects a content type that is not id-data", () => {
    expectRefused("CMS_CONTENT_TYPE_WRONG", (file) => {
      encapsulatedContentOf(file).children[0] = readTree(encodeOid(cmsOids.signedData));
    });
  });

  test("rejects attached content", () => {
    expectRefused("CMS_CONTENT_ATTACHED", (file) => {
      encapsulatedContentOf(file).children.push(readTree(encodeTlv(0xa0, encodeOctetString(content))));
    });
  });

  test("rejects embedded revocation lists", () => {
    expectRefused("CMS_UNSUPPORTED", (file) => {
      signedDataOf(file).children.splice(4, 0, readTree(encodeTlv(0xa1)));
    });
  });

  test("rejects digestAlgorithms with one that no signer uses, without the signer's, and out of order", () => {
    const sha512 = encodeSequence(encodeOid(oids.sha512));
    expectRefused("CMS_MALFORMED", (file) => {
      digestAlgorithmsOf(file).children.push(readTree(sha512));
    });
    expectRefused("CMS_MALFORMED", (file) => {
      digestAlgorithmsOf(file).children = [];
    });
    expectRefused("CMS_MALFORMED", (file) => {
      digestAlgorithmsOf(file).children = [readTree(sha512)];
    });
    const file = mergeSignedData(signedBy(parties.alice), signedBy(parties.erin));
    expectPkiError("DER_MALFORMED", () =>
      decodeSignedData(edit(file, (tree) => digestAlgorithmsOf(tree).children.reverse())),
    );
  });

  test("rejects certificates and signers out of order", () => {
    const file = mergeSignedData(signedBy(parties.alice), signedBy(parties.bob));
    expectPkiError("CMS_MALFORMED", () =>
      decodeSignedData(edit(file, (tree) => certificatesOf(tree).children.reverse())),
    );
    expectPkiError("DER_MALFORMED", () =>
      decodeSignedData(edit(file, (tree) => signerInfosOf(tree).children.reverse())),
    );
  });

  test("rejects counter signatures and signed attributes out of order", () => {
    const once = countersignedBy(signedBy(parties.alice), parties.alice, parties.server);
    const twice = countersignedBy(once, parties.alice, parties.bob);
    expectPkiError("DER_MALFORMED", () =>
      decodeSignedData(edit(twice, (tree) => counterSignaturesOf(tree).children.reverse())),
    );
    expectRefused("DER_MALFORMED", (file) => {
      signedAttrs(file).children.reverse();
    });
  });

  test("rejects a file that nobody signed", () => {
    expectRefused("CMS_MALFORMED", (file) => {
      signerInfosOf(file).children = [];
    });
  });

  test("rejects an element too many in each SEQUENCE", () => {
    for (const sequence of [
      (file: DerNode) => file,
      (file: DerNode) => at(file, 1), // [0] EXPLICIT
      signedDataOf,
      signerInfo,
      counterSignature,
    ])
      expectRefused("DER_MALFORMED", (file) => {
        sequence(file).children.push(readTree(encodeNull()));
      });
  });
});

describe("decodeSignedData() of certificates", () => {
  test("rejects a signer or counter signer whose certificate is not there", () => {
    for (const party of [parties.alice, parties.server])
      expectRefused("CMS_CERTIFICATE_MISSING", (file) => {
        const set = certificatesOf(file);
        const serial = (node: DerNode) =>
          Buffer.from(at(node, 0, 1).content)
            .toString("hex")
            .replace(/^00/, "");
        set.children = set.children.filter((child) => serial(child) !== party.certificate.serial);
        expect(set.children).toHaveLength(1);
      });
    expectRefused("CMS_CERTIFICATE_MISSING", (file) => {
      signedDataOf(file).children.splice(3, 1);
    });
  });

  test("rejects one that no signer needs", () => {
    expectRefused("CMS_CERTIFICATE_UNUSED", (file) => {
      certificatesOf(file).children.push(readTree(parties.bob.certificate.der));
      sort(certificatesOf(file));
    });
  });

  test("rejects two of one issuer and serial number, the same one twice included", () => {
    expectRefused("CMS_CONFLICT", (file) => {
      certificatesOf(file).children.push(readTree(parties.alice.certificate.der));
      sort(certificatesOf(file));
    });
    expectRefused("CMS_CONFLICT", (file) => {
      const other = readTree(parties.alice.certificate.der);
      // another signature: who knows one of an ECDSA certificate can make a second
      at(other, 2).content[20] = (at(other, 2).content[20] ?? 0) ^ 1;
      certificatesOf(file).children.push(other);
      sort(certificatesOf(file));
    });
  });

  test("rejects other kinds of certificate (RFC 5652 §10.2.2)", () => {
    expectRefused("CMS_UNSUPPORTED", (file) => {
      certificatesOf(file).children.push(readTree(encodeTlv(0xa3, encodeOid("1.2.3"))));
    });
  });

  test("rejects one that is malformed, with the code that certificates have", () => {
    expectRefused("CERTIFICATE_MALFORMED", (file) => {
      at(certificatesOf(file), 0).children.push(readTree(encodeNull()));
      sort(certificatesOf(file));
    });
  });
});
