import { equalBytes } from "../base/bytes.ts";
import { crypto, type PrivateKey } from "../crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "./certificate.ts";
import { certificateExtension, encodeTbsCertificate } from "./certificateEncoding.ts";
import { encodeBitString, encodeSequence } from "./derWriter.ts";
import {
  authorityExtensions,
  type CertificateProfile,
  encodeCommonName,
  encodeSubject,
  profileViolated,
  purposeExtensions,
  subjectAltNameFor,
} from "./profile.ts";
import { encodeSignatureAlgorithm } from "./signatureAlgorithm.ts";
import { importSubjectKey, subjectKeyIdOf } from "./subjectKey.ts";

export type { CertificateProfile } from "./profile.ts";

export interface Validity {
  /** ms since the epoch; the part below a second is cut off. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

type Random = (length: number) => Uint8Array;

/**
 * Makes the self-signed certificate of a new CA.
 *
 * @param root `name`: the commonName, 1 to 64 characters; `intermediates`: whether it may have CAs below it (pathLen 1
 * instead of 0)
 * @returns DER
 * @throws {PkiError} `PROFILE_VIOLATED`; {CryptoError} for the key
 */
export function createRootCertificate(
  root: Validity & {
    readonly name: string;
    readonly keyPkcs8: Uint8Array;
    readonly intermediates: boolean;
    readonly random: Random;
  },
): Uint8Array {
  const key = crypto().importPrivateKey(root.keyPkcs8);
  const subject = encodeCommonName(root.name);
  return sign({
    key,
    issuer: subject,
    subject,
    subjectKey: key,
    authorityKeyId: subjectKeyIdOf(key),
    extensions: authorityExtensions(root.intermediates ? 1 : 0),
    validity: root,
    random: root.random,
  });
}

/**
 * Issues a certificate of the profile. Names come from the operator, the key from whoever asked.
 *
 * @param request `subjectSpki`: SubjectPublicKeyInfo, DER
 * @returns DER
 * @throws {PkiError} `PROFILE_VIOLATED` (names not of the profile, issuer no CA or not allowed one more level, key not
 * the issuer's, validity beyond the issuer's), `KEY_UNSUPPORTED`, `KEY_MALFORMED`
 */
export function issueCertificate(
  request: Validity & {
    readonly issuer: Certificate;
    readonly issuerKey: PrivateKey;
    readonly subjectSpki: Uint8Array;
    readonly profile: CertificateProfile;
    readonly random: Random;
  },
): Uint8Array {
  const { issuer, issuerKey, profile, subjectSpki } = request;
  checkIssuer(issuer, issuerKey, request);
  return sign({
    key: issuerKey,
    issuer: issuer.subject,
    subject: encodeSubject(profile),
    subjectKey: importSubjectKey(subjectSpki),
    authorityKeyId: issuer.subjectKeyId ?? subjectKeyIdOf(issuer.publicKey),
    extensions: extensionsFor(profile, issuer),
    validity: request,
    random: request.random,
  });
}

function extensionsFor(profile: CertificateProfile, issuer: Certificate): readonly Uint8Array[] {
  const subjectAltName = subjectAltNameFor(profile);
  if (profile.kind !== "intermediate")
    return [...purposeExtensions(profile.kind), ...(subjectAltName === undefined ? [] : [subjectAltName])];
  const left = issuer.basicConstraints?.pathLength ?? 1;
  if (left < 1)
    throw profileViolated(`${issuer.subjectText} allows no CA below it (it was made without intermediates)`);
  return authorityExtensions(left - 1);
}

function checkIssuer(issuer: Certificate, key: PrivateKey, { notBeforeMs, notAfterMs }: Validity): void {
  if (issuer.basicConstraints?.ca !== true || issuer.keyUsage?.has("keyCertSign") === false)
    throw profileViolated(`${issuer.subjectText} is not a CA`);
  if (!equalBytes(issuer.publicKey.spki, key.spki))
    throw profileViolated(`the CA key is not the one of ${issuer.subjectText}`);
  // A path is valid only while all of it is; a certificate that outlives its CA promises too much.
  if (notAfterMs > issuer.notAfterMs + 999 || notBeforeMs < issuer.notBeforeMs)
    throw profileViolated(
      `the validity is not within that of the CA (${new Date(issuer.notBeforeMs).toISOString()} to ${new Date(issuer.notAfterMs).toISOString()})`,
    );
}

interface Draft {
  readonly key: PrivateKey;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly subjectKey: { readonly spki: Uint8Array };
  readonly authorityKeyId: Uint8Array;
  readonly extensions: readonly Uint8Array[];
  readonly validity: Validity;
  readonly random: Random;
}

function sign({
  key,
  issuer,
  subject,
  subjectKey,
  authorityKeyId,
  extensions,
  validity,
  random,
}: Draft): Uint8Array {
  if (!(validity.notBeforeMs <= validity.notAfterMs))
    throw profileViolated("the validity ends before it begins");
  const tbs = encodeTbsCertificate({
    serial: randomSerial(random),
    scheme: key.scheme,
    issuer,
    notBeforeMs: validity.notBeforeMs,
    notAfterMs: validity.notAfterMs,
    subject,
    spki: subjectKey.spki,
    extensions: [
      ...extensions,
      certificateExtension.subjectKeyId(subjectKeyIdOf(subjectKey)),
      certificateExtension.authorityKeyId(authorityKeyId),
    ],
  });
  const der = encodeSequence(tbs, encodeSignatureAlgorithm(key.scheme), encodeBitString(key.sign(tbs)));
  // What leaves this floor has passed the reader that everybody else will use.
  return decodeCertificate(der).der.slice();
}

/** 128 random bits (CA/Browser Forum asks for 64): nobody can guess the next certificate's bytes. */
function randomSerial(random: Random): Uint8Array {
  const serial = random(16);
  if (serial.length !== 16 || serial.every((byte) => byte === 0))
    throw new RangeError("random() gave no 16 random bytes");
  return serial;
}
