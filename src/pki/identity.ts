import type { Certificate } from "./certificate.ts";
import { formatIpAddress, isDnsName } from "./hostName.ts";
import { PkiError } from "./pkiError.ts";

/** What a username is, in certificates, accounts and rosters. */
export const usernamePattern = /^[a-z0-9][a-z0-9._-]{0,31}$/;

const localPart = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;

/** @returns whether `text` is an e-mail address: RFC 5321 without quoting and comments, ASCII, at most 254 characters */
export function isEmail(text: string): boolean {
  const at = text.lastIndexOf("@");
  if (at < 1 || at > 64 || text.length > 254) return false;
  return localPart.test(text.slice(0, at)) && isDnsName(text.slice(at + 1).toLowerCase());
}

/**
 * The person that a certificate is a device of (with the CA). Compared byte for byte.
 *
 * @throws {PkiError} `NOT_A_PERSON` unless the subject has one commonName that is a username, and the subjectAltName
 * exactly one rfc822Name that is an e-mail address
 */
export function personOf(certificate: Certificate): { username: string; email: string } {
  const { commonName, emails } = certificate;
  const [email] = emails;
  if (commonName === undefined || !usernamePattern.test(commonName))
    throw new PkiError("NOT_A_PERSON", `the commonName is not a username: ${certificate.subjectText}`);
  if (email === undefined || emails.length !== 1 || !isEmail(email))
    throw new PkiError("NOT_A_PERSON", `not exactly one e-mail address: ${certificate.subjectText}`);
  return { username: commonName, email };
}

/**
 * The names that a server's certificate stands for: its DNS names in lower case and its IP addresses, in the order of
 * the certificate, DNS names first. Wildcards and malformed names are no one server's name and are left out.
 *
 * @throws {PkiError} `NOT_A_SERVER` when none is left
 */
export function serverNames(certificate: Certificate): string[] {
  const dnsNames = certificate.dnsNames.map((name) => name.toLowerCase()).filter(isDnsName);
  const names = [...dnsNames, ...certificate.ipAddresses.map(formatIpAddress)];
  if (names.length === 0)
    throw new PkiError(
      "NOT_A_SERVER",
      `no DNS name or IP address in the certificate: ${certificate.subjectText}`,
    );
  return names;
}
