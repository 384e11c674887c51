import { encodeHex, type Hex } from "../base/hex.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
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
import { PostgresAppends } from "./postgresAppends.ts";
import type { PostgresChanges } from "./postgresChanges.ts";
import type { PostgresDatabase } from "./postgresDatabase.ts";

const inConversation = "JOIN conversations c ON c.id = e.conversation WHERE c.conversation = $1";
/** How much of a log whose size is `c.size` somebody sees whose memberships are the rows `m`. */
const seen = "max(CASE WHEN m.until_size IS NULL THEN c.size ELSE least(m.until_size, c.size) END)";

export class PostgresLog implements LogStore {
  readonly #db: PostgresDatabase;
  readonly #appends: PostgresAppends;

  constructor(db: PostgresDatabase, changes: PostgresChanges) {
    this.#db = db;
    this.#appends = new PostgresAppends(db, changes);
  }

  append(append: LogAppend): Promise<AppendOutcome> {
    return this.#db.accept(() => this.#appends.append(append));
  }

  async releasePair(conversation: Hex): Promise<void> {
    await this.#db.query(
      "DELETE FROM direct_pairs WHERE conversation = (SELECT id FROM conversations WHERE conversation = $1)",
      [conversation],
    );
  }

  appendInTurn<J extends { readonly append: LogAppend | undefined }>(
    conversation: Hex,
    judge: () => Promise<J>,
  ): Promise<{ judged: J; outcome: AppendOutcome | undefined }> {
    return this.#db.accept(() => this.#appends.appendInTurn(conversation, judge));
  }

  async entries(request: Parameters<LogStore["entries"]>[0]): Promise<readonly EntryRecord[]> {
    const { conversation, from, limit, maxBytes } = request;
    const rows = await this.#db.query<EntryRow>(
      `SELECT entry_index, at, line FROM (
         SELECT e.*, sum(octet_length(e.line)) OVER (ORDER BY e.entry_index) AS bytes
         FROM (SELECT ${entryColumns} FROM entries e ${inConversation} AND e.entry_index >= $2
               ORDER BY e.entry_index LIMIT $3) e) e
       WHERE bytes <= $4 OR entry_index = $2 ORDER BY entry_index`,
      [conversation, from, limit, maxBytes],
    );
    return rows.map(entryOf);
  }

  async entryBySeqno(conversation: Hex, sender: Hex, seqno: number): Promise<EntryRecord | undefined> {
    const [row] = await this.#db.query<EntryRow>(
      `SELECT ${entryColumns} FROM entries e ${inConversation} AND e.seqno = $3
         AND e.sender = (SELECT id FROM certificates WHERE fingerprint = $2)`,
      [conversation, sender, seqno],
    );
    return row === undefined ? undefined : entryOf(row);
  }

  async roots(conversation: Hex, sizes: readonly number[]): Promise<readonly (Uint8Array | undefined)[]> {
    const rows = await this.#db.query<{ size: number; root: Uint8Array }>(
      `SELECT e.entry_index + 1 AS size, e.root FROM entries e ${inConversation} AND e.entry_index = ANY($2::bigint[])`,
      [conversation, arrayLiteral(sizes.map((size) => size - 1))],
    );
    const roots = new Map(rows.map(({ size, root }) => [size, root]));
    return sizes.map((size) => roots.get(size));
  }

  async size(conversation: Hex): Promise<number> {
    const [row] = await this.#db.query<{ size: number }>(
      "SELECT size FROM conversations WHERE conversation = $1",
      [conversation],
    );
    return row?.size ?? 0;
  }

  async checkpoint(conversation: Hex): Promise<CheckpointRecord | undefined> {
    const [row] = await this.#db.query<{
      size: number;
      root: string;
      at: number;
      server: string;
      sig: Uint8Array;
    }>(`SELECT e.size, e.root, e.at, e.server, e.sig FROM checkpoints e ${inConversation}`, [conversation]);
    if (row === undefined) return undefined;
    return { ...row, root: hexColumn(row.root, 32), server: hexColumn(row.server, 32) };
  }

  async expired(conversation: Hex): Promise<ExpiredConversation | undefined> {
    const [row] = await this.#db.query<{ size: number; root: Uint8Array; expired_at: number }>(
      "SELECT size, root, expired_at FROM expired_conversations WHERE conversation = $1",
      [conversation],
    );
    if (row === undefined) return undefined;
    return { size: row.size, root: encodeHex(row.root), expiredAtMs: row.expired_at };
  }

  async state(conversation: Hex, maxSize: number): ReturnType<LogStore["state"]> {
    const [row] = await this.#db.query<{ size: number; state: Uint8Array }>(
      `SELECT e.size, e.state FROM log_states e ${inConversation} AND e.size <= $2 ORDER BY e.size DESC LIMIT 1`,
      [conversation, maxSize],
    );
    return row;
  }

  async visibleSize(conversation: Hex, person: Hex): Promise<number> {
    const [row] = await this.#db.query<{ size: number | null }>(
      `SELECT ${seen} AS size FROM conversations c JOIN members m ON m.conversation = c.id
       WHERE c.conversation = $1 AND m.person = $2`,
      [conversation, person],
    );
    return row?.size ?? 0;
  }

  async members(conversation: Hex): Promise<readonly Hex[]> {
    const rows = await this.#db.query<{ person: string }>(
      `SELECT DISTINCT e.person FROM members e ${inConversation} AND e.until_size IS NULL`,
      [conversation],
    );
    return rows.map(({ person }) => hexColumn(person, 32));
  }

  async readers(conversation: Hex): Promise<readonly Reader[]> {
    const rows = await this.#db.query<{ person: string; until_size: number | null }>(
      `SELECT e.person, CASE WHEN bool_or(e.until_size IS NULL) THEN NULL ELSE max(e.until_size) END AS until_size
       FROM members e ${inConversation} GROUP BY e.person`,
      [conversation],
    );
    return rows.map((row) => ({ person: hexColumn(row.person, 32), until: row.until_size ?? undefined }));
  }

  async conversationsOf(
    request: Parameters<LogStore["conversationsOf"]>[0],
  ): ReturnType<LogStore["conversationsOf"]> {
    const { person, after, limit } = request;
    const rows = await this.#db.query<{ conversation: string; size: number }>(
      `SELECT c.conversation, ${seen} AS size FROM members m JOIN conversations c ON c.id = m.conversation
       WHERE m.person = $1 AND c.conversation > $2 GROUP BY c.id ORDER BY c.conversation LIMIT $3`,
      [person, after ?? "", limit],
    );
    return rows.map(summaryOf);
  }

  async conversations({
    after,
    limit,
  }: Parameters<LogStore["conversations"]>[0]): ReturnType<LogStore["conversations"]> {
    const rows = await this.#db.query<{ conversation: string; size: number }>(
      `SELECT conversation, size FROM conversations WHERE conversation > $1 AND size > 0
       ORDER BY conversation LIMIT $2`,
      [after ?? "", limit],
    );
    return rows.map(summaryOf);
  }
}
