import { encodeUtf8, equalBytes } from "../base/bytes.ts";
import { CryptoError, crypto, type PrivateKey } from "../crypto/crypto.ts";
import type { Certificate } from "./certificate.ts";
import { type DerReader, derTags, readDer } from "./der.ts";
import { encodeInteger, encodeNull, encodeOctetString, encodeOid, encodeSequence } from "./derWriter.ts";
import { oids } from "./oids.ts";
import { formatPem, pemBlocks } from "./pem.ts";
import { PkiError } from "./pkiError.ts";

/**
 * Private key files: PKCS#8 in PEM, in clear or as PBES2 (RFC 8018 §6.2) with PBKDF2-HMAC-SHA-256, 600 000 iterations and
 * AES-256-CBC, which OpenSSL reads. The encryption is not authenticated: whoever can write the file can damage the key,
 * so a key is always compared with its certificate before use.
 */
const iterations = 600_000;

/** What a file may ask for; more would only keep the machine busy. */
const maxIterations = 10_000_000;

/** @returns PEM, `PRIVATE KEY` or, with a passphrase (not empty), `ENCRYPTED PRIVATE KEY` */
export async function encodePrivateKey(
  pkcs8: Uint8Array,
  options: { readonly passphrase?: string; readonly random: (length: number) => Uint8Array },
): Promise<string> {
  const { passphrase, random } = options;
  if (passphrase === undefined) return formatPem("PRIVATE KEY", pkcs8);
  if (passphrase === "") throw new PkiError("PASSPHRASE_REQUIRED", "an empty passphrase protects nothing");
  const salt = random(16);
  const iv = random(16);
  const key = await crypto().pbkdf2("sha256", encodeUtf8(passphrase), salt, iterations, 32);
  const encrypted = crypto().aesCbcEncrypt(key, iv, pkcs8);
  key.fill(0);
  const derivation = encodeSequence(
    encodeOid(oids.pbkdf2),
    encodeSequence(
      encodeOctetString(salt),
      encodeInteger(iterations),
      encodeSequence(encodeOid(oids.hmacWithSHA256), encodeNull()),
    ),
  );
  const scheme = encodeSequence(encodeOid(oids.aes256Cbc), encodeOctetString(iv));
  const algorithm = encodeSequence(encodeOid(oids.pbes2), encodeSequence(derivation, scheme));
  return formatPem("ENCRYPTED PRIVATE KEY", encodeSequence(algorithm, encodeOctetString(encrypted)));
}

/**
 * Reads a key file.
 *
 * @param passphrase ignored when the key is in clear
 * @throws {PkiError} as `decodePrivateKeyInfo`, and `KEY_MALFORMED`, `KEY_UNSUPPORTED`
 */
export async function decodePrivateKey(pem: string, passphrase?: string): Promise<PrivateKey> {
  const { pkcs8, encrypted } = await openPrivateKeyInfo(pem, passphrase);
  try {
    return crypto().importPrivateKey(pkcs8);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    if (cause.code === "UNSUPPORTED_KEY")
      throw new PkiError(
        "KEY_UNSUPPORTED",
        `the private key is of a kind that is not supported: ${cause.message}`,
        { cause },
      );
    // A wrong passphrase leaves good padding once in 256 times.
    if (encrypted) throw wrongPassphrase(cause);
    throw new PkiError("KEY_MALFORMED", `the private key is damaged: ${cause.message}`, { cause });
  } finally {
    pkcs8.fill(0);
  }
}

/**
 * Opens a key file without importing the key, to write it again under another passphrase.
 *
 * @returns PKCS#8, DER; a secret of the caller's
 * @throws {PkiError} `PEM_MALFORMED`, `KEY_MALFORMED`, `PASSPHRASE_REQUIRED`, `WRONG_PASSPHRASE`, `ENCRYPTION_UNSUPPORTED`
 */
export async function decodePrivateKeyInfo(pem: string, passphrase?: string): Promise<Uint8Array> {
  const { pkcs8, encrypted } = await openPrivateKeyInfo(pem, passphrase);
  try {
    readDer(pkcs8, derTags.sequence);
  } catch (cause) {
    throw encrypted
      ? wrongPassphrase(cause)
      : new PkiError("KEY_MALFORMED", "the private key is damaged", { cause });
  }
  return pkcs8;
}

/** @returns whether the certificate is one for the public half of this key */
export function keyMatchesCertificate(key: PrivateKey, certificate: Certificate): boolean {
  return equalBytes(key.spki, certificate.publicKey.spki);
}

async function openPrivateKeyInfo(
  pem: string,
  passphrase?: string,
): Promise<{ pkcs8: Uint8Array; encrypted: boolean }> {
  const blocks = pemBlocks(pem).filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const [block] = blocks;
  if (block === undefined || blocks.length > 1)
    throw new PkiError(
      "KEY_MALFORMED",
      `${blocks.length === 0 ? "no private key" : `${blocks.length} private keys`} in the file, one is needed`,
    );
  if (block.label === "PRIVATE KEY") return { pkcs8: block.der, encrypted: false };
  if (block.label !== "ENCRYPTED PRIVATE KEY")
    throw new PkiError(
      "KEY_UNSUPPORTED",
      `a key of the form "${block.label}": convert it with "openssl pkcs8 -topk8 -in KEY -out NEW"`,
    );
  const { encryption, ciphertext } = readEncrypted(block.der);
  if (passphrase === undefined || passphrase === "")
    throw new PkiError("PASSPHRASE_REQUIRED", "the private key is encrypted and needs its passphrase");
  const { hash, salt, count, keyLength, iv } = encryption;
  const key = await crypto().pbkdf2(hash, encodeUtf8(passphrase), salt, count, keyLength);
  const pkcs8 = crypto().aesCbcDecrypt(key, iv, ciphertext);
  key.fill(0);
  if (pkcs8 === undefined) throw wrongPassphrase();
  return { pkcs8, encrypted: true };
}

interface Encryption {
  readonly hash: "sha1" | "sha256" | "sha512";
  readonly salt: Uint8Array;
  readonly count: number;
  readonly keyLength: 16 | 32;
  readonly iv: Uint8Array;
}

/** EncryptedPrivateKeyInfo (RFC 5958 §3) with PBES2. */
function readEncrypted(der: Uint8Array): { encryption: Encryption; ciphertext: Uint8Array } {
  try {
    const info = readDer(der, derTags.sequence);
    const algorithm = info.sequence();
    if (algorithm.oid() !== oids.pbes2) throw unsupported("it is not encrypted with PBES2");
    const parameters = algorithm.sequence();
    algorithm.finish();
    const derivation = parameters.sequence();
    const scheme = parameters.sequence();
    parameters.finish();
    const ciphertext = info.octetString();
    info.finish();
    const keyLength = cipherKeyLength(scheme.oid());
    const iv = scheme.octetString();
    scheme.finish();
    if (iv.length !== 16 || ciphertext.length === 0 || ciphertext.length % 16 !== 0)
      throw new PkiError("KEY_MALFORMED", "the encrypted private key is damaged");
    return { encryption: { ...readPbkdf2(derivation, keyLength), keyLength, iv }, ciphertext };
  } catch (cause) {
    if (cause instanceof PkiError && cause.code === "DER_MALFORMED")
      throw new PkiError("KEY_MALFORMED", `the encrypted private key is damaged: ${cause.message}`, {
        cause,
      });
    throw cause;
  }
}

function readPbkdf2(
  derivation: DerReader,
  wantedLength: number,
): Pick<Encryption, "hash" | "salt" | "count"> {
  if (derivation.oid() !== oids.pbkdf2) throw unsupported("its key is not derived with PBKDF2");
  const parameters = derivation.sequence();
  derivation.finish();
  const salt = parameters.octetString();
  const count = parameters.smallInteger(maxIterations);
  const keyLength = parameters.nextTag === derTags.integer ? parameters.smallInteger(255) : wantedLength;
  // hmacWithSHA1 is the DEFAULT of RFC 8018 §5.2.
  let hash: Encryption["hash"] = "sha1";
  if (!parameters.atEnd) {
    const prf = parameters.sequence();
    hash = hmacHash(prf.oid());
    if (!prf.atEnd) prf.null();
    prf.finish();
    parameters.finish();
  }
  if (keyLength !== wantedLength || count < 1 || salt.length > 1024)
    throw new PkiError("KEY_MALFORMED", "the encrypted private key has impossible parameters");
  return { hash, salt, count };
}

function cipherKeyLength(oid: string): 16 | 32 {
  if (oid === oids.aes128Cbc) return 16;
  if (oid === oids.aes256Cbc) return 32;
  throw unsupported("its cipher is not AES-128-CBC or AES-256-CBC");
}

function hmacHash(oid: string): Encryption["hash"] {
  if (oid === oids.hmacWithSHA1) return "sha1";
  if (oid === oids.hmacWithSHA256) return "sha256";
  if (oid === oids.hmacWithSHA512) return "sha512";
  throw unsupported("PBKDF2 with another hash than SHA-1, SHA-256 or SHA-512");
}

function unsupported(what: string): PkiError {
  return new PkiError(
    "ENCRYPTION_UNSUPPORTED",
    `the private key can't be read, ${what}: convert it with "openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW"`,
  );
}

function wrongPassphrase(cause?: unknown): PkiError {
  return new PkiError("WRONG_PASSPHRASE", "wrong passphrase for the private key (or the file is damaged)", {
    cause,
  });
}
