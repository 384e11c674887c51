import { equalBytes } from "../base/bytes.ts";
import type { SignatureScheme } from "../crypto/crypto.ts";
import { type DerReader, derTags } from "./der.ts";
import { encodeContext, encodeInteger, encodeNull, encodeOid, encodeSequence } from "./derWriter.ts";
import { oids } from "./oids.ts";

// RFC 4055 §3.1: hash, MGF1 with the same hash, salt as long as the hash. The parameters of the hash may be NULL or absent.
function pssParameters(
  hash: string,
  saltLength: number,
  ...hashParameters: readonly Uint8Array[]
): Uint8Array {
  const digest = encodeSequence(encodeOid(hash), ...hashParameters);
  const mask = encodeSequence(encodeOid(oids.mgf1), digest);
  return encodeSequence(
    encodeContext(0, digest),
    encodeContext(1, mask),
    encodeContext(2, encodeInteger(saltLength)),
  );
}

const pss = (["sha256", "sha384", "sha512"] as const).flatMap((hash, index) => {
  const saltLength = [32, 48, 64][index] ?? 0;
  const scheme: SignatureScheme = `rsa-pss-${hash}`;
  return [
    { scheme, parameters: pssParameters(oids[hash], saltLength, encodeNull()) },
    { scheme, parameters: pssParameters(oids[hash], saltLength) },
  ];
});

/**
 * Reads the AlgorithmIdentifier of a signature (RFC 4055, RFC 5758, RFC 8410). With ECDSA the hash stands for the
 * curve of the same strength: P-256 with SHA-256 and so on, the pairs that the web's root programs allow.
 *
 * @param algorithm the content of the AlgorithmIdentifier
 * @returns `undefined` for an algorithm that is not accepted here (SHA-1, DSA, unusual PSS parameters …)
 */
export function readSignatureAlgorithm(algorithm: DerReader): SignatureScheme | undefined {
  const oid = algorithm.oid();
  const parameters = algorithm.atEnd ? undefined : algorithm.next();
  algorithm.finish();
  switch (oid) {
    // RFC 5758 §3.2, RFC 8410 §3: parameters are absent.
    case oids.ecdsaWithSHA256:
      return parameters === undefined ? "ecdsa-p256-sha256" : undefined;
    case oids.ecdsaWithSHA384:
      return parameters === undefined ? "ecdsa-p384-sha384" : undefined;
    case oids.ecdsaWithSHA512:
      return parameters === undefined ? "ecdsa-p521-sha512" : undefined;
    case oids.ed25519:
      return parameters === undefined ? "ed25519" : undefined;
    case oids.sha256WithRSAEncryption:
      return isNullOrAbsent(parameters) ? "rsa-pkcs1-sha256" : undefined;
    case oids.sha384WithRSAEncryption:
      return isNullOrAbsent(parameters) ? "rsa-pkcs1-sha384" : undefined;
    case oids.sha512WithRSAEncryption:
      return isNullOrAbsent(parameters) ? "rsa-pkcs1-sha512" : undefined;
    case oids.rsassaPss:
      return pss.find((known) => parameters !== undefined && equalBytes(known.parameters, parameters.encoded))
        ?.scheme;
    default:
      return undefined;
  }
}

/** The AlgorithmIdentifier for a scheme of the profile, DER; NULL parameters for RSA. */
export function encodeSignatureAlgorithm(
  scheme: "ecdsa-p256-sha256" | "rsa-pkcs1-sha256" | "ed25519",
): Uint8Array {
  switch (scheme) {
    case "ecdsa-p256-sha256":
      return encodeSequence(encodeOid(oids.ecdsaWithSHA256));
    case "rsa-pkcs1-sha256":
      return encodeSequence(encodeOid(oids.sha256WithRSAEncryption), encodeNull());
    case "ed25519":
      return encodeSequence(encodeOid(oids.ed25519));
  }
}

// RFC 4055 §5: NULL is right, and a verifier accepts that it is absent.
function isNullOrAbsent(parameters: DerReader | undefined): boolean {
  return parameters === undefined || (parameters.tag === derTags.null && parameters.content.length === 0);
}
