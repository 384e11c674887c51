import type { Hex } from "../base/hex.ts";
import { accountOf } from "./accountRow.ts";
import type { Account } from "./accountStore.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
import { atEndOfTurn } from "./endOfTurn.ts";
import { selectAccount, type UserRow } from "./postgresAccounts.ts";
import { lastEnding } from "./postgresControl.ts";
import type { PostgresDatabase, Transaction } from "./postgresDatabase.ts";
import { unavailable } from "./postgresError.ts";
import { maxTicketsPerAccount, type NewTicket, type TicketStore } from "./ticketStore.ts";

/** Most calls in one transaction, and most that may wait for theirs. */
const maxGroup = 512;
const maxWaiting = 65_536;

interface Grant {
  readonly kind: "grant";
  /** By what a ticket is handed out: a password that was right, or another ticket. */
  readonly by: { readonly account: number; readonly passwordHash: string } | { readonly hash: Hex };
  readonly fingerprint: Hex;
  readonly next: NewTicket;
  readonly nowMs: number;
}

interface DropEarlier {
  readonly kind: "dropEarlier";
  readonly account: number;
  readonly hash: Hex;
}

type Granted = NonNullable<Awaited<ReturnType<TicketStore["redeem"]>>>;

interface Job {
  readonly call: Grant | DropEarlier;
  readonly resolve: (granted: Granted | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * After an outage everybody comes back at once. So one transaction at a time takes all calls that wait, and its commit does
 * not wait for the disk: whoever loses a ticket by that still has a password.
 */
export class PostgresTickets implements TicketStore {
  readonly #db: PostgresDatabase;
  #queue: Job[] = [];
  #working = false;

  constructor(db: PostgresDatabase) {
    this.#db = db;
  }

  async issue(request: Parameters<TicketStore["issue"]>[0]): ReturnType<TicketStore["issue"]> {
    const { account, passwordHash, fingerprint, next, nowMs } = request;
    const by = { account, passwordHash };
    return (await this.#inGroup({ kind: "grant", by, fingerprint, next, nowMs }))?.lastEnding;
  }

  redeem(request: Parameters<TicketStore["redeem"]>[0]): ReturnType<TicketStore["redeem"]> {
    const { hash, fingerprint, next, nowMs } = request;
    return this.#inGroup({ kind: "grant", by: { hash }, fingerprint, next, nowMs });
  }

  async dropEarlier(account: number, hash: Hex): Promise<void> {
    await this.#inGroup({ kind: "dropEarlier", account, hash });
  }

  async extend(hashes: readonly Hex[], expiresAtMs: number): Promise<void> {
    await this.#db.query("UPDATE tickets SET expires_at = $1 WHERE hash = ANY($2::text[])", [
      expiresAtMs,
      arrayLiteral(hashes),
    ]);
  }

  #inGroup(call: Grant | DropEarlier): Promise<Granted | undefined> {
    return this.#db.accept(
      () =>
        new Promise((resolve, reject) => {
          if (this.#queue.length >= maxWaiting) throw unavailable("too much is waiting for the database");
          this.#queue.push({ call, resolve, reject });
          if (this.#working) return;
          this.#working = true;
          atEndOfTurn(() => void this.#work());
        }),
    );
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue.splice(0, maxGroup);
      try {
        const granted = await this.#db.acceptedTransaction((transaction) =>
          writeGroup(
            transaction,
            group.map(({ call }) => call),
          ),
        );
        for (const { call, resolve } of group) resolve(granted.get(call));
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#working = false;
  }
}

/** @returns the grants that were made */
async function writeGroup(
  transaction: Transaction,
  calls: readonly (Grant | DropEarlier)[],
): Promise<ReadonlyMap<Grant | DropEarlier, Granted>> {
  transaction.query("SELECT set_config('synchronous_commit', 'off', true)");
  const grants = calls.filter((call) => call.kind === "grant");
  const granted = await judge(transaction, grants);
  const made = grants.filter((call) => granted.has(call));
  if (made.length > 0) {
    const accounts = arrayLiteral(made.map((call) => granted.get(call)?.account.id ?? 0));
    transaction.query(
      `INSERT INTO tickets (hash, account, fingerprint, expires_at)
       SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])`,
      [
        arrayLiteral(made.map(({ next }) => next.hash)),
        accounts,
        arrayLiteral(made.map(({ fingerprint }) => fingerprint)),
        arrayLiteral(made.map(({ next }) => next.expiresAtMs)),
      ],
    );
    transaction.query(
      `DELETE FROM tickets t WHERE account = ANY($1::bigint[])
         AND id <= (SELECT o.id FROM tickets o WHERE o.account = t.account ORDER BY o.id DESC LIMIT 1 OFFSET $2)`,
      [accounts, maxTicketsPerAccount],
    );
    transaction.query(
      `UPDATE users u SET last_login_at = n.at
       FROM (SELECT account, max(at) AS at FROM unnest($1::bigint[], $2::bigint[]) AS m (account, at)
             GROUP BY account) n
       WHERE u.id = n.account`,
      [accounts, arrayLiteral(made.map(({ nowMs }) => nowMs))],
    );
  }
  const kept = calls.filter((call) => call.kind === "dropEarlier");
  if (kept.length > 0)
    transaction.query(
      `DELETE FROM tickets t USING unnest($1::bigint[], $2::text[]) AS k (account, hash)
         JOIN tickets o ON o.account = k.account AND o.hash = k.hash
       WHERE t.account = o.account AND t.id < o.id`,
      [arrayLiteral(kept.map(({ account }) => account)), arrayLiteral(kept.map(({ hash }) => hash))],
    );
  return granted;
}

/**
 * Locks the accounts before it looks at what they are and at their tickets: an operator who disables one either sees the new
 * ticket, and deletes it, or was first.
 */
async function judge(
  transaction: Transaction,
  grants: readonly Grant[],
): Promise<ReadonlyMap<Grant | DropEarlier, Granted>> {
  const hashes = arrayLiteral(grants.flatMap(({ by }) => ("hash" in by ? [by.hash] : [])));
  const owners = await transaction.query<{ account: number }>(
    "SELECT account FROM tickets WHERE hash = ANY($1::text[])",
    [hashes],
  );
  const ids = new Set([
    ...owners.map(({ account }) => account),
    ...grants.flatMap(({ by }) => ("account" in by ? [by.account] : [])),
  ]);
  const [rows, ending, tickets] = await Promise.all([
    transaction.query<UserRow>(
      `${selectAccount} WHERE u.id = ANY($1::bigint[]) ORDER BY u.id FOR NO KEY UPDATE OF u`,
      [arrayLiteral([...ids])],
    ),
    // An ending of one of these is numbered when its row is locked: before we had it, or after we have let go of it.
    lastEnding(transaction),
    transaction.query<TicketRow>(
      "SELECT hash, account, fingerprint, expires_at FROM tickets WHERE hash = ANY($1::text[])",
      [hashes],
    ),
  ]);
  const accounts = new Map<number, Account>();
  for (const row of rows) {
    const account = accountOf(row);
    if (account !== undefined && !account.disabled) accounts.set(account.id, account);
  }
  const known = new Map(tickets.map((ticket) => [ticket.hash, ticket]));
  const granted = new Map<Grant | DropEarlier, Granted>();
  for (const grant of grants) {
    const account = holderOf(grant, accounts, known);
    if (account !== undefined) granted.set(grant, { account, lastEnding: ending });
  }
  return granted;
}

function holderOf(
  { by, fingerprint, nowMs }: Grant,
  accounts: ReadonlyMap<number, Account>,
  tickets: ReadonlyMap<string, TicketRow>,
): Account | undefined {
  if ("account" in by) {
    const account = accounts.get(by.account);
    return account?.passwordHash === by.passwordHash ? account : undefined;
  }
  const ticket = tickets.get(by.hash);
  if (ticket === undefined || ticket.fingerprint !== fingerprint || ticket.expires_at <= nowMs)
    return undefined;
  return accounts.get(ticket.account);
}

interface TicketRow {
  readonly hash: string;
  readonly account: number;
  readonly fingerprint: string;
  readonly expires_at: number;
}
