import type { Hex } from "../base/hex.ts";

/** A revocation list that a server has in use. */
export interface CrlRecord {
  /** Names the CA that signed it, 32 bytes. */
  readonly authority: Hex;
  /** Its CRL number, big-endian, 20 bytes. */
  readonly number: Hex;
  /** The list and its issuer as a file of lists. Who reads it verifies it: a store is no authority. */
  readonly file: Uint8Array;
}

/** The newest revocation list of each CA that one of the servers on this store was given. */
export interface CrlStore {
  /** Keeps it unless one of the same CA with this number or a higher one is there. @returns whether it was kept */
  offer(list: CrlRecord): Promise<boolean>;

  all(): Promise<readonly CrlRecord[]>;
}
