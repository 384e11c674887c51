import { type Certificate, decodeCertificate } from "./certificate.ts";
import { type Crl, decodeCrl } from "./crl.ts";
import { derTags } from "./der.ts";
import { pemBlocks } from "./pem.ts";
import { PkiError } from "./pkiError.ts";

/** Lists of one file; an organisation has one CA and a few issuing CAs. */
export const maxCrlsPerFile = 16;

/** What an operator or a member hands in as "the CRL". Nothing in it has been verified. */
export interface CrlBundle {
  readonly crls: readonly Crl[];
  /** Of issuing CAs that signed one of the lists and stand on no path that the reader knows. */
  readonly certificates: readonly Certificate[];
}

/**
 * Reads a CRL file: one list in DER, or PEM with one or more blocks `X509 CRL`, and any `CERTIFICATE` blocks of issuing CAs
 * between them. Other blocks are refused: whoever puts a key into this file has taken the wrong one.
 *
 * @throws {PkiError} `PEM_MALFORMED`, `TOO_LARGE`, and what `decodeCrl` and `decodeCertificate` throw
 */
export function parseCrlBundle(bytes: Uint8Array): CrlBundle {
  if (bytes[0] === derTags.sequence) return { crls: [decodeCrl(bytes)], certificates: [] };
  const crls: Crl[] = [];
  const certificates: Certificate[] = [];
  for (const { label, der } of pemBlocks(new TextDecoder().decode(bytes))) {
    if (label === "X509 CRL") crls.push(decodeCrl(der));
    else if (label === "CERTIFICATE") certificates.push(decodeCertificate(der));
    else throw new PkiError("PEM_MALFORMED", `a block "${label}" in a file of revocation lists`);
  }
  if (crls.length === 0) throw new PkiError("PEM_MALFORMED", 'no block "X509 CRL" in the file');
  if (crls.length > maxCrlsPerFile || certificates.length > maxCrlsPerFile)
    throw new PkiError("TOO_LARGE", `more than ${maxCrlsPerFile} lists or certificates in one file`);
  return { crls, certificates };
}
