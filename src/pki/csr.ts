import { compareBytes } from "../base/bytes.ts";
import { type PrivateKey, type PublicKey, sha256 } from "../crypto/crypto.ts";
import { readExtensions } from "./certificateExtensions.ts";
import { checkDer, contextConstructed, type DerReader, derTags, readDer } from "./der.ts";
import {
  encodeBitString,
  encodeContext,
  encodeInteger,
  encodeOid,
  encodeSequence,
  encodeSetOf,
} from "./derWriter.ts";
import { formatName, readName } from "./distinguishedName.ts";
import { decodeSubjectAltName, type GeneralNames, noGeneralNames } from "./generalNames.ts";
import { oids } from "./oids.ts";
import { parsePem } from "./pem.ts";
import { PkiError } from "./pkiError.ts";
import { type CertificateProfile, encodeSubject, subjectAltNameFor } from "./profile.ts";
import { encodeSignatureAlgorithm, readSignatureAlgorithm } from "./signatureAlgorithm.ts";
import { importSubjectKey } from "./subjectKey.ts";

/**
 * A PKCS#10 request (RFC 2986) whose signature was good: whoever made it has the private key. All else in it is what
 * the requester wishes; the CA takes the key alone.
 */
export interface CertificateRequest {
  readonly publicKey: PublicKey;
  /** SHA-256 of the SubjectPublicKeyInfo: what two people compare when the request came by a way that nobody trusts. */
  readonly keyDigest: Uint8Array;
  /** The subject, for people, escaped; empty when the request names none. */
  readonly subjectText: string;
  /** The subjectAltName that is asked for; no names when none is. */
  readonly names: GeneralNames;
  /** OIDs of the other extensions that are asked for, e.g. basicConstraints. */
  readonly otherExtensions: readonly string[];
}

/** Inclusive. */
export const maxRequestBytes = 65_536;

const maxAttributes = 64;
/** RFC 7468 §7; the second one is what older programs write. */
const pemLabels = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/**
 * Makes a request: the profile's subject and subjectAltName, signed by the key that it is for.
 *
 * @returns DER
 * @throws {PkiError} `PROFILE_VIOLATED`
 */
export function createCertificateRequest(key: PrivateKey, profile: CertificateProfile): Uint8Array {
  const subjectAltName = subjectAltNameFor(profile);
  const attributes =
    subjectAltName === undefined
      ? []
      : [encodeSequence(encodeOid(oids.extensionRequest), encodeSetOf(encodeSequence(subjectAltName)))];
  const info = encodeSequence(
    encodeInteger(0),
    encodeSubject(profile),
    key.spki,
    encodeContext(0, ...attributes),
  );
  const der = encodeSequence(info, encodeSignatureAlgorithm(key.scheme), encodeBitString(key.sign(info)));
  // What leaves this floor has passed the reader that everybody else will use.
  verifyCertificateRequest(der);
  return der;
}

/** Reads a request file, PEM (exactly one) or DER. @throws {PkiError} as `verifyCertificateRequest`, `PEM_MALFORMED` */
export function parseRequestFile(bytes: Uint8Array): CertificateRequest {
  if (bytes[0] === derTags.sequence) return verifyCertificateRequest(bytes);
  const text = new TextDecoder().decode(bytes);
  const blocks = pemLabels.flatMap((label) => parsePem(text, label));
  const [der] = blocks;
  if (der === undefined || blocks.length > 1)
    throw new PkiError(
      "PEM_MALFORMED",
      `${blocks.length === 0 ? "no block" : `${blocks.length} blocks`} "CERTIFICATE REQUEST" in the file, one is needed: make it with "securechat issue --request" or "openssl req -new"`,
    );
  return verifyCertificateRequest(der);
}

/**
 * Decodes a request and checks its signature, the proof of possession of the private key. The input is anyone's.
 *
 * @throws {PkiError} `TOO_LARGE`, `REQUEST_MALFORMED`, `KEY_MALFORMED`, `KEY_UNSUPPORTED` (also for keys that are not of
 * the profile), `ALGORITHM_UNSUPPORTED`, `REQUEST_SIGNATURE_INVALID`
 */
export function verifyCertificateRequest(der: Uint8Array): CertificateRequest {
  if (der.length > maxRequestBytes)
    throw new PkiError("TOO_LARGE", `a request of ${der.length} bytes, at most ${maxRequestBytes} are read`);
  try {
    return readRequest(new Uint8Array(der));
  } catch (cause) {
    if (
      cause instanceof PkiError &&
      ["DER_MALFORMED", "EXTENSION_MALFORMED", "DUPLICATE_EXTENSION"].includes(cause.code)
    )
      throw malformed(cause.message, cause);
    throw cause;
  }
}

/** CertificationRequest (RFC 2986 §4.2) */
function readRequest(der: Uint8Array): CertificateRequest {
  checkDer(der);
  const request = readDer(der, derTags.sequence);
  const info = request.sequence();
  const algorithm = request.sequence();
  const signature = request.bitStringOctets();
  request.finish();
  if (info.smallInteger(255) !== 0) throw malformed("not of version 1");
  const subject = readName(info);
  const spki = info.sequence().encoded;
  const wishes = readAttributes(info.next(contextConstructed(0)));
  info.finish();

  const publicKey = importSubjectKey(spki);
  demandProfileKey(publicKey);
  const scheme = readSignatureAlgorithm(algorithm);
  if (scheme === undefined)
    throw new PkiError("ALGORITHM_UNSUPPORTED", "the request's signature algorithm is not supported");
  if (!publicKey.verify(scheme, info.encoded, signature))
    throw new PkiError(
      "REQUEST_SIGNATURE_INVALID",
      "the request is not signed by the key that it is for (use SHA-256): make a new one with the private key",
    );
  return { publicKey, keyDigest: sha256(publicKey.spki), subjectText: formatName(subject), ...wishes };
}

/** Attributes, a SET OF; of all attributes only extensionRequest (RFC 2985 §5.4.2) is looked into. */
function readAttributes(attributes: DerReader): Pick<CertificateRequest, "names" | "otherExtensions"> {
  const seen = new Set<string>();
  let wishes: Pick<CertificateRequest, "names" | "otherExtensions"> = {
    names: noGeneralNames,
    otherExtensions: [],
  };
  let before: Uint8Array | undefined;
  while (!attributes.atEnd) {
    const attribute = attributes.sequence();
    // The tag is implicit, so checkDer() could not know that this is a SET OF (X.690 §11.6).
    if (before !== undefined && compareBytes(before, attribute.encoded) > 0)
      throw malformed("attributes not sorted");
    before = attribute.encoded;
    const type = attribute.oid();
    const values = attribute.next(derTags.set);
    attribute.finish();
    if (seen.has(type)) throw malformed(`attribute ${type} twice`);
    seen.add(type);
    if (seen.size > maxAttributes) throw malformed(`over ${maxAttributes} attributes`);
    if (values.atEnd) throw malformed(`attribute ${type} without a value`);
    if (type !== oids.extensionRequest) continue;
    const extensions = readExtensions(values.sequence());
    values.finish();
    const san = extensions.find(({ oid }) => oid === oids.subjectAltName);
    wishes = {
      names: san === undefined ? noGeneralNames : decodeSubjectAltName(san.value),
      otherExtensions: extensions.map(({ oid }) => oid).filter((oid) => oid !== oids.subjectAltName),
    };
  }
  return wishes;
}

/** Other keys verify in certificates by others; nobody could use one of them here. */
function demandProfileKey({ type, bits }: PublicKey): void {
  if (type === "p256" || type === "ed25519" || (type === "rsa" && (bits === 2048 || bits === 3072))) return;
  throw new PkiError(
    "KEY_UNSUPPORTED",
    `the request is for a key ${type === "rsa" ? `rsa${bits}` : type}; use p256, rsa2048, rsa3072 or ed25519`,
  );
}

function malformed(what: string, cause?: unknown): PkiError {
  return new PkiError("REQUEST_MALFORMED", `request malformed: ${what}`, { cause });
}
