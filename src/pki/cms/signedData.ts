import { equalBytes } from "../../base/bytes.ts";
import { encodeHex } from "../../base/hex.ts";
import { type Certificate, decodeCertificate } from "../certificate.ts";
import { checkDer, contextConstructed, derTags, readDer } from "../der.ts";
import {
  encodeContext,
  encodeInteger,
  encodeOid,
  encodeSequence,
  encodeSetOf,
  encodeTlv,
} from "../derWriter.ts";
import { PkiError } from "../pkiError.ts";
import { indexByIssuerAndSerial, neededCertificates } from "./certificateSet.ts";
import { cmsLimits } from "./limits.ts";
import { cmsOids } from "./oids.ts";
import {
  decodeSignerInfo,
  encodeSignerInfo,
  type Signer,
  type SignerInfo,
  type UnresolvedSigner,
} from "./signerInfo.ts";

export type { CounterSignature, Signer, SignerInfo } from "./signerInfo.ts";

/** A detached SignedData (RFC 5652 §5.1). What its signatures are worth `verifySigner` says, signer by signer. */
export interface SignedData {
  /** In the order of the file: ascending by their DER. */
  readonly certificates: readonly Certificate[];
  /** In the order of the file: ascending by the DER of the SignerInfo. Never empty, no signer twice. */
  readonly signers: readonly Signer[];
}

/**
 * Reads a detached SignedData from outside. Its form is fixed: one meaning has one encoding, so a changed byte either
 * is refused here or changes something that `verifySigner` or `uncoveredParts` checks.
 *
 * @param der ContentInfo, all of it; copied, so that the result does not change with it
 * @throws {PkiError} `CMS_TOO_LARGE`, `DER_MALFORMED`, `CMS_CONTENT_TYPE_WRONG`, `CMS_CONTENT_ATTACHED`, `CMS_UNSUPPORTED`,
 *  `CMS_ATTRIBUTE_*`, `CMS_CERTIFICATE_MISSING`, `CMS_CERTIFICATE_UNUSED`, `CMS_CONFLICT`, `CMS_SIGNER_DUPLICATE`,
 *  `CMS_MALFORMED`, and what `decodeCertificate` throws
 */
export function decodeSignedData(der: Uint8Array): SignedData {
  if (der.length > cmsLimits.maxBytes)
    throw tooLarge(`${der.length} bytes, at most ${cmsLimits.maxBytes} are allowed`);
  const input = new Uint8Array(der);
  checkDer(input);
  const { certificates: encodedCertificates, signerInfos } = decodeStructure(input);

  const certificates = encodedCertificates.map(decodeCertificate);
  const byIssuerAndSerial = indexByIssuerAndSerial(certificates);
  const signers = signerInfos.map((signer): Signer => {
    const counterSignatures = signer.counterSignatures.map((counter) => resolve(counter, byIssuerAndSerial));
    refuseDuplicates(counterSignatures, "counter signer");
    const { timeStampTokens } = signer;
    return { ...resolve(signer, byIssuerAndSerial), counterSignatures, timeStampTokens };
  });
  refuseDuplicates(signers, "signer");

  const needed = new Set(neededCertificates(signers, certificates).map(({ fingerprint }) => fingerprint));
  for (const certificate of certificates)
    if (!needed.has(certificate.fingerprint))
      throw new PkiError(
        "CMS_CERTIFICATE_UNUSED",
        `CMS: no signer needs the certificate of ${certificate.subjectText}`,
      );
  const signedData = { certificates, signers };
  // Order of the sets, digestAlgorithms without extras, and whatever else an encoder could do in two ways.
  if (!equalBytes(encodeSignedData(signedData), input))
    throw new PkiError("CMS_MALFORMED", "CMS: not in the one form that DER and the profile allow");
  return signedData;
}

/**
 * Encodes these signers with the certificates of `pool` that belong to them; others are left out.
 *
 * @returns the ContentInfo, DER
 * @throws {PkiError} `CMS_CONFLICT`, `CMS_TOO_LARGE`
 */
export function assembleSignedData(signers: readonly Signer[], pool: readonly Certificate[]): Uint8Array {
  const certificates = neededCertificates(signers, pool);
  indexByIssuerAndSerial(certificates);
  return encodeSignedData({ certificates, signers });
}

/** Sorts the sets. @throws {PkiError} `CMS_TOO_LARGE` when the result would be over a limit */
function encodeSignedData({ certificates, signers }: SignedData): Uint8Array {
  if (signers.length > cmsLimits.maxSigners) throw tooLarge(`${signers.length} signers`);
  if (certificates.length > cmsLimits.maxCertificates) throw tooLarge(`${certificates.length} certificates`);
  for (const { counterSignatures, timeStampTokens } of signers)
    if (
      counterSignatures.length > cmsLimits.maxCounterSignatures ||
      timeStampTokens.length > cmsLimits.maxTimeStampTokens
    )
      throw tooLarge(
        `${counterSignatures.length} counter signatures, ${timeStampTokens.length} time-stamp tokens`,
      );

  const digestAlgorithms = new Map(
    signers.map(({ suite }) => [encodeHex(suite.digestAlgorithm), suite.digestAlgorithm]),
  );
  const certificateSet = encodeSetOf(...certificates.map((certificate) => certificate.der));
  const signedData = encodeSequence(
    encodeInteger(1),
    encodeSetOf(...digestAlgorithms.values()),
    encodeSequence(encodeOid(cmsOids.data)),
    encodeTlv(contextConstructed(0), readDer(certificateSet, derTags.set).content),
    encodeSetOf(...signers.map(encodeSignerInfo)),
  );
  const der = encodeSequence(encodeOid(cmsOids.signedData), encodeContext(0, signedData));
  if (der.length > cmsLimits.maxBytes)
    throw tooLarge(`${der.length} bytes, at most ${cmsLimits.maxBytes} are allowed`);
  return der;
}

/**
 * ContentInfo  ::= SEQUENCE { id-signedData, [0] EXPLICIT SignedData }
 * SignedData   ::= SEQUENCE { version 1, digestAlgorithms SET, encapContentInfo SEQUENCE { id-data },
 *                             [0] IMPLICIT SET OF Certificate, signerInfos SET }
 * Everything that is cheap is checked before the first certificate is parsed.
 */
function decodeStructure(der: Uint8Array): { certificates: Uint8Array[]; signerInfos: UnresolvedSigner[] } {
  const contentInfo = readDer(der, derTags.sequence);
  if (contentInfo.oid() !== cmsOids.signedData)
    throw new PkiError("CMS_CONTENT_TYPE_WRONG", "CMS: not a SignedData");
  const explicit = contentInfo.next(contextConstructed(0));
  contentInfo.finish();
  const signedData = explicit.sequence();
  explicit.finish();

  // RFC 5652 §5.1: 1 for v3 certificates, issuerAndSerialNumber and id-data, which is all that is allowed below.
  if (signedData.smallInteger(255) !== 1)
    throw new PkiError("CMS_UNSUPPORTED", "CMS: SignedData of a version other than 1");
  signedData.next(derTags.set); // digestAlgorithms: the comparison with our own encoding checks them
  const content = signedData.sequence();
  if (content.oid() !== cmsOids.data)
    throw new PkiError("CMS_CONTENT_TYPE_WRONG", "CMS: content is not id-data");
  if (!content.atEnd)
    throw new PkiError("CMS_CONTENT_ATTACHED", "CMS: content is attached, only detached is allowed");

  const certificates: Uint8Array[] = [];
  const certificateSet = signedData.optional(contextConstructed(0));
  while (certificateSet !== undefined && !certificateSet.atEnd) {
    if (certificates.length === cmsLimits.maxCertificates)
      throw tooLarge(`more than ${cmsLimits.maxCertificates} certificates`);
    const element = certificateSet.next();
    if (element.tag !== derTags.sequence)
      throw new PkiError("CMS_UNSUPPORTED", "CMS: a certificate that is not X.509");
    certificates.push(element.encoded);
  }
  if (signedData.nextTag === contextConstructed(1))
    throw new PkiError("CMS_UNSUPPORTED", "CMS: embedded revocation lists");

  const signerInfos: UnresolvedSigner[] = [];
  const signerSet = signedData.next(derTags.set);
  signedData.finish();
  while (!signerSet.atEnd) {
    if (signerInfos.length === cmsLimits.maxSigners)
      throw tooLarge(`more than ${cmsLimits.maxSigners} signers`);
    signerInfos.push(decodeSignerInfo(signerSet.sequence(), "signer"));
  }
  if (signerInfos.length === 0) throw new PkiError("CMS_MALFORMED", "CMS: nobody signed");
  return { certificates, signerInfos };
}

function resolve(signer: UnresolvedSigner, index: ReadonlyMap<string, Certificate>): SignerInfo {
  const { issuerAndSerial, signingTimeMs, suite, signedAttributes, signature } = signer;
  const certificate = index.get(encodeHex(issuerAndSerial));
  if (certificate === undefined)
    throw new PkiError("CMS_CERTIFICATE_MISSING", "CMS: the certificate of a signer is not in the file");
  return {
    certificate,
    fingerprint: certificate.fingerprint,
    signingTimeMs,
    suite,
    signedAttributes,
    signature,
  };
}

function refuseDuplicates(signers: readonly SignerInfo[], what: string): void {
  const seen = new Set<string>();
  for (const { fingerprint, certificate } of signers) {
    if (seen.has(fingerprint))
      throw new PkiError("CMS_SIGNER_DUPLICATE", `CMS: ${what} twice: ${certificate.subjectText}`);
    seen.add(fingerprint);
  }
}

function tooLarge(what: string): PkiError {
  return new PkiError("CMS_TOO_LARGE", `CMS: ${what}`);
}
