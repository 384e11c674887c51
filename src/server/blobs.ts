import { encodeHex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import { maxBlobPieceBytes, type Request, type ServerMessage } from "../wire/sessionMessages.ts";
import { Refusal } from "./refusal.ts";
import type { Services } from "./services.ts";
import type { Member } from "./sessionRegistry.ts";

type Put = Extract<Request, { type: "put_blob" }>;
type Fetch = Extract<Request, { type: "fetch_blob" }>;

/**
 * Takes the next piece of a blob. Offset 0 begins an upload anew; a blob that the person has uploaded already is complete
 * at once. Everybody uploads for themselves: that somebody else has the same blob here can't be found out.
 *
 * @throws {Refusal} `TRY_LATER`, `BAD_BLOB`, `TOO_MANY`
 */
export async function putBlob(
  request: Put,
  member: Member,
  services: Pick<Services, "store" | "limits" | "storageQuota" | "now">,
): Promise<ServerMessage> {
  const { store, limits, now } = services;
  const { person } = member;
  const { id, sha256: digest, size, offset, data } = request;
  services.storageQuota.charge(member, data.length);
  const put = await store.blobs.putPiece({
    uploader: person,
    sha256: digest,
    size,
    offset,
    data,
    quotaBytes: limits.unnamedBlobBytes,
    nowMs: now(),
  });
  switch (put.kind) {
    case "wrong_offset":
      throw new Refusal("BAD_BLOB", "pieces come in order from offset 0 on and end with the announced size");
    case "quota":
      throw new Refusal(
        "TOO_MANY",
        `at most ${limits.unnamedBlobBytes} bytes may wait here for an entry that names them`,
      );
    case "owned":
      return { type: "blob_stored", id, sha256: digest, complete: true };
    case "stored":
      if (put.receivedBytes < size) return { type: "blob_stored", id, sha256: digest, complete: false };
  }
  const whole = await store.blobs.upload(person, digest);
  if (whole === undefined || encodeHex(sha256(whole)) !== digest) {
    await store.blobs.dropUpload(person, digest);
    throw new Refusal("BAD_BLOB", "the pieces don't have the announced SHA-256");
  }
  if (!(await store.blobs.finishUpload(person, digest, now())))
    throw new Refusal("BAD_BLOB", "another connection of yours has begun this upload anew");
  return { type: "blob_stored", id, sha256: digest, complete: true };
}

/** @throws {Refusal} `NOT_FOUND`, equally whether there is no such blob or the person may not read it */
export async function fetchBlob(
  request: Fetch,
  { person }: Member,
  { store }: Pick<Services, "store">,
): Promise<ServerMessage> {
  const { id, sha256: digest, offset } = request;
  const found = await store.blobs.readBlob({ person, sha256: digest, offset, maxBytes: maxBlobPieceBytes });
  if (found === undefined) throw new Refusal("NOT_FOUND", "there is no such blob for you here");
  return { type: "blob", id, sha256: digest, size: found.size, offset, data: found.data };
}
