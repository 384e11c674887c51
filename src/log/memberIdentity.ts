import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import type { Certificate } from "../pki/certificate.ts";
import { personOf, serverNames } from "../pki/identity.ts";
import { oids } from "../pki/oids.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { LogError } from "./logError.ts";
import type { Person } from "./roster.ts";

/**
 * The names that a certificate has in a roster: those of its person, or of a server whose operator is a member: the
 * first of its names and no email.
 *
 * @throws {PkiError} `NOT_A_PERSON`, `NOT_A_SERVER`
 */
export function memberOf(certificate: Certificate): Person {
  if (!isServer(certificate)) return personOf(certificate);
  const [username = ""] = serverNames(certificate);
  return { username, email: "" };
}

/** @returns whether it is a server's certificate with this DNS name (lower case) or IP address among its names */
export function servesAs(certificate: Certificate, name: string): boolean {
  if (!isServer(certificate)) return false;
  try {
    return serverNames(certificate).includes(name);
  } catch (error) {
    if (error instanceof PkiError && error.code === "NOT_A_SERVER") return false;
    throw error;
  }
}

/** @returns SHA-256 of the anchor's public key: whose word the names are */
export function authorityOf({ chain }: VerifiedCertificate): Hex {
  const anchor = chain.at(-1);
  if (anchor === undefined) throw new LogError("CERTIFICATE_INVALID", "certificate without a path to a CA");
  return encodeHex(sha256(anchor.publicKey.spki));
}

export function isServer(certificate: Certificate): boolean {
  return certificate.extendedKeyUsage?.includes(oids.serverAuth) === true;
}
