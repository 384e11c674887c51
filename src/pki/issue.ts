import { equalBytes } from "../base/bytes.ts";
import { crypto, type PrivateKey } from "../crypto/crypto.ts";
import { type Certificate, decodeCertificate, type KeyUsage } from "./certificate.ts";
import { certificateExtension, encodeTbsCertificate } from "./certificateEncoding.ts";
import { encodeBitString, encodeOid, encodeSequence, encodeSetOf, encodeUtf8String } from "./derWriter.ts";
import { isDnsName, parseIpAddress } from "./hostName.ts";
import { isEmail, usernamePattern } from "./identity.ts";
import { oids } from "./oids.ts";
import { PkiError } from "./pkiError.ts";
import { encodeSignatureAlgorithm } from "./signatureAlgorithm.ts";
import { importSubjectKey, subjectKeyIdOf } from "./subjectKey.ts";

/** Who a certificate is for. Addresses are text; DNS names lower case, without wildcards. */
export type CertificateProfile =
  | { readonly kind: "user"; readonly username: string; readonly email: string }
  | {
      readonly kind: "server";
      readonly commonName: string;
      readonly dnsNames: readonly string[];
      readonly ipAddresses: readonly string[];
    }
  | { readonly kind: "intermediate"; readonly commonName: string };

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
    extensions: [
      certificateExtension.basicConstraints(root.intermediates ? 1 : 0),
      certificateExtension.keyUsage(["keyCertSign", "cRLSign"]),
    ],
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
  const { commonName, extensions } = contentOf(profile, issuer);
  return sign({
    key: issuerKey,
    issuer: issuer.subject,
    subject: encodeCommonName(commonName),
    subjectKey: importSubjectKey(subjectSpki),
    authorityKeyId: issuer.subjectKeyId ?? subjectKeyIdOf(issuer.publicKey),
    extensions,
    validity: request,
    random: request.random,
  });
}

const endEntityKeyUsage: readonly KeyUsage[] = ["digitalSignature", "nonRepudiation"];

function contentOf(
  profile: CertificateProfile,
  issuer: Certificate,
): { commonName: string; extensions: Uint8Array[] } {
  switch (profile.kind) {
    case "user": {
      const { username, email } = profile;
      if (!usernamePattern.test(username))
        throw violated("the username is not of the form [a-z0-9][a-z0-9._-]{0,31}");
      if (!isEmail(email)) throw violated("the e-mail address is not one");
      return {
        commonName: username,
        extensions: [
          certificateExtension.keyUsage(endEntityKeyUsage),
          certificateExtension.extKeyUsage([oids.clientAuth, oids.emailProtection]),
          certificateExtension.subjectAltName({ emails: [email] }),
        ],
      };
    }
    case "server": {
      const { dnsNames, ipAddresses } = profile;
      if (!dnsNames.every(isDnsName))
        throw violated("a DNS name of the server is not one (lower case, A-labels, no wildcard)");
      const addresses = ipAddresses.map((text) => {
        const octets = parseIpAddress(text);
        if (octets === undefined) throw violated("an IP address of the server is not one");
        return octets;
      });
      if (dnsNames.length + addresses.length === 0)
        throw violated("a server needs a DNS name or an IP address");
      return {
        commonName: profile.commonName,
        extensions: [
          certificateExtension.keyUsage(endEntityKeyUsage),
          certificateExtension.extKeyUsage([oids.serverAuth, oids.emailProtection]),
          certificateExtension.subjectAltName({ dnsNames, ipAddresses: addresses }),
        ],
      };
    }
    case "intermediate": {
      const left = issuer.basicConstraints?.pathLength ?? 1;
      if (left < 1)
        throw violated(`${issuer.subjectText} allows no CA below it (it was made without intermediates)`);
      return {
        commonName: profile.commonName,
        extensions: [
          certificateExtension.basicConstraints(left - 1),
          certificateExtension.keyUsage(["keyCertSign", "cRLSign"]),
        ],
      };
    }
  }
}

function checkIssuer(issuer: Certificate, key: PrivateKey, { notBeforeMs, notAfterMs }: Validity): void {
  if (issuer.basicConstraints?.ca !== true || issuer.keyUsage?.has("keyCertSign") === false)
    throw violated(`${issuer.subjectText} is not a CA`);
  if (!equalBytes(issuer.publicKey.spki, key.spki))
    throw violated(`the CA key is not the one of ${issuer.subjectText}`);
  // A path is valid only while all of it is; a certificate that outlives its CA promises too much.
  if (notAfterMs > issuer.notAfterMs + 999 || notBeforeMs < issuer.notBeforeMs)
    throw violated(
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
  if (!(validity.notBeforeMs <= validity.notAfterMs)) throw violated("the validity ends before it begins");
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

/** A Name of one commonName; each attribute would have an RDN of its own. RFC 5280: 1 to 64 characters. */
function encodeCommonName(text: string): Uint8Array {
  const characters = [...text].length;
  if (characters < 1 || characters > 64 || !text.isWellFormed() || /\p{Cc}/u.test(text))
    throw violated("the commonName must have 1 to 64 characters and no control characters");
  return encodeSequence(encodeSetOf(encodeSequence(encodeOid(oids.commonName), encodeUtf8String(text))));
}

function violated(what: string): PkiError {
  return new PkiError("PROFILE_VIOLATED", what);
}
