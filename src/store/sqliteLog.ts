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
import { SqliteAppends } from "./sqliteAppends.ts";
import type { SqliteCertificates } from "./sqliteCertificates.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";

const inConversation = "JOIN conversations c ON c.id = e.conversation WHERE c.conversation = ?";
/** How much of a log whose size is `c.size` somebody sees whose memberships are the rows `m`. */
const seen = "max(CASE WHEN m.until_size IS NULL THEN c.size ELSE min(m.until_size, c.size) END)";

export class SqliteLog implements LogStore {
  readonly #db: SqliteDatabase;
  readonly #certificates: SqliteCertificates;
  readonly #appends: SqliteAppends;
  readonly #size;
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
    this.#appends = new SqliteAppends(db, certificates);
    this.#size = db.prepare<{ size: number }, [string]>(
      "SELECT size FROM conversations WHERE conversation = ?",
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
    return this.#appends.append(append);
  }

  releasePair(conversation: Hex): Promise<void> {
    return this.#appends.releasePair(conversation);
  }

  appendInTurn<J extends { readonly append: LogAppend | undefined }>(
    conversation: Hex,
    judge: () => Promise<J>,
  ): Promise<{ judged: J; outcome: AppendOutcome | undefined }> {
    return this.#appends.appendInTurn(conversation, judge);
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
    return this.#db.read(() => this.#size.get(conversation)?.size ?? 0);
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
