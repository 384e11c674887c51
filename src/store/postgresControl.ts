import { type AccountControl, type Ending, maxEndings } from "./accountControl.ts";
import { accountOf } from "./accountRow.ts";
import type { Account } from "./accountStore.ts";
import { selectAccount, type UserRow } from "./postgresAccounts.ts";
import type { PostgresDatabase, Transaction } from "./postgresDatabase.ts";

/** "SCst" and a number: the advisory lock that lets endings become visible in the order of their numbers. */
const endingLock = [0x53437374, 2] as const;

export class PostgresControl implements AccountControl {
  readonly #db: PostgresDatabase;

  constructor(db: PostgresDatabase) {
    this.#db = db;
  }

  async list({ after, limit }: Parameters<AccountControl["list"]>[0]): Promise<readonly Account[]> {
    const rows = await this.#db.query<UserRow>(
      `${selectAccount} WHERE u.id > $1::bigint ORDER BY u.id LIMIT $2`,
      [after, limit],
    );
    return rows.flatMap((row) => accountOf(row) ?? []);
  }

  async add(account: Parameters<AccountControl["add"]>[0]): Promise<"added" | "taken"> {
    const { email, username, passwordHash, oneTimeUntilMs, nowMs } = account;
    const added = await this.#db.query(
      `INSERT INTO users (email, username, pwd_hash, one_time_until, created_at)
       VALUES ($1, $2, $3, $4, to_timestamp($5::bigint / 1000.0)) ON CONFLICT DO NOTHING RETURNING id`,
      [email, username, passwordHash, oneTimeUntilMs, nowMs],
    );
    return added.length === 1 ? "added" : "taken";
  }

  setDisabled(change: Parameters<AccountControl["setDisabled"]>[0]): Promise<void> {
    const { account, disabled, nowMs } = change;
    return this.#db.transaction(async (transaction) => {
      await transaction.query("UPDATE users SET disabled = $1 WHERE id = $2::bigint", [disabled, account]);
      dropTickets(transaction, account);
      if (disabled) end(transaction, { account, reason: "disabled" }, nowMs);
    });
  }

  resetPassword(change: Parameters<AccountControl["resetPassword"]>[0]): Promise<void> {
    const { account, passwordHash, oneTimeUntilMs, allowsNewKey, nowMs } = change;
    return this.#db.transaction(async (transaction) => {
      await transaction.query(
        `UPDATE users SET pwd_hash = $1, salt = NULL, one_time_until = $2, allows_new_key = $3
         WHERE id = $4::bigint`,
        [passwordHash, oneTimeUntilMs, allowsNewKey, account],
      );
      dropTickets(transaction, account);
      end(transaction, { account, reason: "reset" }, nowMs);
    });
  }

  async lastEnding(): Promise<number> {
    // The lock: none is on its way below it.
    return await this.#db.transaction(async (transaction) => {
      transaction.query("SELECT pg_advisory_xact_lock($1, $2)", endingLock);
      return await lastEnding(transaction);
    });
  }

  endings(after: number): Promise<readonly Ending[]> {
    return this.#db.query<Ending>(
      "SELECT id AS number, account, reason FROM session_endings WHERE id > $1::bigint ORDER BY id LIMIT $2",
      [after, maxEndings],
    );
  }
}

/** @returns the last number that was given away: of the sequence and not of the table, whose rows don't stay */
export async function lastEnding(transaction: Transaction): Promise<number> {
  const [row] = await transaction.query<{ last: number }>(
    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last FROM session_endings_id_seq",
  );
  return row?.last ?? 0;
}

/** After the row of the account is locked: a ticket that is being handed out waits, and finds the account as it is then. */
function dropTickets(transaction: Transaction, account: number): void {
  transaction.query("DELETE FROM tickets WHERE account = $1::bigint", [account]);
}

function end(
  transaction: Transaction,
  { account, reason }: Pick<Ending, "account" | "reason">,
  nowMs: number,
): void {
  transaction.query("SELECT pg_advisory_xact_lock($1, $2)", endingLock);
  transaction.query("INSERT INTO session_endings (account, reason, at) VALUES ($1, $2, $3)", [
    account,
    reason,
    nowMs,
  ]);
}
