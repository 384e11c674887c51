import { equalBytes } from "../../base/bytes.ts";
import { crypto, type PublicKey, type SignatureScheme } from "../../crypto/crypto.ts";
import { encodeNull, encodeOid, encodeSequence } from "../derWriter.ts";
import { oids } from "../oids.ts";
import { PkiError } from "../pkiError.ts";
import { cmsOids } from "./oids.ts";

/**
 * How a SignerInfo is signed: digest and signature algorithm as one choice, which follows from the type of the key.
 * Each has exactly one encoding here, although the RFCs allow several for the same meaning (NULL or no parameters,
 * `rsaEncryption` or `sha256WithRSAEncryption`): otherwise a file could be changed without anybody noticing. They are
 * the forms that OpenSSL writes.
 */
export interface SignatureSuite {
  readonly keyType: PublicKey["type"];
  readonly scheme: SignatureScheme;
  /** AlgorithmIdentifier, DER. */
  readonly digestAlgorithm: Uint8Array;
  /** AlgorithmIdentifier, DER. */
  readonly signatureAlgorithm: Uint8Array;
  digest(message: Uint8Array): Uint8Array;
}

const suites: readonly SignatureSuite[] = [
  {
    // RFC 5753 §2.1.1, RFC 5754 §2: both without parameters
    keyType: "p256",
    scheme: "ecdsa-p256-sha256",
    digestAlgorithm: encodeSequence(encodeOid(oids.sha256)),
    signatureAlgorithm: encodeSequence(encodeOid(oids.ecdsaWithSHA256)),
    digest: (message) => crypto().sha256(message),
  },
  {
    // RFC 3370 §3.2: rsaEncryption with NULL; PKCS#1 v1.5, the hash is the digest algorithm's
    keyType: "rsa",
    scheme: "rsa-pkcs1-sha256",
    digestAlgorithm: encodeSequence(encodeOid(oids.sha256)),
    signatureAlgorithm: encodeSequence(encodeOid(cmsOids.rsaEncryption), encodeNull()),
    digest: (message) => crypto().sha256(message),
  },
  {
    // RFC 8419 §2.3: with signed attributes the digest is SHA-512
    keyType: "ed25519",
    scheme: "ed25519",
    digestAlgorithm: encodeSequence(encodeOid(oids.sha512)),
    signatureAlgorithm: encodeSequence(encodeOid(oids.ed25519)),
    digest: (message) => crypto().sha512(message),
  },
];

/** @throws {PkiError} `KEY_UNSUPPORTED` for a key that the profile has no signers with (p384, p521) */
export function suiteForKey(type: PublicKey["type"]): SignatureSuite {
  const suite = suites.find(({ keyType }) => keyType === type);
  if (suite === undefined) throw new PkiError("KEY_UNSUPPORTED", `CMS: no signatures by ${type} keys`);
  return suite;
}

/**
 * @param digestAlgorithm AlgorithmIdentifier, DER, from outside
 * @param signatureAlgorithm AlgorithmIdentifier, DER, from outside
 * @throws {PkiError} `CMS_UNSUPPORTED` unless the two are one of the suites, byte for byte
 */
export function decodeSuite(digestAlgorithm: Uint8Array, signatureAlgorithm: Uint8Array): SignatureSuite {
  const suite = suites.find(
    (candidate) =>
      equalBytes(candidate.digestAlgorithm, digestAlgorithm) &&
      equalBytes(candidate.signatureAlgorithm, signatureAlgorithm),
  );
  if (suite === undefined)
    throw new PkiError("CMS_UNSUPPORTED", "CMS: digest and signature algorithm of a SignerInfo");
  return suite;
}
