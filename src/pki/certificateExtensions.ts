import { checkDer, type DerReader, derTags, readDer } from "./der.ts";
import {
  type BasicConstraints,
  checkInfoAccess,
  decodeAuthorityKeyId,
  decodeBasicConstraints,
  decodeExtendedKeyUsage,
  decodeInhibitAnyPolicy,
  decodeKeyUsage,
  decodePolicies,
  decodePolicyConstraints,
  decodePolicyMappings,
  type KeyUsage,
  type PolicyConstraints,
} from "./extensionValues.ts";
import { decodeSubjectAltName, type GeneralNames } from "./generalNames.ts";
import { decodeNameConstraints, type NameConstraints } from "./nameConstraints.ts";
import { oids } from "./oids.ts";
import { PkiError } from "./pkiError.ts";

/** The extensions of a certificate that path validation and identity rest on (RFC 5280 §4.2). */
export interface CertificateExtensions {
  basicConstraints: BasicConstraints | undefined;
  keyUsage: ReadonlySet<KeyUsage> | undefined;
  /** OIDs, at least one. */
  extendedKeyUsage: readonly string[] | undefined;
  subjectKeyId: Uint8Array | undefined;
  authorityKeyId: Uint8Array | undefined;
  subjectAltName: GeneralNames | undefined;
  subjectAltNameCritical: boolean;
  nameConstraints: NameConstraints | undefined;
  /** OIDs of certificatePolicies. */
  policies: readonly string[] | undefined;
  policyMappings: readonly { readonly issuer: string; readonly subject: string }[];
  policyConstraints: PolicyConstraints | undefined;
  inhibitAnyPolicy: number | undefined;
  /** OIDs of critical extensions that nothing here acts on: whoever relies on the certificate refuses it for them. */
  unknownCriticalExtensions: readonly string[];
}

const maxExtensions = 64;

/**
 * Reads Extensions. What RFC 5280 says an extension must look like is demanded of it, also where nothing here uses the
 * value; extensions of other origin are looked at only for their criticality.
 *
 * @param extensions the content of the SEQUENCE; `undefined` when the field is absent
 * @throws {PkiError} `EXTENSION_MALFORMED`, `EXTENSION_FORBIDDEN` (wrong criticality), `DUPLICATE_EXTENSION`, `TOO_LARGE`
 */
export function readCertificateExtensions(extensions: DerReader | undefined): CertificateExtensions {
  const found: CertificateExtensions = {
    basicConstraints: undefined,
    keyUsage: undefined,
    extendedKeyUsage: undefined,
    subjectKeyId: undefined,
    authorityKeyId: undefined,
    subjectAltName: undefined,
    subjectAltNameCritical: false,
    nameConstraints: undefined,
    policies: undefined,
    policyMappings: [],
    policyConstraints: undefined,
    inhibitAnyPolicy: undefined,
    unknownCriticalExtensions: [],
  };
  if (extensions === undefined) return found;
  const unknownCritical: string[] = [];
  for (const extension of readExtensions(extensions)) {
    if (!readKnown(found, extension) && extension.critical) unknownCritical.push(extension.oid);
  }
  found.unknownCriticalExtensions = unknownCritical;
  return found;
}

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** The frame that certificates, CRLs and CRL entries share. @throws {PkiError} */
export function readExtensions(sequence: DerReader): Extension[] {
  const extensions: Extension[] = [];
  const seen = new Set<string>();
  if (sequence.atEnd) throw new PkiError("EXTENSION_MALFORMED", "an empty list of extensions");
  while (!sequence.atEnd) {
    const extension = sequence.sequence();
    const oid = extension.oid();
    let critical = false;
    if (extension.nextTag === derTags.boolean) {
      critical = extension.boolean();
      // FALSE is the DEFAULT, which DER leaves out.
      if (!critical)
        throw new PkiError("EXTENSION_MALFORMED", `extension ${oid}: critical FALSE is written out`);
    }
    const value = extension.octetString();
    extension.finish();
    if (seen.has(oid)) throw new PkiError("DUPLICATE_EXTENSION", `extension ${oid} twice`);
    seen.add(oid);
    if (extensions.length === maxExtensions)
      throw new PkiError("TOO_LARGE", `over ${maxExtensions} extensions`);
    extensions.push({ oid, critical, value });
  }
  return extensions;
}

/** Runs a decoder over an extension's value and gives what it finds the code of the extension. */
export function decodeExtension<T>(extension: Extension, decode: (value: Uint8Array) => T): T {
  try {
    return decode(extension.value);
  } catch (cause) {
    if (cause instanceof PkiError && cause.code === "DER_MALFORMED")
      throw new PkiError("EXTENSION_MALFORMED", `extension ${extension.oid}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** @returns whether path validation acts on the extension */
function readKnown(found: CertificateExtensions, extension: Extension): boolean {
  const { oid, critical } = extension;
  switch (oid) {
    case oids.basicConstraints:
      found.basicConstraints = decodeExtension(extension, (value) => decodeBasicConstraints(value, critical));
      return true;
    case oids.keyUsage:
      found.keyUsage = decodeExtension(extension, decodeKeyUsage);
      return true;
    case oids.extKeyUsage:
      found.extendedKeyUsage = decodeExtension(extension, decodeExtendedKeyUsage);
      return true;
    case oids.subjectAltName:
      found.subjectAltName = decodeExtension(extension, decodeSubjectAltName);
      found.subjectAltNameCritical = critical;
      return true;
    case oids.nameConstraints:
      // §4.2.1.10 says critical; public CAs also issue it without, and it is obeyed either way.
      found.nameConstraints = decodeExtension(extension, decodeNameConstraints);
      return true;
    case oids.subjectKeyIdentifier:
      demandCriticality(extension, false);
      found.subjectKeyId = decodeExtension(extension, (value) => readDer(value, derTags.octetString).content);
      return true;
    case oids.authorityKeyIdentifier:
      demandCriticality(extension, false);
      found.authorityKeyId = decodeExtension(extension, decodeAuthorityKeyId);
      return true;
    case oids.certificatePolicies:
      found.policies = decodeExtension(extension, decodePolicies);
      return true;
    case oids.policyMappings:
      found.policyMappings = decodeExtension(extension, decodePolicyMappings);
      return true;
    case oids.policyConstraints:
      demandCriticality(extension, true);
      found.policyConstraints = decodeExtension(extension, decodePolicyConstraints);
      return true;
    case oids.inhibitAnyPolicy:
      demandCriticality(extension, true);
      found.inhibitAnyPolicy = decodeExtension(extension, decodeInhibitAnyPolicy);
      return true;
    case oids.authorityInfoAccess:
    case oids.subjectInfoAccess:
      demandCriticality(extension, false);
      decodeExtension(extension, checkInfoAccess);
      return true;
    case oids.freshestCRL:
      demandCriticality(extension, false);
      decodeExtension(extension, checkDer);
      return true;
    // Checked for their form, but not acted on: critical, they are unknown.
    case oids.cRLDistributionPoints:
    case oids.issuerAltName:
      decodeExtension(extension, checkDer);
      return false;
    default:
      return false;
  }
}

function demandCriticality(extension: Extension, critical: boolean): void {
  if (extension.critical !== critical)
    throw new PkiError(
      "EXTENSION_FORBIDDEN",
      `extension ${extension.oid} must ${critical ? "" : "not "}be critical (RFC 5280)`,
    );
}
