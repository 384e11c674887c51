import type { Hex } from "../base/hex.ts";
import type { BlobStore } from "./blobStore.ts";
import type { PostgresDatabase, Transaction } from "./postgresDatabase.ts";
import { StoreError } from "./storeError.ts";
import { Undo } from "./undo.ts";

type PutOutcome = Awaited<ReturnType<BlobStore["putPiece"]>>;

/** "SCup": advisory locks under which one person's uploads change, whatever node they come through. */
const uploadLocks = 0x53437570;

export class PostgresBlobs implements BlobStore {
  readonly #db: PostgresDatabase;

  constructor(db: PostgresDatabase) {
    this.#db = db;
  }

  putPiece(piece: Parameters<BlobStore["putPiece"]>[0]): Promise<PutOutcome> {
    const { uploader, sha256, size, offset, data, quotaBytes, nowMs } = piece;
    return this.#db.transaction<PutOutcome>(async (transaction) => {
      lockUploads(transaction, uploader);
      const owned = await transaction.query("SELECT 1 FROM blob_owners WHERE person = $1 AND sha256 = $2", [
        uploader,
        sha256,
      ]);
      if (owned.length > 0) return { kind: "owned" };
      if (offset === 0) dropUpload(transaction, uploader, sha256);
      const [earlier] = await transaction.query<{ id: number; size: number; received: number }>(
        "SELECT id, size, received FROM blob_uploads WHERE person = $1 AND sha256 = $2",
        [uploader, sha256],
      );
      if (offset !== (earlier?.received ?? 0) || (earlier?.size ?? size) !== size)
        return { kind: "wrong_offset" };
      const receivedBytes = offset + data.length;
      if (receivedBytes > size) return { kind: "wrong_offset" };
      const [upload] = await transaction.query<{ id: number }>(
        `INSERT INTO blob_uploads (person, sha256, size, received, begun_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (person, sha256) DO UPDATE SET received = excluded.received RETURNING id`,
        [uploader, sha256, size, receivedBytes, nowMs],
      );
      if (upload === undefined) throw new StoreError("MISUSE", "the upload has no row number");
      transaction.query("INSERT INTO blob_pieces (upload, byte_offset, data) VALUES ($1, $2, $3)", [
        upload.id,
        offset,
        data,
      ]);
      // An upload counts with its announced size, so that many that were only begun count too.
      const [used] = await transaction.query<{ bytes: number }>(
        `SELECT ((SELECT coalesce(sum(size), 0) FROM blob_uploads WHERE person = $1) +
                 (SELECT coalesce(sum(octet_length(b.data)), 0) FROM blob_owners o JOIN blobs b USING (sha256)
                  WHERE o.person = $1))::bigint AS bytes`,
        [uploader],
      );
      if ((used?.bytes ?? 0) > quotaBytes) throw new Undo({ kind: "quota" } satisfies PutOutcome);
      return { kind: "stored", receivedBytes };
    });
  }

  async upload(uploader: Hex, sha256: Hex): Promise<Uint8Array | undefined> {
    const [row] = await this.#db.query<{ data: Uint8Array }>(
      `SELECT coalesce((SELECT string_agg(p.data, ''::bytea ORDER BY p.byte_offset)
                        FROM blob_pieces p WHERE p.upload = u.id), ''::bytea) AS data
       FROM blob_uploads u WHERE u.person = $1 AND u.sha256 = $2`,
      [uploader, sha256],
    );
    return row?.data;
  }

  finishUpload(uploader: Hex, sha256: Hex, nowMs: number): Promise<boolean> {
    return this.#db.transaction(async (transaction) => {
      lockUploads(transaction, uploader);
      // Changing nothing of a blob that is there already keeps it locked, so that a sweep can't delete it now.
      const stored = await transaction.query(
        `INSERT INTO blobs AS b (sha256, data, stored_at)
         SELECT $2, u.data, $3::bigint FROM (
           SELECT coalesce((SELECT string_agg(p.data, ''::bytea ORDER BY p.byte_offset)
                            FROM blob_pieces p WHERE p.upload = u.id), ''::bytea) AS data
           FROM blob_uploads u WHERE u.person = $1 AND u.sha256 = $2) u
         WHERE encode(sha256(u.data), 'hex') = $2
         ON CONFLICT (sha256) DO UPDATE SET stored_at = b.stored_at RETURNING b.sha256`,
        [uploader, sha256, nowMs],
      );
      if (stored.length === 0) return false;
      transaction.query(
        `INSERT INTO blob_owners (person, sha256, at) VALUES ($1, $2, $3)
         ON CONFLICT (person, sha256) DO UPDATE SET at = excluded.at`,
        [uploader, sha256, nowMs],
      );
      dropUpload(transaction, uploader, sha256);
      return true;
    });
  }

  async dropUpload(uploader: Hex, sha256: Hex): Promise<void> {
    await this.#db.transaction(async (transaction) => {
      lockUploads(transaction, uploader);
      dropUpload(transaction, uploader, sha256);
    });
  }

  async ownBlob(owner: Hex, sha256: Hex): Promise<Uint8Array | undefined> {
    const [row] = await this.#db.query<{ data: Uint8Array }>(
      "SELECT b.data FROM blob_owners o JOIN blobs b USING (sha256) WHERE o.person = $1 AND o.sha256 = $2",
      [owner, sha256],
    );
    return row?.data;
  }

  async readBlob(request: Parameters<BlobStore["readBlob"]>[0]): ReturnType<BlobStore["readBlob"]> {
    const { person, sha256, offset, maxBytes } = request;
    const [row] = await this.#db.query<{ size: number; data: Uint8Array }>(
      `SELECT octet_length(b.data) AS size, substr(b.data, $3::integer, $4::integer) AS data
       FROM blobs b WHERE b.sha256 = $1 AND (
         EXISTS (SELECT 1 FROM blob_owners o WHERE o.person = $2 AND o.sha256 = b.sha256) OR
         EXISTS (SELECT 1 FROM blob_references r JOIN members m USING (conversation)
                 WHERE r.sha256 = b.sha256 AND m.person = $2
                   AND (m.until_size IS NULL OR r.entry_index < m.until_size)))`,
      [sha256, person, offset + 1, maxBytes],
    );
    return row;
  }
}

/** Held to the end of the transaction; its statements that come after it see what others have done before. */
function lockUploads(transaction: Transaction, person: Hex): void {
  transaction.query("SELECT pg_advisory_xact_lock($1, hashtext($2))", [uploadLocks, person]);
}

function dropUpload(transaction: Transaction, person: Hex, sha256: Hex): void {
  transaction.query("DELETE FROM blob_uploads WHERE person = $1 AND sha256 = $2", [person, sha256]);
}
