import { encodeHex, type Hex } from "../base/hex.ts";
import { hexColumn } from "./hexColumn.ts";
import { type EntryRow, entryColumns, entryOf, summaryOf } from "./logRow.ts";
import type {
  AppendOutcome,
  CheckpointRecord,
  EntryRecord,
  ExpiredConversation,
  LogAppend,
  LogStore,
  Reader,
} from "./logStore.ts";
import type { SqliteCertificates } from "./sqliteCertificates.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";
import { StoreError } from "./storeError.ts";
import { Undo } from "./undo.ts";

const inConversation = "JOIN conversations c ON c.id = e.conversation WHERE c.conversation = ?";
/** How much of a log whose size is `c.size` somebody sees whose memberships are the rows `m`. */
const seen = "max(CASE WHEN m.until_size IS NULL THEN c.size ELSE min(m.until_size, c.size) END)";

export class SqliteLog implements LogStore {
  readonly #db: SqliteDatabase;
  readonly #certificates: SqliteCertificates;
  readonly #conversation;
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
  readonly #entries;
  readonly #bySeqno;
  readonly #root;
  readonly #checkpoint;
  readonly #expired;
  readonly #state;
  readonly #visibleSize;
  readonly #members;
  readonly #readers;
  readonly #conversationsOf;
  readonly #conversations;

  constructor(db: SqliteDatabase, certificates: SqliteCertificates) {
    this.#db = db;
    this.#certificates = certificates;
    this.#conversation = db.prepare<{ id: number; size: number }, [string]>(
      "SELECT id, size FROM conversations WHERE conversation = ?",
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
    this.#entries = db.prepare<EntryRow, [string, number, number]>(
      `SELECT ${entryColumns} FROM entries e ${inConversation} AND e.entry_index >= ?
       ORDER BY e.entry_index LIMIT ?`,
    );
    this.#bySeqno = db.prepare<EntryRow, [string, number, number]>(
      `SELECT ${entryColumns} FROM entries e ${inConversation} AND e.sender = ? AND e.seqno = ?`,
    );
    this.#root = db.prepare<{ root: Uint8Array }, [string, number]>(
      `SELECT e.root FROM entries e ${inConversation} AND e.entry_index = ?`,
    );
    this.#checkpoint = db.prepare<
      { size: number; root: string; at: number; server: string; sig: Uint8Array },
      [string]
    >(`SELECT e.size, e.root, e.at, e.server, e.sig FROM checkpoints e ${inConversation}`);
    this.#expired = db.prepare<{ size: number; root: Uint8Array; expired_at: number }, [string]>(
      "SELECT size, root, expired_at FROM expired_conversations WHERE conversation = ?",
    );
    this.#state = db.prepare<{ size: number; state: Uint8Array }, [string, number]>(
      `SELECT e.size, e.state FROM log_states e ${inConversation} AND e.size <= ?
       ORDER BY e.size DESC LIMIT 1`,
    );
    this.#visibleSize = db.prepare<{ size: number | null }, [string, string]>(
      `SELECT ${seen} AS size FROM conversations c JOIN members m ON m.conversation = c.id
       WHERE c.conversation = ? AND m.person = ?`,
    );
    this.#members = db.prepare<{ person: string }, [string]>(
      `SELECT DISTINCT e.person FROM members e ${inConversation} AND e.until_size IS NULL`,
    );
    this.#readers = db.prepare<{ person: string; until_size: number | null }, [string]>(
      `SELECT e.person, CASE WHEN count(*) > count(e.until_size) THEN NULL ELSE max(e.until_size) END AS until_size
       FROM members e ${inConversation} GROUP BY e.person`,
    );
    this.#conversationsOf = db.prepare<{ conversation: string; size: number }, [string, string, number]>(
      `SELECT c.conversation, ${seen} AS size FROM members m JOIN conversations c ON c.id = m.conversation
       WHERE m.person = ? AND c.conversation > ? GROUP BY c.id ORDER BY c.conversation LIMIT ?`,
    );
    this.#conversations = db.prepare<{ conversation: string; size: number }, [string, number]>(
      `SELECT conversation, size FROM conversations WHERE conversation > ? AND size > 0
       ORDER BY conversation LIMIT ?`,
    );
  }

  append(append: LogAppend): Promise<AppendOutcome> {
    return this.#db.write<AppendOutcome>(() => {
      const earlier = this.#conversation.get(append.conversation);
      const size = earlier?.size ?? 0;
      if (size === 0 && this.#expired.get(append.conversation) !== null) return { kind: "expired" };
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

  entries(request: Parameters<LogStore["entries"]>[0]): Promise<readonly EntryRecord[]> {
    const { conversation, from, limit, maxBytes } = request;
    return this.#db.read(() => {
      const out: EntryRecord[] = [];
      let bytes = 0;
      for (const row of this.#entries.iterate(conversation, from, limit)) {
        bytes += row.line.length;
        if (out.length > 0 && bytes > maxBytes) break;
        out.push(entryOf(row));
      }
      return out;
    });
  }

  entryBySeqno(conversation: Hex, sender: Hex, seqno: number): Promise<EntryRecord | undefined> {
    return this.#db.read(() => {
      const number = this.#certificates.number(sender);
      const row = number === undefined ? null : this.#bySeqno.get(conversation, number, seqno);
      return row === null ? undefined : entryOf(row);
    });
  }

  roots(conversation: Hex, sizes: readonly number[]): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#db.read(() => sizes.map((size) => this.#root.get(conversation, size - 1)?.root));
  }

  size(conversation: Hex): Promise<number> {
    return this.#db.read(() => this.#conversation.get(conversation)?.size ?? 0);
  }

  checkpoint(conversation: Hex): Promise<CheckpointRecord | undefined> {
    return this.#db.read(() => {
      const row = this.#checkpoint.get(conversation);
      if (row === null) return undefined;
      return { ...row, root: hexColumn(row.root, 32), server: hexColumn(row.server, 32) };
    });
  }

  expired(conversation: Hex): Promise<ExpiredConversation | undefined> {
    return this.#db.read(() => {
      const row = this.#expired.get(conversation);
      if (row === null) return undefined;
      return { size: row.size, root: encodeHex(row.root), expiredAtMs: row.expired_at };
    });
  }

  state(conversation: Hex, maxSize: number): ReturnType<LogStore["state"]> {
    return this.#db.read(() => this.#state.get(conversation, maxSize) ?? undefined);
  }

  visibleSize(conversation: Hex, person: Hex): Promise<number> {
    return this.#db.read(() => this.#visibleSize.get(conversation, person)?.size ?? 0);
  }

  members(conversation: Hex): Promise<readonly Hex[]> {
    return this.#db.read(() => this.#members.all(conversation).map((row) => hexColumn(row.person, 32)));
  }

  readers(conversation: Hex): Promise<readonly Reader[]> {
    return this.#db.read(() =>
      this.#readers
        .all(conversation)
        .map((row) => ({ person: hexColumn(row.person, 32), until: row.until_size ?? undefined })),
    );
  }

  conversationsOf(
    request: Parameters<LogStore["conversationsOf"]>[0],
  ): ReturnType<LogStore["conversationsOf"]> {
    const { person, after, limit } = request;
    return this.#db.read(() =>
      this.#conversationsOf.all(person, after ?? "", limit).map((row) => summaryOf(row)),
    );
  }

  conversations({
    after,
    limit,
  }: Parameters<LogStore["conversations"]>[0]): ReturnType<LogStore["conversations"]> {
    return this.#db.read(() => this.#conversations.all(after ?? "", limit).map((row) => summaryOf(row)));
  }
}
