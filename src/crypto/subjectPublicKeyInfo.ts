import { bigintFromBytes, bitLength } from "./bigEndian.ts";
import { CryptoError } from "./cryptoError.ts";
import { DerReader, derTag, encodeDer, encodeUnsigned } from "./der.ts";
import type { EcdsaCurve } from "./ecdsaSignature.ts";

/** `point`: 0x04 || X || Y (SEC 1 §2.3.3), 65, 97 or 133 bytes. Whether it is on the curve is not known yet. */
export interface EcPublicKeyInfo {
  readonly type: EcdsaCurve;
  readonly point: Uint8Array;
}

export interface RsaPublicKeyInfo {
  readonly type: "rsa";
  readonly modulus: bigint;
  readonly exponent: bigint;
}

/** `key`: 32 bytes. Whether it is a point that may be used is not known yet. */
export interface Ed25519PublicKeyInfo {
  readonly type: "ed25519";
  readonly key: Uint8Array;
}

export type PublicKeyInfo = EcPublicKeyInfo | RsaPublicKeyInfo | Ed25519PublicKeyInfo;

/** Contents of the object identifiers, hex. */
const keyOids = {
  ecPublicKey: "2a8648ce3d0201", // RFC 5480 §2.1.1
  rsaEncryption: "2a864886f70d010101", // RFC 3279 §2.3.1
  ed25519: "2b6570", // RFC 8410 §3
} as const;

export const curves: Record<
  EcdsaCurve,
  { readonly oid: string; readonly bits: number; readonly bytes: number }
> = {
  p256: { oid: "2a8648ce3d030107", bits: 256, bytes: 32 },
  p384: { oid: "2b81040022", bits: 384, bytes: 48 },
  p521: { oid: "2b81040023", bits: 521, bytes: 66 },
};

const maxSpkiBytes = 4096;
const minRsaBits = 2048;
const maxRsaBits = 8192;
const minRsaExponent = 65_537n;
/** Exclusive. It bounds the work that a key from outside can cause; BoringSSL has a similar bound (33 bits). */
const rsaExponentLimit = 2n ** 32n;

/**
 * Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), which whoever made the certificate controls. Both providers start
 * from the result, so they refuse the same structures.
 *
 * @throws {CryptoError} `MALFORMED_KEY` for what is not DER or not the form of its algorithm, `UNSUPPORTED_KEY` for
 * another algorithm, curve or point format, or an RSA key outside the limits
 */
export function decodePublicKeyInfo(spki: Uint8Array): PublicKeyInfo {
  if (spki.length > maxSpkiBytes)
    throw new CryptoError(
      "MALFORMED_KEY",
      `public key of ${spki.length} bytes, at most ${maxSpkiBytes} are allowed`,
    );
  const outer = new DerReader(spki);
  const fields = outer.sequence("SubjectPublicKeyInfo");
  outer.end("SubjectPublicKeyInfo");
  const algorithm = decodeAlgorithm(fields.sequence("AlgorithmIdentifier"));
  const key = fields.octetsOfBitString("subjectPublicKey");
  fields.end("subjectPublicKey");
  switch (algorithm) {
    case "rsa":
      return decodeRsaPublicKey(key);
    case "ed25519":
      if (key.length !== 32)
        throw new CryptoError("MALFORMED_KEY", `Ed25519 key of ${key.length} bytes, it has 32`);
      return { type: "ed25519", key };
    default:
      return { type: algorithm, point: checkPointForm(algorithm, key) };
  }
}

/** @returns the DER of the SubjectPublicKeyInfo */
export function encodePublicKeyInfo(info: PublicKeyInfo): Uint8Array {
  return encodeDer(
    derTag.sequence,
    encodeAlgorithm(info.type),
    encodeDer(derTag.bitString, new Uint8Array(1), encodeSubjectPublicKey(info)),
  );
}

/**
 * The AlgorithmIdentifier that SubjectPublicKeyInfo and PKCS#8 share. Parameters: named curve for EC (RFC 5480
 * §2.1.1), NULL for RSA (RFC 3279 §2.3.1), absent for Ed25519 (RFC 8410 §3).
 *
 * @throws {CryptoError}
 */
export function decodeAlgorithm(fields: DerReader): PublicKeyInfo["type"] {
  const oid = fields.read(derTag.objectIdentifier, "algorithm").toHex();
  switch (oid) {
    case keyOids.rsaEncryption:
      if (fields.read(derTag.null, "NULL parameters of rsaEncryption").length !== 0)
        throw new CryptoError("MALFORMED_KEY", "key: NULL has content");
      fields.end("algorithm");
      return "rsa";
    case keyOids.ed25519:
      fields.end("Ed25519, which has no parameters");
      return "ed25519";
    case keyOids.ecPublicKey: {
      const explicit = fields.readOptional(derTag.sequence) !== undefined;
      if (explicit)
        throw new CryptoError("UNSUPPORTED_KEY", "EC key with explicit curve parameters, name the curve");
      const curve = curveOf(fields.read(derTag.objectIdentifier, "named curve"));
      fields.end("algorithm");
      return curve;
    }
    default:
      throw new CryptoError("UNSUPPORTED_KEY", "key algorithm is not EC, RSA (rsaEncryption) or Ed25519");
  }
}

/** @returns the DER of the AlgorithmIdentifier of a key of this type */
export function encodeAlgorithm(type: PublicKeyInfo["type"]): Uint8Array {
  const oid = (hex: string) => encodeDer(derTag.objectIdentifier, Uint8Array.fromHex(hex));
  switch (type) {
    case "rsa":
      return encodeDer(derTag.sequence, oid(keyOids.rsaEncryption), encodeDer(derTag.null));
    case "ed25519":
      return encodeDer(derTag.sequence, oid(keyOids.ed25519));
    default:
      return encodeDer(derTag.sequence, oid(keyOids.ecPublicKey), oid(curves[type].oid));
  }
}

/** @param content of an OBJECT IDENTIFIER. @throws {CryptoError} `UNSUPPORTED_KEY` */
export function curveOf(content: Uint8Array): EcdsaCurve {
  switch (content.toHex()) {
    case curves.p256.oid:
      return "p256";
    case curves.p384.oid:
      return "p384";
    case curves.p521.oid:
      return "p521";
    default:
      throw new CryptoError("UNSUPPORTED_KEY", "EC key on another curve than P-256, P-384 or P-521");
  }
}

/**
 * @returns the key when its size and exponent are within the limits
 * @throws {CryptoError} `UNSUPPORTED_KEY`
 */
export function checkRsaLimits(modulus: bigint, exponent: bigint): RsaPublicKeyInfo {
  const bits = bitLength(modulus);
  if (bits < minRsaBits || bits > maxRsaBits)
    throw new CryptoError(
      "UNSUPPORTED_KEY",
      `RSA key of ${bits} bits, ${minRsaBits} to ${maxRsaBits} are allowed`,
    );
  if (modulus % 2n === 0n) throw new CryptoError("UNSUPPORTED_KEY", "RSA modulus is even");
  if (exponent < minRsaExponent || exponent >= rsaExponentLimit || exponent % 2n === 0n)
    throw new CryptoError("UNSUPPORTED_KEY", "RSA exponent is not an odd number from 65537 to 2^32");
  return { type: "rsa", modulus, exponent };
}

/** RSAPublicKey ::= SEQUENCE { modulus, publicExponent } (RFC 8017 §A.1.1). */
function decodeRsaPublicKey(der: Uint8Array): RsaPublicKeyInfo {
  const outer = new DerReader(der);
  const fields = outer.sequence("RSAPublicKey");
  outer.end("RSAPublicKey");
  const modulus = bigintFromBytes(fields.unsigned("modulus"));
  const exponent = bigintFromBytes(fields.unsigned("publicExponent"));
  fields.end("publicExponent");
  return checkRsaLimits(modulus, exponent);
}

function checkPointForm(curve: EcdsaCurve, point: Uint8Array): Uint8Array {
  const form = point[0];
  if (form === 0x02 || form === 0x03)
    throw new CryptoError("UNSUPPORTED_KEY", "EC key with a compressed point");
  if (form !== 0x04 || point.length !== 1 + 2 * curves[curve].bytes)
    throw new CryptoError("MALFORMED_KEY", `EC key is not an uncompressed point of ${curve}`);
  return point;
}

function encodeSubjectPublicKey(info: PublicKeyInfo): Uint8Array {
  switch (info.type) {
    case "rsa":
      return encodeDer(
        derTag.sequence,
        encodeUnsigned(unsignedBytes(info.modulus)),
        encodeUnsigned(unsignedBytes(info.exponent)),
      );
    case "ed25519":
      return info.key;
    default:
      return info.point;
  }
}

function unsignedBytes(value: bigint): Uint8Array {
  const hex = value.toString(16);
  return Uint8Array.fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
}
