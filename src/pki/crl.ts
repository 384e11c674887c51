import { equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import type { PrivateKey, SignatureScheme } from "../crypto/crypto.ts";
import type { Certificate } from "./certificate.ts";
import { decodeExtension, readExtensions } from "./certificateExtensions.ts";
import { checkDer, contextConstructed, contextPrimitive, type DerReader, derTags, readDer } from "./der.ts";
import {
  encodeBitString,
  encodeContext,
  encodeInteger,
  encodeOctetString,
  encodeOid,
  encodeSequence,
  encodeTime,
  encodeTlv,
} from "./derWriter.ts";
import { readName } from "./distinguishedName.ts";
import { readScalar } from "./extensionValues.ts";
import { oids } from "./oids.ts";
import { parsePem } from "./pem.ts";
import { PkiError, type RevocationReason, revocationReasons } from "./pkiError.ts";
import { encodeSignatureAlgorithm, readSignatureAlgorithm } from "./signatureAlgorithm.ts";

/** A full CRL (RFC 5280 §5), decoded. Who signed it is not checked by decoding: see `verifyCrl`. */
export interface Crl {
  readonly der: Uint8Array;
  readonly number: bigint;
  /** The issuer's Name, DER. */
  readonly issuer: Uint8Array;
  readonly authorityKeyId: Uint8Array | undefined;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  /** By serial number, as `Certificate.serial`. */
  readonly revoked: ReadonlyMap<Hex, RevokedEntry>;
  readonly tbs: Uint8Array;
  readonly signatureScheme: SignatureScheme | undefined;
  readonly signature: Uint8Array;
}

export interface RevokedEntry {
  readonly atMs: number;
  readonly reason: RevocationReason;
}

/** Inclusive. */
export const maxCrlBytes = 4 * 1024 * 1024;

/**
 * Decodes one DER CRL: version 2, strict DER, with cRLNumber and nextUpdate, complete for its issuer. Delta CRLs and
 * CRLs with an issuingDistributionPoint (indirect, partitioned) are refused, so that none is taken for a full one.
 *
 * @throws {PkiError} `TOO_LARGE`, `CRL_MALFORMED`, `CRL_UNSUPPORTED`
 */
export function decodeCrl(der: Uint8Array): Crl {
  if (der.length > maxCrlBytes) throw new PkiError("TOO_LARGE", `a CRL of ${der.length} bytes`);
  try {
    return readCrl(new Uint8Array(der));
  } catch (cause) {
    if (cause instanceof PkiError && cause.code !== "CRL_UNSUPPORTED" && cause.code !== "CRL_MALFORMED")
      throw new PkiError("CRL_MALFORMED", `CRL malformed: ${cause.message}`, { cause });
    throw cause;
  }
}

/** Reads a CRL file, PEM (`X509 CRL`, exactly one) or DER. @throws {PkiError} as `decodeCrl`, `PEM_MALFORMED` */
export function parseCrlFile(bytes: Uint8Array): Crl {
  if (bytes[0] === derTags.sequence) return decodeCrl(bytes);
  const blocks = parsePem(new TextDecoder().decode(bytes), "X509 CRL");
  const [der] = blocks;
  if (der === undefined || blocks.length > 1)
    throw new PkiError("PEM_MALFORMED", `${blocks.length} blocks "X509 CRL" in the CRL file instead of one`);
  return decodeCrl(der);
}

/**
 * Issues a full CRL: version 2, cRLNumber, authorityKeyIdentifier, a reasonCode with every entry but the unspecified.
 *
 * @param list `number`: higher than any before, up to 2^159 - 1; times in ms, the part below a second is cut off;
 * `revoked` by serial number as `Certificate.serial`
 * @returns DER
 * @throws {PkiError} `PROFILE_VIOLATED` when the key is not the issuer's, the issuer may not sign CRLs, or the times are
 * the wrong way round
 */
export function issueCrl(list: {
  readonly issuer: Certificate;
  readonly issuerKey: PrivateKey;
  readonly number: bigint;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  readonly revoked: ReadonlyMap<Hex, RevokedEntry>;
}): Uint8Array {
  const { issuer, issuerKey } = list;
  if (!equalBytes(issuer.publicKey.spki, issuerKey.spki))
    throw new PkiError("PROFILE_VIOLATED", `the CA key is not the one of ${issuer.subjectText}`);
  if (!(list.thisUpdateMs < list.nextUpdateMs))
    throw new PkiError("PROFILE_VIOLATED", "nextUpdate is not after thisUpdate");
  const entries = [...list.revoked].map(([serial, entry]) => encodeEntry(serial, entry));
  const extensions = [
    ...(issuer.subjectKeyId === undefined
      ? []
      : [
          encodeExtension(
            oids.authorityKeyIdentifier,
            encodeSequence(encodeTlv(contextPrimitive(0), issuer.subjectKeyId)),
          ),
        ]),
    encodeExtension(oids.cRLNumber, encodeInteger(list.number)),
  ];
  const algorithm = encodeSignatureAlgorithm(issuerKey.scheme);
  const tbs = encodeSequence(
    encodeInteger(1),
    algorithm,
    issuer.subject,
    encodeTime(list.thisUpdateMs),
    encodeTime(list.nextUpdateMs),
    ...(entries.length === 0 ? [] : [encodeSequence(...entries)]),
    encodeContext(0, encodeSequence(...extensions)),
  );
  const der = encodeSequence(tbs, algorithm, encodeBitString(issuerKey.sign(tbs)));
  // What leaves this floor has passed the reader that everybody else will use.
  verifyCrl(decodeCrl(der), issuer);
  return der;
}

/** Signatures that were found good, so that one CRL costs one verification per issuer. */
const verified = new WeakMap<Crl, WeakSet<Certificate>>();

/**
 * Demands that `issuer` issued the CRL: same Name (DER), keyUsage cRLSign unless it has no keyUsage (RFC 5280 §6.3.3 f),
 * its signature. The issuer's own path is the caller's business.
 *
 * @throws {PkiError} `CRL_ISSUER_MISMATCH`, `CRL_ISSUER_NOT_ALLOWED`, `CRL_SIGNATURE_INVALID`
 */
export function verifyCrl(crl: Crl, issuer: Certificate): void {
  if (!equalBytes(crl.issuer, issuer.subject))
    throw new PkiError("CRL_ISSUER_MISMATCH", `the CRL is not one of ${issuer.subjectText}`);
  if (issuer.basicConstraints?.ca !== true || issuer.keyUsage?.has("cRLSign") === false)
    throw new PkiError(
      "CRL_ISSUER_NOT_ALLOWED",
      `${issuer.subjectText} may not sign CRLs (keyUsage cRLSign)`,
    );
  const issuers = verified.get(crl);
  if (issuers?.has(issuer) === true) return;
  if (
    crl.signatureScheme === undefined ||
    !issuer.publicKey.verify(crl.signatureScheme, crl.tbs, crl.signature)
  )
    throw new PkiError("CRL_SIGNATURE_INVALID", `the CRL is not signed by the key of ${issuer.subjectText}`);
  if (issuers === undefined) verified.set(crl, new WeakSet([issuer]));
  else issuers.add(issuer);
}

function readCrl(der: Uint8Array): Crl {
  checkDer(der);
  const list = readDer(der, derTags.sequence);
  const tbs = list.sequence();
  const outerAlgorithm = list.sequence();
  const signature = list.bitStringOctets();
  list.finish();
  const version = tbs.nextTag === derTags.integer ? tbs.smallInteger(255) : 0;
  if (version !== 1) throw malformed("not of version 2");
  const algorithm = tbs.sequence();
  if (!equalBytes(algorithm.encoded, outerAlgorithm.encoded))
    throw malformed("two different signature algorithms");
  const issuer = readName(tbs);
  if (issuer.rdns.length === 0) throw malformed("the issuer's name is empty");
  const thisUpdateMs = tbs.time();
  if (tbs.nextTag !== derTags.utcTime && tbs.nextTag !== derTags.generalizedTime)
    throw malformed("no nextUpdate");
  const nextUpdateMs = tbs.time();
  const entries = tbs.optional(derTags.sequence);
  const revoked = new Map<Hex, RevokedEntry>();
  // §5.1.2.6: absent when nothing is revoked.
  if (entries?.atEnd === true) throw malformed("an empty list of entries");
  while (entries !== undefined && !entries.atEnd) {
    const { serial, entry } = readEntry(entries.sequence());
    if (revoked.has(serial)) throw malformed(`serial number ${serial} twice`);
    revoked.set(serial, entry);
  }
  const extensions = tbs.optional(contextConstructed(0));
  if (extensions === undefined) throw malformed("no extensions");
  const { number, authorityKeyId } = readCrlExtensions(extensions.sequence());
  extensions.finish();
  tbs.finish();
  return {
    der,
    number,
    issuer: issuer.der,
    authorityKeyId,
    thisUpdateMs,
    nextUpdateMs,
    revoked,
    tbs: tbs.encoded,
    signatureScheme: readSignatureAlgorithm(algorithm),
    signature,
  };
}

function readCrlExtensions(sequence: DerReader): { number: bigint; authorityKeyId: Uint8Array | undefined } {
  let number: bigint | undefined;
  let authorityKeyId: Uint8Array | undefined;
  for (const extension of readExtensions(sequence)) {
    switch (extension.oid) {
      case oids.cRLNumber: {
        // §5.2.3: not critical, at most 20 octets.
        if (extension.critical) throw malformed("cRLNumber is critical");
        const octets = decodeExtension(extension, (value) => readScalar(value, (reader) => reader.integer()));
        if ((octets[0] ?? 0) >= 0x80 || octets.length > 20) throw malformed("cRLNumber out of range");
        number = BigInt(`0x${encodeHex(octets)}`);
        break;
      }
      case oids.authorityKeyIdentifier:
        if (extension.critical) throw malformed("authorityKeyIdentifier is critical");
        authorityKeyId = decodeExtension(
          extension,
          (value) => readDer(value, derTags.sequence).optional(0x80)?.content,
        );
        break;
      case oids.deltaCRLIndicator:
        throw new PkiError("CRL_UNSUPPORTED", "a delta CRL: the full CRL is needed");
      case oids.issuingDistributionPoint:
        throw new PkiError(
          "CRL_UNSUPPORTED",
          "a CRL for some certificates only (issuingDistributionPoint): the full CRL is needed",
        );
      default:
        if (extension.critical)
          throw new PkiError("CRL_UNSUPPORTED", `CRL with unknown critical extension ${extension.oid}`);
    }
  }
  if (number === undefined) throw malformed("no cRLNumber");
  return { number, authorityKeyId };
}

function readEntry(entry: DerReader): { serial: Hex; entry: RevokedEntry } {
  const octets = entry.integer();
  if (octets.length > 21) throw malformed("serial number over 20 octets");
  const atMs = entry.time();
  let reason: RevocationReason = "unspecified";
  if (!entry.atEnd) {
    for (const extension of readExtensions(entry.sequence())) {
      if (extension.oid === oids.reasonCode) reason = decodeExtension(extension, decodeReason);
      else if (
        extension.oid === oids.certificateIssuer ||
        (extension.critical && extension.oid !== oids.invalidityDate)
      )
        throw new PkiError("CRL_UNSUPPORTED", `CRL entry with extension ${extension.oid}`);
    }
    entry.finish();
  }
  const serial = octets.length > 1 && octets[0] === 0 ? octets.subarray(1) : octets;
  return { serial: encodeHex(serial), entry: { atMs, reason } };
}

function decodeReason(value: Uint8Array): RevocationReason {
  const number = readScalar(value, (reader) => reader.smallInteger(10, derTags.enumerated));
  for (const [reason, code] of Object.entries(revocationReasons))
    if (code === number && isReason(reason)) return reason;
  throw malformed(`reason ${number}`);
}

/** @returns whether `text` names a reason for revocation */
export function isReason(text: string): text is RevocationReason {
  return Object.hasOwn(revocationReasons, text);
}

function encodeEntry(serial: Hex, { atMs, reason }: RevokedEntry): Uint8Array {
  const head = [encodeInteger(Uint8Array.fromHex(serial)), encodeTime(atMs)];
  // §5.3.1: unspecified is said by leaving the extension out.
  if (reason === "unspecified") return encodeSequence(...head);
  const code = encodeTlv(derTags.enumerated, Uint8Array.of(revocationReasons[reason]));
  return encodeSequence(...head, encodeSequence(encodeExtension(oids.reasonCode, code)));
}

function encodeExtension(oid: string, value: Uint8Array): Uint8Array {
  return encodeSequence(encodeOid(oid), encodeOctetString(value));
}

function malformed(what: string): PkiError {
  return new PkiError("CRL_MALFORMED", `CRL malformed: ${what}`);
}
