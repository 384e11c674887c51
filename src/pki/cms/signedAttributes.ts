import { equalBytes } from "../../base/bytes.ts";
import type { Certificate } from "../certificate.ts";
import { checkDer, type DerReader, derTags } from "../der.ts";
import {
  encodeContext,
  encodeInteger,
  encodeOctetString,
  encodeOid,
  encodeSequence,
  encodeSetOf,
  encodeTime,
  encodeTlv,
} from "../derWriter.ts";
import { PkiError } from "../pkiError.ts";
import { cmsOids } from "./oids.ts";

/** A signer signs the content; a counter signer signs the signature octets of a signer (RFC 5652 §11.4). */
export type Role = "signer" | "counterSigner";

/** The signed attributes of one SignerInfo (RFC 5652 §5.3), as read: nothing is judged yet. */
export interface SignedAttributes {
  /** `SET OF Attribute` with the tag of SET: exactly the bytes that are signed (RFC 5652 §5.4). */
  readonly der: Uint8Array;
  /** Dotted decimals; `undefined` for a counter signer, which must not have it. */
  readonly contentType: string | undefined;
  readonly messageDigest: Uint8Array;
  /** ms since the epoch, whole seconds; by the signer's own clock. */
  readonly signingTimeMs: number;
  /** The SigningCertificateV2 (RFC 5035 §3), DER. */
  readonly signingCertificate: Uint8Array;
}

/** @returns the `SET OF Attribute` to sign, tag 0x31 */
export function encodeSignedAttributes(attributes: {
  role: Role;
  messageDigest: Uint8Array;
  signingTimeMs: number;
  certificate: Certificate;
}): Uint8Array {
  const { role, messageDigest, signingTimeMs, certificate } = attributes;
  return encodeSetOf(
    ...(role === "signer" ? [encodeAttribute(cmsOids.contentType, encodeOid(cmsOids.data))] : []),
    encodeAttribute(cmsOids.messageDigest, encodeOctetString(messageDigest)),
    encodeAttribute(cmsOids.signingTime, encodeTime(signingTimeMs)),
    encodeAttribute(cmsOids.signingCertificateV2, encodeSigningCertificate(certificate)),
  );
}

/** `Attribute ::= SEQUENCE { attrType OBJECT IDENTIFIER, attrValues SET OF AttributeValue }` */
export function encodeAttribute(oid: string, ...values: readonly Uint8Array[]): Uint8Array {
  return encodeSequence(encodeOid(oid), encodeSetOf(...values));
}

/** `IssuerAndSerialNumber ::= SEQUENCE { issuer Name, serialNumber INTEGER }` */
export function encodeIssuerAndSerial(certificate: Certificate): Uint8Array {
  return encodeSequence(certificate.issuer, encodeSerial(certificate));
}

/**
 * `SigningCertificateV2` with the one ESSCertIDv2 of `certificate`: SHA-256 of its DER (the default algorithm, hence
 * left out) and issuerSerial with the issuer as the one directoryName. No policies.
 */
export function encodeSigningCertificate(certificate: Certificate): Uint8Array {
  const fingerprint = Uint8Array.fromHex(certificate.fingerprint);
  const issuer = encodeSequence(encodeContext(4, certificate.issuer));
  const certId = encodeSequence(
    encodeOctetString(fingerprint),
    encodeSequence(issuer, encodeSerial(certificate)),
  );
  return encodeSequence(encodeSequence(certId));
}

/**
 * Reads signed attributes from outside: contentType (signers only), messageDigest, signingTime and
 * signingCertificateV2 must each be there once with one value. smimeCapabilities may be there: OpenSSL adds them, and
 * they say nothing about the content. Any other is refused: we can't know what its signer meant by it.
 *
 * @param element the `[0] IMPLICIT SET OF Attribute`
 * @throws {PkiError} `CMS_ATTRIBUTE_MISSING`, `_DUPLICATE`, `_UNKNOWN`, `_MALFORMED`, `DER_MALFORMED`
 */
export function decodeSignedAttributes(element: DerReader, role: Role): SignedAttributes {
  const der = encodeTlv(derTags.set, element.content);
  checkDer(der);
  const values = decodeAttributes(element);
  for (const oid of values.keys())
    if (!allowed.has(oid) || (oid === cmsOids.contentType && role === "counterSigner"))
      throw new PkiError("CMS_ATTRIBUTE_UNKNOWN", `CMS: signed attribute ${oid} has no place in a ${role}`);
  const contentType =
    role === "signer" ? singleValue(values, "contentType", (value) => value.oid()) : undefined;
  const messageDigest = singleValue(values, "messageDigest", (value) => value.octetString());
  const signingTimeMs = singleValue(values, "signingTime", decodeSigningTime);
  const signingCertificate = singleValue(values, "signingCertificateV2", (value) => value.sequence().encoded);
  return { der, contentType, messageDigest, signingTimeMs, signingCertificate };
}

/**
 * @param attributes a cursor over the content of a `SET OF Attribute`
 * @returns for each type a cursor over its values; each type once, with at least one value
 * @throws {PkiError} `CMS_ATTRIBUTE_DUPLICATE`, `CMS_ATTRIBUTE_MALFORMED`, `DER_MALFORMED`
 */
export function decodeAttributes(attributes: DerReader): ReadonlyMap<string, DerReader> {
  const values = new Map<string, DerReader>();
  while (!attributes.atEnd) {
    const attribute = attributes.sequence();
    const oid = attribute.oid();
    const set = attribute.next(derTags.set);
    attribute.finish();
    if (set.atEnd) throw new PkiError("CMS_ATTRIBUTE_MALFORMED", `CMS: attribute ${oid} without a value`);
    if (values.has(oid)) throw new PkiError("CMS_ATTRIBUTE_DUPLICATE", `CMS: attribute ${oid} twice`);
    values.set(oid, set);
  }
  return values;
}

const allowed: ReadonlySet<string> = new Set([
  cmsOids.contentType,
  cmsOids.messageDigest,
  cmsOids.signingTime,
  cmsOids.signingCertificateV2,
  cmsOids.smimeCapabilities,
]);

type Required = "contentType" | "messageDigest" | "signingTime" | "signingCertificateV2";

function singleValue<T>(
  values: ReadonlyMap<string, DerReader>,
  name: Required,
  read: (value: DerReader) => T,
): T {
  const set = values.get(cmsOids[name]);
  if (set === undefined)
    throw new PkiError("CMS_ATTRIBUTE_MISSING", `CMS: signed attribute ${name} is missing`);
  const value = read(set);
  if (!set.atEnd) throw new PkiError("CMS_ATTRIBUTE_MALFORMED", `CMS: ${name} with more than one value`);
  return value;
}

/** RFC 5652 §11.3: UTCTime from 1950 to 2049, GeneralizedTime otherwise, seconds and `Z`. */
function decodeSigningTime(value: DerReader): number {
  const encoded = value.content;
  const ms = value.time();
  const year = new Date(ms).getUTCFullYear();
  // GeneralizedTime before 1950 is within the RFC's rule, but no clock of a signer shows it.
  if (year < 1950 || !equalBytes(encodeTime(ms), encoded))
    throw new PkiError(
      "CMS_ATTRIBUTE_MALFORMED",
      "CMS: signingTime is not in the form that its year demands",
    );
  return ms;
}

function encodeSerial(certificate: Certificate): Uint8Array {
  return encodeInteger(Uint8Array.fromHex(certificate.serial));
}
