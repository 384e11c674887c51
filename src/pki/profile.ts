import { certificateExtension } from "./certificateEncoding.ts";
import { encodeOid, encodeSequence, encodeSetOf, encodeUtf8String } from "./derWriter.ts";
import type { KeyUsage } from "./extensionValues.ts";
import { isDnsName, parseIpAddress } from "./hostName.ts";
import { isEmail, usernamePattern } from "./identity.ts";
import { oids } from "./oids.ts";
import { PkiError } from "./pkiError.ts";

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

const endEntityKeyUsage: readonly KeyUsage[] = ["digitalSignature", "nonRepudiation"];
const authorityKeyUsage: readonly KeyUsage[] = ["keyCertSign", "cRLSign"];

/** @returns the commonName of the subject */
export function commonNameFor(profile: CertificateProfile): string {
  return profile.kind === "user" ? profile.username : profile.commonName;
}

/** A Name of one commonName. @returns DER. @throws {PkiError} `PROFILE_VIOLATED` */
export function encodeSubject(profile: CertificateProfile): Uint8Array {
  if (profile.kind === "user" && !usernamePattern.test(profile.username))
    throw profileViolated("the username is not of the form [a-z0-9][a-z0-9._-]{0,31}");
  return encodeCommonName(commonNameFor(profile));
}

/** A Name of one commonName; each attribute would have an RDN of its own. RFC 5280: 1 to 64 characters. */
export function encodeCommonName(text: string): Uint8Array {
  const characters = [...text].length;
  if (characters < 1 || characters > 64 || !text.isWellFormed() || /\p{Cc}/u.test(text))
    throw profileViolated("the commonName must have 1 to 64 characters and no control characters");
  return encodeSequence(encodeSetOf(encodeSequence(encodeOid(oids.commonName), encodeUtf8String(text))));
}

/** @returns the subjectAltName as an Extension, DER; `undefined` for a CA. @throws {PkiError} `PROFILE_VIOLATED` */
export function subjectAltNameFor(profile: CertificateProfile): Uint8Array | undefined {
  switch (profile.kind) {
    case "user":
      if (!isEmail(profile.email)) throw profileViolated("the e-mail address is not one");
      return certificateExtension.subjectAltName({ emails: [profile.email] });
    case "server": {
      const { dnsNames } = profile;
      if (!dnsNames.every(isDnsName))
        throw profileViolated("a DNS name of the server is not one (lower case, A-labels, no wildcard)");
      const ipAddresses = profile.ipAddresses.map((text) => {
        const octets = parseIpAddress(text);
        if (octets === undefined) throw profileViolated("an IP address of the server is not one");
        return octets;
      });
      if (dnsNames.length + ipAddresses.length === 0)
        throw profileViolated("a server needs a DNS name or an IP address");
      return certificateExtension.subjectAltName({ dnsNames, ipAddresses });
    }
    case "intermediate":
      return undefined;
  }
}

/** @returns the extensions that say what the certificate is for, each as an Extension, DER */
export function purposeExtensions(kind: "user" | "server"): readonly Uint8Array[] {
  return [
    certificateExtension.keyUsage(endEntityKeyUsage),
    certificateExtension.extKeyUsage([
      kind === "user" ? oids.clientAuth : oids.serverAuth,
      oids.emailProtection,
    ]),
  ];
}

/** @param pathLength how many CAs may follow. @returns as `purposeExtensions` */
export function authorityExtensions(pathLength: number): readonly Uint8Array[] {
  return [
    certificateExtension.basicConstraints(pathLength),
    certificateExtension.keyUsage(authorityKeyUsage),
  ];
}

export function profileViolated(what: string): PkiError {
  return new PkiError("PROFILE_VIOLATED", what);
}
