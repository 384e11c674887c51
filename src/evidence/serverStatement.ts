import type { Hex } from "../base/hex.ts";
import type { Checkpoint } from "../log/checkpoint.ts";
import type { Signer } from "../pki/cms/signedData.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";

/** What a server has signed about a log, verified: it begins with `size` entries that have this root. */
export type ServerStatement = SignedCheckpoint | SignedReceipt;

interface SignedPrefix {
  readonly conversation: Hex;
  readonly size: number;
  readonly root: Hex;
  /** By the server's own clock, ms. */
  readonly at: number;
  /** The certificate that signed, with its path. */
  readonly server: VerifiedCertificate;
  /** Where it was found, for people. */
  readonly source: string;
}

export interface SignedCheckpoint extends SignedPrefix {
  readonly kind: "checkpoint";
  readonly checkpoint: Checkpoint;
}

export interface SignedReceipt extends SignedPrefix {
  readonly kind: "receipt";
  /** `receipt.json` */
  readonly statement: Uint8Array;
  /** The server's own SignerInfo over it. */
  readonly signer: Signer;
}
