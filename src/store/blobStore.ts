import type { Hex } from "../base/hex.ts";

export type BlobRole = "commit" | "welcome" | "group";

/**
 * Blobs are named by their SHA-256 and belong to those who uploaded them until an entry names them; then the readers
 * of that entry can fetch them. Writes are durable and atomic when they resolve.
 */
export interface BlobStore {
  /** Takes the next piece of an upload. Offset 0 begins it anew; any other offset must be what was received so far.
   *  `stored`: `receivedBytes` of the upload are here now. `owned`: the uploader has this blob already.
   *  `wrong_offset`, `quota`: nothing changed. */
  putPiece(piece: {
    readonly uploader: Hex;
    readonly sha256: Hex;
    readonly size: number;
    readonly offset: number;
    readonly data: Uint8Array;
    /** Most bytes that the uploader may have here in uploads and blobs that no entry names. */
    readonly quotaBytes: number;
    readonly nowMs: number;
  }): Promise<
    | { readonly kind: "stored"; readonly receivedBytes: number }
    | { readonly kind: "owned" | "wrong_offset" | "quota" }
  >;

  /** @returns what was received of an upload, its pieces joined */
  upload(uploader: Hex, sha256: Hex): Promise<Uint8Array | undefined>;

  /** Makes an upload a blob of its uploader. What the caller has compared may have begun anew since, so the hash is computed
   *  here: whoever uploads the same blob later gets these bytes.
   *  @returns false when there is no such upload, or not with this SHA-256; nothing changed then */
  finishUpload(uploader: Hex, sha256: Hex, nowMs: number): Promise<boolean>;

  dropUpload(uploader: Hex, sha256: Hex): Promise<void>;

  /** @returns the whole blob if `owner` has uploaded it */
  ownBlob(owner: Hex, sha256: Hex): Promise<Uint8Array | undefined>;

  /** @returns a slice of at most `maxBytes` from `offset` on and the size of the blob, if `person` may read it: its
   *  uploader, and who sees an entry that names it */
  readBlob(request: {
    readonly person: Hex;
    readonly sha256: Hex;
    readonly offset: number;
    readonly maxBytes: number;
  }): Promise<{ readonly size: number; readonly data: Uint8Array } | undefined>;
}
