import type { Hex } from "../base/hex.ts";
import { parseEntry } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import { servesAs } from "../log/memberIdentity.ts";
import { maxEntriesPerAnswer, type StoredEntry, type WireCheckpoint } from "../wire/sessionMessages.ts";
import { ClientError } from "./clientError.ts";
import type { AnswerTo, Connection } from "./connection.ts";
import { conversationLost } from "./conversationErrors.ts";
import type { Arrival } from "./intake.ts";
import { servedPrefix } from "./servedPrefix.ts";
import type { Standing } from "./standing.ts";

/** Entries that came too early wait here; beyond that they are fetched when it is their turn. */
const maxWaitingEntries = 1024;

/**
 * What the server has sent of one log and is not taken in yet: entries, which may come in pieces, twice or too early, and the
 * checkpoints that came with them, which say how far the log goes.
 */
export class Inbox {
  readonly #conversation: Hex;
  readonly #standing: Standing;
  readonly #arrivals = new Map<number, Arrival>();
  #checkpoints: WireCheckpoint[] = [];
  #mustAsk = false;

  constructor(conversation: Hex, standing: Standing) {
    this.#conversation = conversation;
    this.#standing = standing;
    for (const arrival of standing.surplus) this.#arrivals.set(arrival.index, arrival);
  }

  /** @throws {LogError} a line is no entry */
  add(from: number, entries: readonly StoredEntry[], checkpoint: WireCheckpoint): void {
    const { size } = this.#standing.log;
    entries.forEach(({ at, line }, i) => {
      const index = from + i;
      if (index >= size && index < size + maxWaitingEntries)
        this.#arrivals.set(index, { index, at, entry: parseEntry(line), line });
    });
    this.#checkpoints.push(checkpoint);
  }

  /** The entry whose turn it is, if it is here. */
  get next(): Arrival | undefined {
    return this.#arrivals.get(this.#standing.log.size);
  }

  /** It was taken in. */
  taken({ index }: Arrival): void {
    this.#arrivals.delete(index);
  }

  /** The server may have more than it has told of: after each connect and each refusal. */
  mustAsk(): void {
    this.#mustAsk = true;
  }

  /** Whether there is more to fetch. */
  get isBehind(): boolean {
    const { size } = this.#standing.log;
    return this.#mustAsk || this.#checkpoints.some((checkpoint) => checkpoint.size > size);
  }

  /** Compares the checkpoints that the log has reached with it; the others wait. @throws as `Standing.judge` */
  async judge(): Promise<void> {
    const waiting = this.#checkpoints;
    this.#checkpoints = [];
    const seen = new Set<string>();
    for (const checkpoint of waiting) {
      const name = `${checkpoint.size} ${checkpoint.root} ${checkpoint.at} ${checkpoint.server}`;
      if (seen.has(name)) continue;
      seen.add(name);
      if (checkpoint.size > this.#standing.log.size) this.#checkpoints.push(checkpoint);
      else await this.#standing.judge(checkpoint);
    }
  }

  /** Asks for what comes next. @throws {ClientError} `SERVER_MISBEHAVED`; as `Standing.judge`; what `request` throws */
  async fetch(connection: Connection): Promise<void> {
    const from = this.#standing.log.size;
    const attested = this.#standing.record.checkpoint?.size ?? 0;
    // What is pushed while the answer is on its way may be newer than the answer.
    const known = [...this.#checkpoints];
    const { conversation, entries, checkpoint, ...answer } = await this.#request(connection, from);
    this.#mustAsk = false;
    const isAnswer = conversation === this.#conversation && answer.from === from;
    const isBehind = [...known, checkpoint].some(({ size }) => size > from);
    if (!isAnswer || (entries.length === 0 && isBehind))
      throw new ClientError(
        "SERVER_MISBEHAVED",
        "the server does not send the entries that it has signed for",
      );
    if (checkpoint.size < attested) {
      await this.#standing.judge(checkpoint);
      throw new ClientError("SERVER_MISBEHAVED", "the server has fewer entries than it has signed for");
    }
    this.add(from, entries, checkpoint);
  }

  async #request(connection: Connection, from: number): Promise<AnswerTo<"fetch_entries">> {
    const { state } = this.#standing.log;
    try {
      const limit = maxEntriesPerAnswer;
      return await connection.request({
        type: "fetch_entries",
        conversation: this.#conversation,
        from,
        limit,
      });
    } catch (error) {
      if (state === undefined || !(error instanceof ClientError) || error.refusal !== "NOT_FOUND")
        throw error;
      const { name } = state.server;
      throw conversationLost(name, !servesAs(connection.server.certificate, name));
    }
  }

  /**
   * What came can't stand. If that is because the server has another log than the one it has signed for before, both of its
   * checkpoints are kept and the conversation stops for good.
   *
   * @throws {ClientError} `CONVERSATION_STOPPED`; else `error`
   */
  async explain(error: unknown, connection: Connection | undefined): Promise<never> {
    const { record, log } = this.#standing;
    const isSuspect =
      error instanceof LogError || (error instanceof ClientError && error.code === "SERVER_MISBEHAVED");
    // A transcript that is being repaired may not have come so far again: its first entry says whose server it is.
    if (!isSuspect || connection === undefined || record.size === 0 || log.size === 0) throw error;
    const served = await servedPrefix(connection, this.#conversation, record.size);
    if (served === undefined || served.root === record.root) throw error;
    await this.#standing.verify(served.checkpoint);
    return this.#standing.stop(served.checkpoint);
  }
}
