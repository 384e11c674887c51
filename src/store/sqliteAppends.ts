import type { Hex } from "../base/hex.ts";
import { hexColumn } from "./hexColumn.ts";
import type { AppendOutcome, LogAppend } from "./logStore.ts";
import type { SqliteCertificates } from "./sqliteCertificates.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";
import { StoreError } from "./storeError.ts";
import { Undo } from "./undo.ts";

/** What an append writes: all of it in one transaction, or nothing. */
export class SqliteAppends {
  readonly #db: SqliteDatabase;
  readonly #certificates: SqliteCertificates;
  readonly #conversation;
  readonly #isExpired;
  readonly #insertConversation;
  readonly #setSize;
  readonly #pair;
  readonly #insertPair;
  readonly #deletePair;
  readonly #insertEntry;
  readonly #ownsBlob;
  readonly #insertReference;
  readonly #releaseBlob;
  readonly #join;
  readonly #leave;
  readonly #putCheckpoint;
  readonly #putState;

  constructor(db: SqliteDatabase, certificates: SqliteCertificates) {
    this.#db = db;
    this.#certificates = certificates;
    this.#conversation = db.prepare<{ id: number; size: number }, [string]>(
      "SELECT id, size FROM conversations WHERE conversation = ?",
    );
    this.#isExpired = db.prepare<{ one: number }, [string]>(
      "SELECT 1 AS one FROM expired_conversations WHERE conversation = ?",
    );
    this.#insertConversation = db.prepare<{ id: number }, [string, string]>(
      "INSERT INTO conversations (conversation, kind, size) VALUES (?, ?, 0) RETURNING id",
    );
    this.#setSize = db.prepare<null, [number, number, number]>(
      "UPDATE conversations SET size = ?, closed = max(closed, ?) WHERE id = ?",
    );
    this.#pair = db.prepare<{ conversation: string }, [string, string]>(
      `SELECT c.conversation FROM direct_pairs p JOIN conversations c ON c.id = p.conversation
       WHERE p.first = ? AND p.second = ?`,
    );
    this.#insertPair = db.prepare<null, [string, string, number]>(
      "INSERT INTO direct_pairs (first, second, conversation) VALUES (?, ?, ?)",
    );
    this.#deletePair = db.prepare<null, [number]>("DELETE FROM direct_pairs WHERE conversation = ?");
    this.#insertEntry = db.prepare<null, [number, number, number, number, number, Uint8Array, string]>(
      `INSERT INTO entries (conversation, entry_index, at, sender, seqno, root, line)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#ownsBlob = db.prepare<{ one: number }, [string, string]>(
      "SELECT 1 AS one FROM blob_owners WHERE person = ? AND sha256 = ?",
    );
    this.#insertReference = db.prepare<null, [string, number, number, string, number]>(
      `INSERT INTO blob_references (sha256, conversation, entry_index, role, at) VALUES (?, ?, ?, ?, ?)`,
    );
    this.#releaseBlob = db.prepare<null, [string, string]>(
      "DELETE FROM blob_owners WHERE person = ? AND sha256 = ?",
    );
    this.#join = db.prepare<null, [number, number, number]>(
      `INSERT INTO members (conversation, certificate, person, from_index)
       SELECT ?, id, person, ? FROM certificates WHERE id = ?
       ON CONFLICT DO UPDATE SET until_size = NULL`,
    );
    this.#leave = db.prepare<null, [number, number, number]>(
      "UPDATE members SET until_size = ? WHERE conversation = ? AND certificate = ?",
    );
    this.#putCheckpoint = db.prepare<null, [number, number, string, number, string, Uint8Array]>(
      `INSERT INTO checkpoints (conversation, size, root, at, server, sig) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET size = excluded.size, root = excluded.root, at = excluded.at,
         server = excluded.server, sig = excluded.sig`,
    );
    this.#putState = db.prepare<null, [number, number, Uint8Array]>(
      "INSERT INTO log_states (conversation, size, state) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    );
  }

  append(append: LogAppend): Promise<AppendOutcome> {
    return this.#db.write<AppendOutcome>(() => {
      const earlier = this.#conversation.get(append.conversation);
      const size = earlier?.size ?? 0;
      if (size === 0 && this.#isExpired.get(append.conversation) !== null) return { kind: "expired" };
      if (size !== append.expectedSize) return { kind: "conflict", size };
      const conversation = earlier?.id ?? this.#createConversation(append);
      for (const [offset, entry] of append.entries.entries())
        this.#insertEntry.run(
          conversation,
          size + offset,
          entry.at,
          this.#certificates.requireNumber(entry.sender),
          entry.seqno,
          entry.root,
          entry.line,
        );
      this.#referToBlobs(conversation, append);
      for (const { change, fingerprint, index } of append.members) {
        const certificate = this.#certificates.requireNumber(fingerprint);
        if (change === "joined") this.#join.run(conversation, index, certificate);
        else this.#leave.run(index + 1, conversation, certificate);
      }
      if (append.closes) this.#deletePair.run(conversation);
      const newSize = size + append.entries.length;
      this.#setSize.run(newSize, append.closes ? 1 : 0, conversation);
      const { root, at, server, sig } = append.checkpoint;
      this.#putCheckpoint.run(conversation, newSize, root, at, server, sig);
      if (append.state !== undefined) this.#putState.run(conversation, newSize, append.state);
      return { kind: "appended" };
    });
  }

  releasePair(conversation: Hex): Promise<void> {
    return this.#db.write(() => {
      const known = this.#conversation.get(conversation);
      if (known !== null) this.#deletePair.run(known.id);
    });
  }

  async appendInTurn<J extends { readonly append: LogAppend | undefined }>(
    _conversation: Hex,
    judge: () => Promise<J>,
  ): Promise<{ judged: J; outcome: AppendOutcome | undefined }> {
    for (;;) {
      const judged = await judge();
      const outcome = judged.append && (await this.append(judged.append));
      // Only this process appends here, and where it doesn't come one after the other somebody has been faster.
      if (outcome?.kind !== "conflict") return { judged, outcome };
    }
  }

  #createConversation({ conversation, create }: LogAppend): number {
    if (create === undefined) throw new StoreError("MISUSE", "the first append of a log has to create it");
    const id = this.#insertConversation.get(conversation, create.kind)?.id;
    if (id === undefined) throw new StoreError("MISUSE", "the new conversation has no row number");
    if (create.pair !== undefined) {
      const [a, b] = create.pair;
      const [first, second] = a < b ? [a, b] : [b, a];
      const open = this.#pair.get(first, second);
      if (open !== null)
        throw new Undo({
          kind: "pair_exists",
          conversation: hexColumn(open.conversation, 16),
        } satisfies AppendOutcome);
      this.#insertPair.run(first, second, id);
    }
    return id;
  }

  #referToBlobs(conversation: number, { blobs, entries, expectedSize }: LogAppend): void {
    for (const { sha256, role, index, owner } of blobs) {
      if (this.#ownsBlob.get(owner, sha256) === null)
        throw new Undo({ kind: "blob_missing", sha256 } satisfies AppendOutcome);
      const at = entries[index - expectedSize]?.at;
      if (at === undefined) throw new StoreError("MISUSE", "a blob is named by no entry of the append");
      this.#insertReference.run(sha256, conversation, index, role, at);
    }
    for (const { sha256, owner } of blobs) this.#releaseBlob.run(owner, sha256);
  }
}
