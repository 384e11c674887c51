import { concatBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 as digestOf } from "../crypto/crypto.ts";
import type { BlobStore } from "./blobStore.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";
import { StoreError } from "./storeError.ts";
import { Undo } from "./undo.ts";

type PutOutcome = Awaited<ReturnType<BlobStore["putPiece"]>>;

export class SqliteBlobs implements BlobStore {
  readonly #db: SqliteDatabase;
  readonly #owned;
  readonly #upload;
  readonly #begin;
  readonly #advance;
  readonly #drop;
  readonly #insertPiece;
  readonly #pieces;
  readonly #usedBytes;
  readonly #insertBlob;
  readonly #insertOwner;
  readonly #ownBlob;
  readonly #readable;

  constructor(db: SqliteDatabase) {
    this.#db = db;
    this.#owned = db.prepare<{ one: number }, [string, string]>(
      "SELECT 1 AS one FROM blob_owners WHERE person = ? AND sha256 = ?",
    );
    this.#upload = db.prepare<{ id: number; size: number; received: number }, [string, string]>(
      "SELECT id, size, received FROM blob_uploads WHERE person = ? AND sha256 = ?",
    );
    this.#begin = db.prepare<{ id: number }, [string, string, number, number]>(
      `INSERT INTO blob_uploads (person, sha256, size, received, begun_at) VALUES (?, ?, ?, 0, ?)
       RETURNING id`,
    );
    this.#advance = db.prepare<null, [number, number]>("UPDATE blob_uploads SET received = ? WHERE id = ?");
    this.#drop = db.prepare<null, [string, string]>(
      "DELETE FROM blob_uploads WHERE person = ? AND sha256 = ?",
    );
    this.#insertPiece = db.prepare<null, [number, number, Uint8Array]>(
      "INSERT INTO blob_pieces (upload, byte_offset, data) VALUES (?, ?, ?)",
    );
    this.#pieces = db.prepare<{ data: Uint8Array }, [number]>(
      "SELECT data FROM blob_pieces WHERE upload = ? ORDER BY byte_offset",
    );
    // An upload counts with its announced size, so that many that were only begun count too.
    this.#usedBytes = db.prepare<{ bytes: number }, [string, string]>(
      `SELECT (SELECT coalesce(sum(size), 0) FROM blob_uploads WHERE person = ?) +
              (SELECT coalesce(sum(length(b.data)), 0) FROM blob_owners o JOIN blobs b USING (sha256)
               WHERE o.person = ?) AS bytes`,
    );
    this.#insertBlob = db.prepare<null, [string, Uint8Array, number]>(
      "INSERT INTO blobs (sha256, data, stored_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    );
    this.#insertOwner = db.prepare<null, [string, string, number]>(
      `INSERT INTO blob_owners (person, sha256, at) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET at = excluded.at`,
    );
    this.#ownBlob = db.prepare<{ data: Uint8Array }, [string, string]>(
      "SELECT b.data FROM blob_owners o JOIN blobs b USING (sha256) WHERE o.person = ? AND o.sha256 = ?",
    );
    this.#readable = db.prepare<{ size: number; data: Uint8Array }, [number, number, string, string, string]>(
      `SELECT length(b.data) AS size, substr(b.data, ?, ?) AS data FROM blobs b WHERE b.sha256 = ? AND (
         EXISTS (SELECT 1 FROM blob_owners o WHERE o.person = ? AND o.sha256 = b.sha256) OR
         EXISTS (SELECT 1 FROM blob_references r JOIN members m USING (conversation)
                 WHERE r.sha256 = b.sha256 AND m.person = ?
                   AND (m.until_size IS NULL OR r.entry_index < m.until_size)))`,
    );
  }

  putPiece(piece: Parameters<BlobStore["putPiece"]>[0]): Promise<PutOutcome> {
    const { uploader, sha256, size, offset, data, quotaBytes, nowMs } = piece;
    return this.#db.write<PutOutcome>(() => {
      if (this.#owned.get(uploader, sha256) !== null) return { kind: "owned" };
      if (offset === 0) this.#drop.run(uploader, sha256);
      const earlier = this.#upload.get(uploader, sha256);
      if (offset !== (earlier?.received ?? 0) || (earlier?.size ?? size) !== size)
        return { kind: "wrong_offset" };
      const receivedBytes = offset + data.length;
      if (receivedBytes > size) return { kind: "wrong_offset" };
      const id = earlier?.id ?? this.#begin.get(uploader, sha256, size, nowMs)?.id;
      if (id === undefined) throw new StoreError("MISUSE", "the new upload has no row number");
      if ((this.#usedBytes.get(uploader, uploader)?.bytes ?? 0) > quotaBytes)
        throw new Undo({ kind: "quota" } satisfies PutOutcome);
      this.#insertPiece.run(id, offset, data);
      this.#advance.run(receivedBytes, id);
      return { kind: "stored", receivedBytes };
    });
  }

  upload(uploader: Hex, sha256: Hex): Promise<Uint8Array | undefined> {
    return this.#db.read(() => this.#joined(uploader, sha256));
  }

  finishUpload(uploader: Hex, sha256: Hex, nowMs: number): Promise<boolean> {
    return this.#db.write(() => {
      const data = this.#joined(uploader, sha256);
      if (data === undefined || encodeHex(digestOf(data)) !== sha256) return false;
      this.#insertBlob.run(sha256, data, nowMs);
      this.#insertOwner.run(uploader, sha256, nowMs);
      this.#drop.run(uploader, sha256);
      return true;
    });
  }

  dropUpload(uploader: Hex, sha256: Hex): Promise<void> {
    return this.#db.write(() => void this.#drop.run(uploader, sha256));
  }

  ownBlob(owner: Hex, sha256: Hex): Promise<Uint8Array | undefined> {
    return this.#db.read(() => this.#ownBlob.get(owner, sha256)?.data);
  }

  readBlob(request: Parameters<BlobStore["readBlob"]>[0]): ReturnType<BlobStore["readBlob"]> {
    const { person, sha256, offset, maxBytes } = request;
    return this.#db.read(() => this.#readable.get(offset + 1, maxBytes, sha256, person, person) ?? undefined);
  }

  #joined(uploader: Hex, sha256: Hex): Uint8Array | undefined {
    const upload = this.#upload.get(uploader, sha256);
    if (upload === null) return undefined;
    return concatBytes(...this.#pieces.all(upload.id).map((piece) => piece.data));
  }
}
