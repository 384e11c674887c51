import { assembleSignedData, decodeSignedData } from "./signedData.ts";
import type { Signer } from "./signerInfo.ts";

/** Which of a receipt's two files holds a signer. */
export type SignatureFile = "p7s" | "ed25519";

/** The two files of one receipt; a file without signers does not exist. */
export interface SplitSignedData {
  /** Signers with p256 and RSA keys: `receipt.p7s`. */
  readonly p7s: Uint8Array | undefined;
  /** Signers with Ed25519 keys: `receipt.ed25519.p7s`. */
  readonly ed25519: Uint8Array | undefined;
}

/**
 * The file that a signer belongs to follows from its own key alone. A counter signature is in an unsigned attribute of its
 * signer and goes with it, whatever its key: OpenSSL does not look there.
 */
export function signatureFileOf({ suite }: Pick<Signer, "suite">): SignatureFile {
  return suite.keyType === "ed25519" ? "ed25519" : "p7s";
}

/**
 * Parts the signers of one SignedData into the two files: OpenSSL 3.0 refuses a whole file for one Ed25519 SignerInfo.
 * `mergeSignedData` of the two is the file that came in, byte for byte.
 *
 * @param der ContentInfo, DER
 * @throws {PkiError} what `decodeSignedData` throws
 */
export function splitSignedData(der: Uint8Array): SplitSignedData {
  const { signers, certificates } = decodeSignedData(der);
  const part = (file: SignatureFile) => {
    const own = signers.filter((signer) => signatureFileOf(signer) === file);
    return own.length === 0 ? undefined : assembleSignedData(own, certificates);
  };
  return { p7s: part("p7s"), ed25519: part("ed25519") };
}
