import { equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { type CryptoProvider, crypto, type PublicKey, type SignatureScheme } from "../crypto/crypto.ts";
import { type CertificateExtensions, readCertificateExtensions } from "./certificateExtensions.ts";
import { checkDer, contextConstructed, contextPrimitive, type DerReader, readDer } from "./der.ts";
import { commonNameOf, type DistinguishedName, formatName, readName } from "./distinguishedName.ts";
import { noGeneralNames } from "./generalNames.ts";
import { PkiError } from "./pkiError.ts";
import { readSignatureAlgorithm } from "./signatureAlgorithm.ts";
import { importSubjectKey } from "./subjectKey.ts";

export type { BasicConstraints, KeyUsage } from "./extensionValues.ts";

/** A certificate (RFC 5280 §4.1), decoded once. That it decodes says nothing about who signed it: see `verifyPath`. */
export interface Certificate extends Readonly<CertificateExtensions> {
  readonly der: Uint8Array;
  /** SHA-256 of `der`. */
  readonly fingerprint: Hex;
  /** The serial number, big-endian without a sign octet. */
  readonly serial: Hex;
  /** The issuer's Name, DER. */
  readonly issuer: Uint8Array;
  /** The subject's Name, DER. */
  readonly subject: Uint8Array;
  readonly subjectName: DistinguishedName;
  /** For people, escaped: `CN=alice`. */
  readonly subjectText: string;
  /** The only commonName, from a UTF8String or PrintableString. */
  readonly commonName: string | undefined;
  /** Issuer and subject are the same Name. */
  readonly selfIssued: boolean;
  readonly notBeforeMs: number;
  /** The last second of validity, inclusive. */
  readonly notAfterMs: number;
  readonly publicKey: PublicKey;
  /** What is signed: the TBSCertificate, DER. */
  readonly tbs: Uint8Array;
  /** `undefined`: an algorithm that no path accepts; a trust anchor may have it, nobody checks its signature. */
  readonly signatureScheme: SignatureScheme | undefined;
  readonly signature: Uint8Array;
  /** From the subjectAltName; empty without one. */
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly Uint8Array[];
  readonly emails: readonly string[];
}

/** Inclusive; the web's largest certificates, with hundreds of names, have some 20 KiB. */
export const maxCertificateBytes = 65_536;

const maxCached = 2048;
const maxCachedBytes = 8 * 1024 * 1024;

/** Keys belong to the provider that imported them, so each provider has a cache of its own. */
const caches = new WeakMap<CryptoProvider, CertificateCache>();

/**
 * Decodes one DER certificate: version 3, strict DER throughout, nothing after the end, RFC 5280's rules for every field
 * and extension that is read. The input is anyone's. Decoded certificates are kept (at most 2 048 and
 * 8 MiB, the longest unused goes first).
 *
 * The parser is our own (see der.ts), not pkijs's: pkijs takes BER and decodes some 250 a second.
 *
 * @returns the same object for the same bytes while it is in the cache
 * @throws {PkiError} `TOO_LARGE`, `CERTIFICATE_MALFORMED`, `VERSION_UNSUPPORTED`, `SERIAL_INVALID`,
 * `ALGORITHM_MISMATCH`, `KEY_UNSUPPORTED`, `KEY_MALFORMED`, `EXTENSION_MALFORMED`, `EXTENSION_FORBIDDEN`,
 * `DUPLICATE_EXTENSION`
 */
export function decodeCertificate(der: Uint8Array): Certificate {
  if (der.length > maxCertificateBytes)
    throw new PkiError(
      "TOO_LARGE",
      `a certificate of ${der.length} bytes, at most ${maxCertificateBytes} are read`,
    );
  const provider = crypto();
  let cache = caches.get(provider);
  if (cache === undefined) {
    cache = new CertificateCache();
    caches.set(provider, cache);
  }
  const known = cache.find(der);
  if (known !== undefined) return known;
  const fingerprint = encodeHex(provider.sha256(der));
  // A copy: the caller's buffer may change under us.
  const certificate = readCertificate(new Uint8Array(der), fingerprint, provider);
  cache.keep(certificate);
  return certificate;
}

function readCertificate(der: Uint8Array, fingerprint: Hex, provider: CryptoProvider): Certificate {
  try {
    checkDer(der);
    const certificate = readDer(der, 0x30);
    const tbs = certificate.sequence();
    const outerAlgorithm = certificate.sequence();
    const signature = certificate.bitStringOctets();
    certificate.finish();
    return readTbs({ der, fingerprint, provider, tbs, outerAlgorithm, signature });
  } catch (cause) {
    if (cause instanceof PkiError && cause.code === "DER_MALFORMED")
      throw new PkiError("CERTIFICATE_MALFORMED", `certificate malformed: ${cause.message}`, { cause });
    throw cause;
  }
}

interface Parts {
  readonly der: Uint8Array;
  readonly fingerprint: Hex;
  readonly provider: CryptoProvider;
  readonly tbs: DerReader;
  readonly outerAlgorithm: DerReader;
  readonly signature: Uint8Array;
}

function readTbs({ der, fingerprint, provider, tbs, outerAlgorithm, signature }: Parts): Certificate {
  // v1 is the DEFAULT and has no field; extensions, on which everything here rests, came with v3.
  const version = tbs.optional(contextConstructed(0));
  if (version === undefined || version.smallInteger(255) !== 2)
    throw new PkiError("VERSION_UNSUPPORTED", "the certificate is not of version 3");
  version.finish();
  const serialOctets = tbs.integer();
  const algorithm = tbs.sequence();
  if (!equalBytes(algorithm.encoded, outerAlgorithm.encoded))
    throw new PkiError("ALGORITHM_MISMATCH", "the certificate names two different signature algorithms");
  const signatureScheme = readSignatureAlgorithm(algorithm);
  const issuerName = readName(tbs);
  const validity = tbs.sequence();
  const [notBeforeMs, notAfterMs] = [validity.time(), validity.time()];
  validity.finish();
  const subjectName = readName(tbs);
  const spki = tbs.sequence().encoded;
  // Unique identifiers (§4.1.2.8) mean nothing here; they are only allowed to stand there.
  for (const tag of [contextPrimitive(1), contextPrimitive(2)]) if (tbs.nextTag === tag) tbs.bitString(tag);
  const explicitExtensions = tbs.optional(contextConstructed(3));
  const extensions = readCertificateExtensions(explicitExtensions?.sequence());
  explicitExtensions?.finish();
  tbs.finish();

  const selfIssued = equalBytes(issuerName.der, subjectName.der);
  const names = extensions.subjectAltName ?? noGeneralNames;
  checkConsistency(issuerName, subjectName, extensions);
  return {
    ...extensions,
    der,
    fingerprint,
    serial: decodeSerial(serialOctets, selfIssued),
    issuer: issuerName.der,
    subject: subjectName.der,
    subjectName,
    subjectText: formatName(subjectName),
    commonName: commonNameOf(subjectName),
    selfIssued,
    notBeforeMs,
    notAfterMs,
    publicKey: importSubjectKey(spki, provider),
    tbs: tbs.encoded,
    signatureScheme,
    signature,
    dnsNames: names.dnsNames,
    ipAddresses: names.ipAddresses,
    emails: names.emails,
  };
}

/** RFC 5280 §4.1.2.2: positive, at most 20 octets. Zero is let pass for self-issued roots, which nobody looks up by it. */
function decodeSerial(octets: Uint8Array, selfIssued: boolean): Hex {
  const serial = octets.length > 1 && octets[0] === 0 ? octets.subarray(1) : octets;
  if (
    (octets[0] ?? 0) >= 0x80 ||
    octets.length > 20 ||
    (!selfIssued && octets.length === 1 && octets[0] === 0)
  )
    throw new PkiError("SERIAL_INVALID", "the serial number is not positive, or longer than 20 octets");
  return encodeHex(serial);
}

/** What RFC 5280 demands between fields. */
function checkConsistency(
  issuer: DistinguishedName,
  subject: DistinguishedName,
  extensions: CertificateExtensions,
): void {
  const isCa = extensions.basicConstraints?.ca === true;
  // §4.1.2.4
  if (issuer.rdns.length === 0) throw new PkiError("CERTIFICATE_MALFORMED", "the issuer's name is empty");
  if (subject.rdns.length === 0) {
    // §4.1.2.6
    if (isCa) throw new PkiError("CERTIFICATE_MALFORMED", "a CA with an empty name");
    if (!extensions.subjectAltNameCritical)
      throw new PkiError(
        "EXTENSION_FORBIDDEN",
        "the subject is empty, so subjectAltName must be there and be critical",
      );
  }
  if (isCa) return;
  // §4.2.1.3, §4.2.1.9
  if (extensions.keyUsage?.has("keyCertSign") === true)
    throw new PkiError("EXTENSION_FORBIDDEN", "keyUsage keyCertSign in a certificate that is not a CA's");
  // §4.2.1.10
  if (extensions.nameConstraints !== undefined)
    throw new PkiError("EXTENSION_FORBIDDEN", "nameConstraints in a certificate that is not a CA's");
}

/**
 * Found by the last bytes, which are the signature's and as good as random, and then compared whole: cheaper than hashing.
 * Whoever makes two certificates that end alike only has them parsed again.
 */
class CertificateCache {
  /** Least recently used first, by the insertion order of Map. */
  readonly #byEnd = new Map<number, Certificate>();
  #bytes = 0;

  find(der: Uint8Array): Certificate | undefined {
    const end = endOf(der);
    const certificate = this.#byEnd.get(end);
    if (certificate === undefined || !equalBytes(certificate.der, der)) return undefined;
    this.#byEnd.delete(end);
    this.#byEnd.set(end, certificate);
    return certificate;
  }

  keep(certificate: Certificate): void {
    this.#remove(endOf(certificate.der));
    this.#byEnd.set(endOf(certificate.der), certificate);
    this.#bytes += certificate.der.length;
    for (const end of this.#byEnd.keys()) {
      if (this.#byEnd.size <= maxCached && this.#bytes <= maxCachedBytes) return;
      this.#remove(end);
    }
  }

  #remove(end: number): void {
    this.#bytes -= this.#byEnd.get(end)?.der.length ?? 0;
    this.#byEnd.delete(end);
  }
}

/** The last six bytes as a number, or fewer. */
function endOf(der: Uint8Array): number {
  let end = 0;
  for (let i = Math.max(0, der.length - 6); i < der.length; i++) end = end * 256 + (der[i] ?? 0);
  return end;
}
