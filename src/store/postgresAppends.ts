import type { Hex } from "../base/hex.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
import { atEndOfTurn } from "./endOfTurn.ts";
import type { AppendOutcome, LogAppend } from "./logStore.ts";
import { appendAlone } from "./postgresAppendAlone.ts";
import { writeEntries } from "./postgresAppendRows.ts";
import { certificateNumbers } from "./postgresCertificates.ts";
import { changeChannel, type PostgresChanges } from "./postgresChanges.ts";
import type { PostgresDatabase, Transaction } from "./postgresDatabase.ts";
import { unavailable } from "./postgresError.ts";
import { StoreError } from "./storeError.ts";

/** Most appends and bytes of lines in one transaction, and most that may wait for theirs. */
const maxGroup = 512;
const maxGroupBytes = 4 * 1024 * 1024;
const maxWaiting = 16_384;
const maxWaitingBytes = 64 * 1024 * 1024;
/** Appends in turn at once. Each holds a connection while it is being judged, which takes another. */
const maxInTurn = 2;

interface Job {
  readonly append: LogAppend;
  readonly bytes: number;
  readonly resolve: (outcome: AppendOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A commit costs a flush of the disk, whatever is in it. So one transaction at a time takes all plain appends that wait: those
 * that add entries to an existing log and touch nothing else. The longer a commit takes, the more the next one holds.
 * A group waits for no lock: it leaves out logs that another node is just appending to. What is left out, what isn't
 * plain, and, when a group fails, each of its appends goes alone.
 */
export class PostgresAppends {
  readonly #db: PostgresDatabase;
  readonly #changes: PostgresChanges;
  #queue: Job[] = [];
  #inTurn = 0;
  readonly #turns: (() => void)[] = [];
  #waiting = 0;
  #waitingBytes = 0;
  #working = false;

  constructor(db: PostgresDatabase, changes: PostgresChanges) {
    this.#db = db;
    this.#changes = changes;
  }

  async append(append: LogAppend): Promise<AppendOutcome> {
    const bytes = append.entries.reduce((sum, { line }) => sum + line.length, 0);
    if (this.#waiting >= maxWaiting || this.#waitingBytes + bytes > maxWaitingBytes)
      throw unavailable("too much is waiting for the database");
    this.#waiting += 1;
    this.#waitingBytes += bytes;
    try {
      if (!isPlain(append)) return await this.#alone(append);
      return await new Promise<AppendOutcome>((resolve, reject) => {
        this.#queue.push({ append, bytes, resolve, reject });
        if (this.#working) return;
        this.#working = true;
        atEndOfTurn(() => void this.#work());
      });
    } finally {
      this.#waiting -= 1;
      this.#waitingBytes -= bytes;
    }
  }

  async appendInTurn<J extends { readonly append: LogAppend | undefined }>(
    conversation: Hex,
    judge: () => Promise<J>,
  ): Promise<{ judged: J; outcome: AppendOutcome | undefined }> {
    if (this.#waiting >= maxWaiting) throw unavailable("too much is waiting for the database");
    this.#waiting += 1;
    if (this.#inTurn === maxInTurn) await new Promise<void>((resolve) => this.#turns.push(resolve));
    else this.#inTurn += 1;
    try {
      return await this.#judgeHeld(conversation, judge);
    } finally {
      this.#waiting -= 1;
      const next = this.#turns.shift();
      if (next === undefined) this.#inTurn -= 1;
      else next();
    }
  }

  /** PostgreSQL hands a locked row on in the order in which it was asked for. */
  async #judgeHeld<J extends { readonly append: LogAppend | undefined }>(
    conversation: Hex,
    judge: () => Promise<J>,
  ): Promise<{ judged: J; outcome: AppendOutcome | undefined }> {
    const last: { judged?: J } = {};
    const outcome = await this.#db.acceptedTransaction<AppendOutcome | undefined>(async (transaction) => {
      await transaction.query("SELECT 1 FROM conversations WHERE conversation = $1 FOR NO KEY UPDATE", [
        conversation,
      ]);
      const judged = await judge();
      last.judged = judged;
      return judged.append === undefined ? undefined : this.#write(transaction, judged.append);
    });
    if (last.judged === undefined) throw new StoreError("MISUSE", "the append was not judged");
    return { judged: last.judged, outcome };
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0) await this.#appendGroup(this.#takeGroup());
    this.#working = false;
  }

  /** The first that wait, one for each log: a second one has to be judged by the size that the first leaves. */
  #takeGroup(): readonly Job[] {
    const group: Job[] = [];
    const later: Job[] = [];
    const logs = new Set<Hex>();
    let bytes = 0;
    for (const job of this.#queue) {
      const { conversation } = job.append;
      const fits = group.length === 0 || (group.length < maxGroup && bytes + job.bytes <= maxGroupBytes);
      if (fits && !logs.has(conversation)) {
        group.push(job);
        bytes += job.bytes;
      } else later.push(job);
      logs.add(conversation);
    }
    this.#queue = later;
    return group;
  }

  async #appendGroup(group: readonly Job[]): Promise<void> {
    let outcomes: ReadonlyMap<LogAppend, AppendOutcome | StoreError>;
    try {
      outcomes = await this.#db.acceptedTransaction((transaction) =>
        this.#writeGroup(
          transaction,
          group.map(({ append }) => append),
        ),
      );
    } catch (error) {
      // Whether it was stored is unknown, or nothing can be stored at the moment. Otherwise one has spoilt it for all.
      const lost = !(error instanceof StoreError) || error.code !== "MISUSE";
      for (const job of group)
        if (lost || group.length === 1) job.reject(error);
        else void this.#alone(job.append).then(job.resolve, job.reject);
      return;
    }
    for (const { append, resolve, reject } of group) {
      const outcome = outcomes.get(append);
      if (outcome instanceof StoreError) reject(outcome);
      else if (outcome !== undefined) resolve(outcome);
      else void this.#alone(append).then(resolve, reject);
    }
  }

  /** @returns what became of each; nothing for those that have to go alone */
  async #writeGroup(
    transaction: Transaction,
    group: readonly LogAppend[],
  ): Promise<ReadonlyMap<LogAppend, AppendOutcome | StoreError>> {
    const [rows, numbers] = await Promise.all([
      transaction.query<{ id: number; conversation: string; size: number }>(
        `SELECT id, conversation, size FROM conversations WHERE conversation = ANY($1::text[])
         FOR NO KEY UPDATE SKIP LOCKED`,
        [arrayLiteral(group.map(({ conversation }) => conversation))],
      ),
      certificateNumbers(
        transaction,
        new Set(group.flatMap(({ entries }) => entries.map(({ sender }) => sender))),
      ),
    ]);
    const logs = new Map(rows.map((row) => [row.conversation, row]));
    const outcomes = new Map<LogAppend, AppendOutcome | StoreError>();
    const accepted: { id: number; append: LogAppend }[] = [];
    for (const append of group) {
      const log = logs.get(append.conversation);
      // Of an expired one there may be a row without entries.
      if (log === undefined || log.size === 0) continue;
      const stranger = append.entries.find(({ sender }) => !numbers.has(sender));
      if (log.size !== append.expectedSize) outcomes.set(append, { kind: "conflict", size: log.size });
      else if (stranger !== undefined)
        outcomes.set(append, new StoreError("MISUSE", `certificate ${stranger.sender} is not in the store`));
      else {
        outcomes.set(append, { kind: "appended" });
        accepted.push({ id: log.id, append });
      }
    }
    if (accepted.length > 0) {
      writeEntries(transaction, accepted, numbers);
      this.#notify(transaction, accepted);
    }
    return outcomes;
  }

  #alone(append: LogAppend): Promise<AppendOutcome> {
    return this.#db.acceptedTransaction((transaction) => this.#write(transaction, append));
  }

  async #write(transaction: Transaction, append: LogAppend): Promise<AppendOutcome> {
    const outcome = await appendAlone(transaction, append);
    if (outcome.kind === "appended") this.#notify(transaction, [{ append }]);
    return outcome;
  }

  #notify(transaction: Transaction, appended: readonly { readonly append: LogAppend }[]): void {
    const payloads = appended.map(({ append }) => {
      const { conversation, expectedSize: from, entries, members } = append;
      const size = from + entries.length;
      return this.#changes.payload({ kind: "log", conversation, from, size, members: members.length > 0 });
    });
    transaction.query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS n (payload)", [
      changeChannel,
      arrayLiteral(payloads),
    ]);
  }
}

function isPlain({ expectedSize, blobs, members, closes }: LogAppend): boolean {
  return expectedSize > 0 && blobs.length === 0 && members.length === 0 && !closes;
}
