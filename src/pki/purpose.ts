import type { Certificate, KeyUsage } from "./certificate.ts";
import { oids } from "./oids.ts";
import { PkiError } from "./pkiError.ts";

/**
 * What a certificate is to be relied on for: `server` and `client` authenticate a side of the channel; `evidence`
 * judges a user's or a server's certificate as the signer of entries, checkpoints and receipts.
 */
export type Purpose = "server" | "client" | "evidence";

/**
 * What is demanded of the leaf beyond RFC 5280 §6. `securechat`: the certificate profile of docs/PROTOCOL.md, so
 * keyUsage and extendedKeyUsage must be there and a CA is no leaf. `rfc5280`: what the RFC demands of everyone's
 * certificates; an extension that is absent restricts nothing.
 */
export type Profile = "securechat" | "rfc5280";

const extendedKeyUsages: Readonly<Record<Purpose, string>> = {
  server: oids.serverAuth,
  client: oids.clientAuth,
  evidence: oids.emailProtection,
};

/** Each of these (securechat), or any of these (rfc5280, §4.2.1.12). */
const keyUsagesOf: Readonly<Record<Profile, Readonly<Record<Purpose, readonly KeyUsage[]>>>> = {
  securechat: {
    server: ["digitalSignature"],
    client: ["digitalSignature"],
    evidence: ["digitalSignature", "nonRepudiation"],
  },
  rfc5280: {
    server: ["digitalSignature", "keyEncipherment", "keyAgreement"],
    client: ["digitalSignature", "keyAgreement"],
    evidence: ["digitalSignature", "nonRepudiation"],
  },
};

/**
 * Demands that the leaf may be used for the purpose.
 *
 * @throws {PkiError} `KEY_USAGE_WRONG`, `EXTENDED_KEY_USAGE_WRONG`, `PROFILE_VIOLATED`
 */
export function checkLeafPurpose(leaf: Certificate, purpose: Purpose, profile: Profile): void {
  const { keyUsage, extendedKeyUsage } = leaf;
  if (profile === "securechat") {
    if (leaf.basicConstraints?.ca === true)
      throw new PkiError(
        "PROFILE_VIOLATED",
        `a CA's certificate used as a ${purpose}'s: ${leaf.subjectText}`,
      );
    if (keyUsage === undefined)
      throw new PkiError("KEY_USAGE_WRONG", `no keyUsage in the certificate of ${leaf.subjectText}`);
    if (extendedKeyUsage === undefined)
      throw new PkiError(
        "EXTENDED_KEY_USAGE_WRONG",
        `no extended key usage in the certificate of ${leaf.subjectText}`,
      );
  }
  const wanted = keyUsagesOf[profile][purpose];
  const fits = (usage: KeyUsage) => keyUsage === undefined || keyUsage.has(usage);
  if (!(profile === "securechat" ? wanted.every(fits) : wanted.some(fits)))
    throw new PkiError(
      "KEY_USAGE_WRONG",
      `the key of ${leaf.subjectText} may not be used as a ${purpose}'s (keyUsage)`,
    );
  // §4.2.1.12 lets an application refuse anyExtendedKeyUsage where it wants a particular purpose: a leaf says what it is for.
  if (extendedKeyUsage !== undefined && !extendedKeyUsage.includes(extendedKeyUsages[purpose]))
    throw new PkiError(
      "EXTENDED_KEY_USAGE_WRONG",
      `the certificate of ${leaf.subjectText} is not made for use as a ${purpose}'s (extended key usage)`,
    );
}

/**
 * An extended key usage in a CA's certificate limits what it may issue for: not in RFC 5280, but what every validator of
 * note does and CAs rely on.
 *
 * @throws {PkiError} `EXTENDED_KEY_USAGE_WRONG`
 */
export function checkIssuerPurpose(issuer: Certificate, purpose: Purpose): void {
  const usages = issuer.extendedKeyUsage;
  if (
    usages === undefined ||
    usages.includes(extendedKeyUsages[purpose]) ||
    usages.includes(oids.anyExtendedKeyUsage)
  )
    return;
  throw new PkiError(
    "EXTENDED_KEY_USAGE_WRONG",
    `the CA ${issuer.subjectText} may not issue certificates for use as a ${purpose}'s (extended key usage)`,
  );
}
