import { bigintFromBytes } from "./bigEndian.ts";
import { CryptoError } from "./cryptoError.ts";
import { DerReader, derTag, encodeDer, encodeUnsigned, octetsOfBitString } from "./der.ts";
import { decodeRsaPrivateKey, type RsaPrivateKeyInfo } from "./rsaPrivateKey.ts";
import { curveOf, decodeAlgorithm, encodeAlgorithm } from "./subjectPublicKeyInfo.ts";

/**
 * `secret`: the scalar, 32 bytes big-endian (its range is not checked yet), or the 32-byte seed. `publicKey`: the public
 * half where the file carries it, to be compared with the one that belongs to the secret.
 */
export interface CurvePrivateKeyInfo {
  readonly type: "p256" | "ed25519";
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array | undefined;
}

export type PrivateKeyInfo = CurvePrivateKeyInfo | RsaPrivateKeyInfo;

const maxPkcs8Bytes = 8192;
/** `[0] IMPLICIT Attributes` and `[1] IMPLICIT BIT STRING` of OneAsymmetricKey. */
const attributesTag = 0xa0;
const publicKeyTag = 0x81;
/** `[0] EXPLICIT ECParameters` and `[1] EXPLICIT BIT STRING` of ECPrivateKey. */
const ecParametersTag = 0xa0;
const ecPublicKeyTag = 0xa1;

/**
 * Reads an unencrypted PKCS#8 key:
 * OneAsymmetricKey ::= SEQUENCE { version, privateKeyAlgorithm, privateKey OCTET STRING, attributes [0] OPTIONAL,
 * publicKey [1] OPTIONAL } (RFC 5958 §2); version 0 without, version 1 with or without a public key. Attributes (some
 * systems write a key usage there) are skipped.
 *
 * @throws {CryptoError} `MALFORMED_KEY` or `UNSUPPORTED_KEY`
 */
export function decodePrivateKeyInfo(pkcs8: Uint8Array): PrivateKeyInfo {
  if (pkcs8.length > maxPkcs8Bytes)
    throw new CryptoError(
      "MALFORMED_KEY",
      `private key of ${pkcs8.length} bytes, at most ${maxPkcs8Bytes} are allowed`,
    );
  const outer = new DerReader(pkcs8);
  const fields = outer.sequence("OneAsymmetricKey");
  outer.end("OneAsymmetricKey");
  const version = bigintFromBytes(fields.unsigned("version"));
  if (version > 1n) throw new CryptoError("MALFORMED_KEY", "PKCS#8 version is not 0 or 1");
  const algorithm = decodeAlgorithm(fields.sequence("AlgorithmIdentifier"));
  const key = fields.read(derTag.octetString, "privateKey");
  checkAttributes(fields.readOptional(attributesTag));
  const publicBits = version === 1n ? fields.readOptional(publicKeyTag) : undefined;
  fields.end("privateKey");
  const publicKey = publicBits === undefined ? undefined : octetsOfBitString(publicBits, "publicKey");
  switch (algorithm) {
    case "p256":
      return decodeEcPrivateKey(key, publicKey);
    case "ed25519":
      return { type: "ed25519", secret: decodeCurvePrivateKey(key), publicKey };
    case "rsa":
      return decodeRsaPrivateKey(key, publicKey);
    default:
      throw new CryptoError(
        "UNSUPPORTED_KEY",
        `private key on ${algorithm}, use p256, rsa2048, rsa3072 or ed25519`,
      );
  }
}

/**
 * Writes PKCS#8 version 0. A p256 key carries its public half inside ECPrivateKey, as OpenSSL writes it; an Ed25519
 * key is the seed only (RFC 8410 §7).
 *
 * @returns the DER
 */
export function encodePrivateKeyInfo(info: PrivateKeyInfo): Uint8Array {
  const type = info.type === "p256" || info.type === "ed25519" ? info.type : "rsa";
  return encodeDer(
    derTag.sequence,
    encodeUnsigned(new Uint8Array(0)),
    encodeAlgorithm(type),
    encodeDer(derTag.octetString, encodePrivateKey(info)),
  );
}

function encodePrivateKey(info: PrivateKeyInfo): Uint8Array {
  switch (info.type) {
    case "p256": {
      const bits = info.publicKey && encodeDer(derTag.bitString, new Uint8Array(1), info.publicKey);
      return encodeDer(
        derTag.sequence,
        encodeUnsigned(Uint8Array.of(1)),
        encodeDer(derTag.octetString, info.secret),
        ...(bits === undefined ? [] : [encodeDer(ecPublicKeyTag, bits)]),
      );
    }
    case "ed25519":
      return encodeDer(derTag.octetString, info.secret);
    default:
      return info.der;
  }
}

/** ECPrivateKey ::= SEQUENCE { version 1, privateKey, parameters [0] OPTIONAL, publicKey [1] OPTIONAL } (RFC 5915 §3). */
function decodeEcPrivateKey(der: Uint8Array, outerPublicKey: Uint8Array | undefined): CurvePrivateKeyInfo {
  const outer = new DerReader(der);
  const fields = outer.sequence("ECPrivateKey");
  outer.end("ECPrivateKey");
  if (bigintFromBytes(fields.unsigned("version")) !== 1n)
    throw new CryptoError("MALFORMED_KEY", "ECPrivateKey version is not 1");
  const secret = fields.read(derTag.octetString, "private scalar");
  if (secret.length !== 32) throw new CryptoError("MALFORMED_KEY", "private scalar of p256 has not 32 bytes");
  const parameters = fields.readOptional(ecParametersTag);
  if (parameters !== undefined) {
    const named = new DerReader(parameters);
    if (curveOf(named.read(derTag.objectIdentifier, "named curve")) !== "p256")
      throw new CryptoError("MALFORMED_KEY", "ECPrivateKey names another curve than its algorithm");
    named.end("named curve");
  }
  const explicit = fields.readOptional(ecPublicKeyTag);
  fields.end("ECPrivateKey");
  if (explicit === undefined) return { type: "p256", secret, publicKey: outerPublicKey };
  const bits = new DerReader(explicit);
  const publicKey = bits.octetsOfBitString("public key");
  bits.end("public key");
  if (outerPublicKey !== undefined)
    throw new CryptoError("MALFORMED_KEY", "private key carries its public half twice");
  return { type: "p256", secret, publicKey };
}

/** CurvePrivateKey ::= OCTET STRING (RFC 8410 §7). */
function decodeCurvePrivateKey(der: Uint8Array): Uint8Array {
  const outer = new DerReader(der);
  const seed = outer.read(derTag.octetString, "CurvePrivateKey");
  outer.end("CurvePrivateKey");
  if (seed.length !== 32) throw new CryptoError("MALFORMED_KEY", "Ed25519 seed has not 32 bytes");
  return seed;
}

/** Attributes ::= SET OF Attribute: only its form is checked. */
function checkAttributes(content: Uint8Array | undefined): void {
  if (content === undefined) return;
  const attributes = new DerReader(content);
  while (!attributes.atEnd()) attributes.read(derTag.sequence, "Attribute");
}
