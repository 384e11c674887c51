import { concatBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import { maxBlobBytes, maxBlobPieceBytes } from "../wire/sessionMessages.ts";
import { ClientError } from "./clientError.ts";
import type { Connection } from "./connection.ts";

/** Puts a blob on the server, in pieces. One that is there already costs one message. @returns its name, the SHA-256 */
export async function uploadBlob(connection: Connection, blob: Uint8Array): Promise<Hex> {
  const digest = encodeHex(sha256(blob));
  for (let offset = 0; offset < blob.length; offset += maxBlobPieceBytes) {
    const data = blob.subarray(offset, offset + maxBlobPieceBytes);
    const { complete } = await connection.request({
      type: "put_blob",
      sha256: digest,
      size: blob.length,
      offset,
      data,
    });
    if (complete) return digest;
  }
  throw new ClientError("SERVER_MISBEHAVED", `the server did not store the blob ${digest}`);
}

/**
 * Fetches a blob by its name, which a signed entry gives.
 *
 * @throws {ClientError} `SERVER_MISBEHAVED` when the bytes are not those of the name; what `request` throws
 */
export async function downloadBlob(connection: Connection, digest: Hex): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let received = 0;
  for (let size = maxBlobBytes; received < size; ) {
    const piece = await connection.request({ type: "fetch_blob", sha256: digest, offset: received });
    const fits =
      piece.offset === received && piece.data.length > 0 && received + piece.data.length <= piece.size;
    if (piece.sha256 !== digest || !fits || (pieces.length > 0 && piece.size !== size))
      throw new ClientError("SERVER_MISBEHAVED", `the server sent a wrong piece of the blob ${digest}`);
    size = piece.size;
    received += piece.data.length;
    pieces.push(piece.data);
  }
  const blob = concatBytes(...pieces);
  if (encodeHex(sha256(blob)) !== digest)
    throw new ClientError("SERVER_MISBEHAVED", `the server sent other bytes than the blob ${digest}`);
  return blob;
}
