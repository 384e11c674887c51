import { equalBytes } from "../../base/bytes.ts";
import type { Hex } from "../../base/hex.ts";
import type { Certificate } from "../certificate.ts";
import { contextConstructed, DerReader, derTags } from "../der.ts";
import { encodeInteger, encodeOctetString, encodeSequence, encodeSetOf, encodeTlv } from "../derWriter.ts";
import { PkiError } from "../pkiError.ts";
import { cmsLimits } from "./limits.ts";
import { cmsOids } from "./oids.ts";
import { decodeSuite, type SignatureSuite } from "./signatureSuite.ts";
import {
  decodeAttributes,
  decodeSignedAttributes,
  encodeAttribute,
  encodeIssuerAndSerial,
  type Role,
  type SignedAttributes,
} from "./signedAttributes.ts";

/** One signature as the file claims it (RFC 5652 §5.3). Decoding judges its form only; see `verifySigner`. */
export interface SignerInfo {
  /** The embedded certificate that issuerAndSerialNumber names. */
  readonly certificate: Certificate;
  /** SHA-256 of the certificate. */
  readonly fingerprint: Hex;
  /** ms since the epoch, whole seconds, by the signer's own clock. */
  readonly signingTimeMs: number;
  readonly suite: SignatureSuite;
  readonly signedAttributes: SignedAttributes;
  /** The signature octets; a counter signature is over these. */
  readonly signature: Uint8Array;
}

/** A SignerInfo over the signature octets of another one (RFC 5652 §11.4). */
export type CounterSignature = SignerInfo;

/** A SignerInfo over the content. */
export interface Signer extends SignerInfo {
  readonly counterSignatures: readonly CounterSignature[];
  /** RFC 3161 TimeStampTokens, DER: carried, not judged; `uncoveredParts` lists them. */
  readonly timeStampTokens: readonly Uint8Array[];
}

/** @returns the SignerInfo, DER. Its signed attributes are kept byte for byte. */
export function encodeSignerInfo(signer: SignerInfo & Partial<Signer>): Uint8Array {
  const { counterSignatures = [], timeStampTokens = [] } = signer;
  const unsigned: Uint8Array[] = [];
  if (counterSignatures.length > 0)
    unsigned.push(encodeAttribute(cmsOids.counterSignature, ...counterSignatures.map(encodeSignerInfo)));
  if (timeStampTokens.length > 0) unsigned.push(encodeAttribute(cmsOids.timeStampToken, ...timeStampTokens));
  return encodeSequence(
    encodeInteger(1),
    encodeIssuerAndSerial(signer.certificate),
    signer.suite.digestAlgorithm,
    retag(contextConstructed(0), signer.signedAttributes.der),
    signer.suite.signatureAlgorithm,
    encodeOctetString(signer.signature),
    ...(unsigned.length > 0 ? [retag(contextConstructed(1), encodeSetOf(...unsigned))] : []),
  );
}

/** A SignerInfo whose certificate has not been looked up yet. */
export interface UnresolvedSigner extends Omit<Signer, "certificate" | "fingerprint" | "counterSignatures"> {
  /** IssuerAndSerialNumber, DER. */
  readonly issuerAndSerial: Uint8Array;
  readonly counterSignatures: readonly UnresolvedSigner[];
}

/**
 * Reads one SignerInfo from outside: version 1, issuerAndSerialNumber, a known suite, the signed attributes of its
 * role. Of unsigned attributes a signer may have counterSignature (1 to 8 values) and timeStampToken (1 to 8), a
 * counter signer none: nobody signs unsigned attributes, so whatever we would not check could be changed unnoticed.
 *
 * @throws {PkiError} `CMS_UNSUPPORTED`, `CMS_TOO_LARGE`, `CMS_ATTRIBUTE_*`, `DER_MALFORMED`
 */
export function decodeSignerInfo(element: DerReader, role: Role): UnresolvedSigner {
  if (element.smallInteger(255) !== 1)
    throw new PkiError("CMS_UNSUPPORTED", "CMS: SignerInfo of a version other than 1");
  const issuerAndSerial = element.sequence().encoded;
  const digestAlgorithm = element.sequence().encoded;
  const attributes = element.optional(contextConstructed(0));
  if (attributes === undefined)
    throw new PkiError("CMS_ATTRIBUTE_MISSING", "CMS: SignerInfo without signed attributes");
  const signedAttributes = decodeSignedAttributes(attributes, role);
  const suite = decodeSuite(digestAlgorithm, element.sequence().encoded);
  const signature = element.octetString();
  const unsigned = element.optional(contextConstructed(1));
  element.finish();

  const values = unsigned === undefined ? undefined : decodeAttributes(unsigned);
  for (const oid of values?.keys() ?? [])
    if (role === "counterSigner" || (oid !== cmsOids.counterSignature && oid !== cmsOids.timeStampToken))
      throw new PkiError("CMS_ATTRIBUTE_UNKNOWN", `CMS: unsigned attribute ${oid} has no place in a ${role}`);
  const timeStampTokens = readValues(
    values?.get(cmsOids.timeStampToken),
    cmsLimits.maxTimeStampTokens,
    "time-stamp tokens",
  ).map((value) => value.encoded);
  // A SET OF is sorted, so equal values stand side by side. Repeating one says nothing, and anybody could do it.
  const isRepeated = (token: Uint8Array, i: number): boolean => {
    const before = timeStampTokens[i - 1];
    return before !== undefined && equalBytes(token, before);
  };
  if (timeStampTokens.some(isRepeated))
    throw new PkiError("CMS_ATTRIBUTE_DUPLICATE", "CMS: the same time-stamp token twice");
  return {
    issuerAndSerial,
    signingTimeMs: signedAttributes.signingTimeMs,
    suite,
    signedAttributes,
    signature,
    counterSignatures: readValues(
      values?.get(cmsOids.counterSignature),
      cmsLimits.maxCounterSignatures,
      "counter signatures",
    ).map((value) => decodeSignerInfo(value, "counterSigner")),
    timeStampTokens,
  };
}

function readValues(set: DerReader | undefined, max: number, what: string): DerReader[] {
  const values: DerReader[] = [];
  while (set !== undefined && !set.atEnd) {
    if (values.length === max)
      throw new PkiError("CMS_TOO_LARGE", `CMS: more than ${max} ${what} for one signer`);
    values.push(set.sequence());
  }
  return values;
}

/** The same content under another tag: IMPLICIT (X.690 §8.14.3). */
function retag(tag: number, der: Uint8Array): Uint8Array {
  return encodeTlv(tag, new DerReader(der).next(derTags.set).content);
}
