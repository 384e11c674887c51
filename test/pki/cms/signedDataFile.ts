import type { PrivateKey } from "../../../src/crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../../../src/pki/certificate.ts";
import { cmsOids } from "../../../src/pki/cms/oids.ts";
import { encodeInteger, encodeOid, encodeSequence, encodeSetOf } from "../../../src/pki/derWriter.ts";
import { at, type DerNode, readTree, sort, writeTree } from "./derTree.ts";

/** Names for the places of a SignedData file, for tests that change one of them. */
export const signedDataOf = (file: DerNode): DerNode => at(file, 1, 0);
export const digestAlgorithmsOf = (file: DerNode): DerNode => at(signedDataOf(file), 1);
export const encapsulatedContentOf = (file: DerNode): DerNode => at(signedDataOf(file), 2);
export const certificatesOf = (file: DerNode): DerNode => at(signedDataOf(file), 3);
export const signerInfosOf = (file: DerNode): DerNode => at(signedDataOf(file), 4);

/** SignerInfo: 0 version, 1 sid, 2 digestAlgorithm, 3 signedAttrs, 4 signatureAlgorithm, 5 signature, 6 unsignedAttrs. */
export const place = {
  version: 0,
  sid: 1,
  digestAlgorithm: 2,
  signedAttrs: 3,
  signatureAlgorithm: 4,
  signature: 5,
  unsignedAttrs: 6,
};

/** @returns the file with `change` made to it; all sets stay as `change` leaves them */
export function edit(file: Uint8Array, change: (file: DerNode) => void): Uint8Array {
  const tree = readTree(file);
  change(tree);
  return writeTree(tree);
}

export const signerInfo = (file: DerNode): DerNode => at(signerInfosOf(file), 0);
export const signedAttrs = (file: DerNode): DerNode => at(signerInfo(file), place.signedAttrs);
export const unsignedAttrs = (file: DerNode): DerNode => at(signerInfo(file), place.unsignedAttrs);
/** The values of the first signer's counterSignature attribute. */
export const counterSignaturesOf = (file: DerNode): DerNode =>
  at(attribute(unsignedAttrs(file), "counterSignature"), 1);
export const counterSignature = (file: DerNode): DerNode => at(counterSignaturesOf(file), 0);

/** @returns the attribute of this type in a signedAttrs or unsignedAttrs */
export function attribute(attributes: DerNode, name: keyof typeof cmsOids): DerNode {
  const oid = Buffer.from(encodeOid(cmsOids[name]));
  const found = attributes.children.find((child) => oid.equals(writeTree(at(child, 0))));
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

export function attributeNode(oid: string, ...values: readonly Uint8Array[]): DerNode {
  return readTree(encodeSequence(encodeOid(oid), encodeSetOf(...values)));
}

/** @returns a file of one signer with these tokens at its signature */
export function withTokens(file: Uint8Array, ...tokens: readonly Uint8Array[]): Uint8Array {
  return edit(file, (tree) => {
    const attributes = encodeSetOf(writeTree(attributeNode(cmsOids.timeStampToken, ...tokens)));
    signerInfo(tree).children.push({ ...readTree(attributes), tag: 0xa1 });
  });
}

/** @returns a certificate of the same names and key with another serial number; its signature does not verify */
export function withSerial(certificate: Certificate, serial: number): Certificate {
  return decodeCertificate(
    edit(certificate.der, (tree) => {
      at(tree, 0).children[1] = readTree(encodeInteger(serial));
    }),
  );
}

/** Makes the signature of a SignerInfo good again after its signed attributes have been changed. */
export function signAgain(signerInfo: DerNode, key: PrivateKey): void {
  const attributes = at(signerInfo, place.signedAttrs);
  sort(attributes);
  at(signerInfo, place.signature).content = key.sign(encodeSetOf(...attributes.children.map(writeTree)));
}
