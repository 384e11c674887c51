import type { Certificate } from "../pki/certificate.ts";
import type { Crl } from "../pki/crl.ts";

/** A file as the caller read it. */
export interface EvidenceFile {
  /** How findings call it. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** The verifier brought it, it is no part of the evidence: what nothing needs in there was not put in by anybody. */
  readonly isOwn?: true;
}

export interface ReceiptFiles {
  readonly statement: EvidenceFile;
  /** `receipt.p7s`, signers with p256 and RSA keys. Absent when the folder has none. */
  readonly signedData: EvidenceFile | undefined;
  /** `receipt.ed25519.p7s`, signers with Ed25519 keys. */
  readonly ed25519?: EvidenceFile | undefined;
}

/** Everything that a verifier was handed. All of it may be forged, but for what the verifier brings: anchors and CRLs. */
export interface EvidenceInput {
  readonly transcript: { readonly name: string; readonly chunks: AsyncIterable<Uint8Array> };
  readonly certificates: readonly EvidenceFile[];
  /** `crl.pem` of the folder. */
  readonly crl: EvidenceFile | undefined;
  readonly checkpoints: EvidenceFile | undefined;
  /** The newest first. */
  readonly receipts: readonly ReceiptFiles[];
  readonly disclosures: readonly EvidenceFile[];
  /** Names in the folder that belong to nothing. */
  readonly strayFiles: readonly string[];
  /** The verifier's own trust anchors; empty when none was named. */
  readonly anchors: readonly Certificate[];
  /** The verifier's own revocation lists. */
  readonly crls: readonly Crl[];
  /** The server that the verifier demands, if any. */
  readonly server: string | undefined;
}
