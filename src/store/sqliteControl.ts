import { type AccountControl, type Ending, maxEndings } from "./accountControl.ts";
import { accountOf } from "./accountRow.ts";
import type { Account } from "./accountStore.ts";
import { selectAccount, type UserRow } from "./sqliteAccounts.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";

/** Of the sequence and not of the table, whose rows don't stay. */
export const selectLastEnding = "SELECT seq AS number FROM sqlite_sequence WHERE name = 'session_endings'";

export class SqliteControl implements AccountControl {
  readonly #db: SqliteDatabase;
  readonly #list;
  readonly #named;
  readonly #add;
  readonly #setDisabled;
  readonly #reset;
  readonly #dropTickets;
  readonly #end;
  readonly #lastEnding;
  readonly #endings;

  constructor(db: SqliteDatabase) {
    this.#db = db;
    this.#list = db.prepare<UserRow, [number, number]>(
      `${selectAccount} WHERE u.id > ? ORDER BY u.id LIMIT ?`,
    );
    this.#named = db.prepare<{ id: number }, [string, string]>(
      "SELECT id FROM users WHERE email = ? OR username = ?",
    );
    this.#add = db.prepare<null, [string, string, string, number, number]>(
      "INSERT INTO users (email, username, pwd_hash, one_time_until, created_at) VALUES (?, ?, ?, ?, ?)",
    );
    this.#setDisabled = db.prepare<null, [number, number]>("UPDATE users SET disabled = ? WHERE id = ?");
    this.#reset = db.prepare<null, [string, number, number, number]>(
      "UPDATE users SET pwd_hash = ?, salt = NULL, one_time_until = ?, allows_new_key = ? WHERE id = ?",
    );
    this.#dropTickets = db.prepare<null, [number]>("DELETE FROM tickets WHERE account = ?");
    this.#end = db.prepare<null, [number, string, number]>(
      "INSERT INTO session_endings (account, reason, at) VALUES (?, ?, ?)",
    );
    this.#lastEnding = db.prepare<{ number: number }, []>(selectLastEnding);
    this.#endings = db.prepare<Ending, [number, number]>(
      "SELECT id AS number, account, reason FROM session_endings WHERE id > ? ORDER BY id LIMIT ?",
    );
  }

  list({ after, limit }: Parameters<AccountControl["list"]>[0]): Promise<readonly Account[]> {
    return this.#db.read(() => this.#list.all(after, limit).flatMap((row) => accountOf(row) ?? []));
  }

  add(account: Parameters<AccountControl["add"]>[0]): Promise<"added" | "taken"> {
    const { email, username, passwordHash, oneTimeUntilMs, nowMs } = account;
    return this.#db.write(() => {
      if (this.#named.get(email, username) !== null) return "taken";
      this.#add.run(email, username, passwordHash, oneTimeUntilMs, nowMs);
      return "added";
    });
  }

  setDisabled(change: Parameters<AccountControl["setDisabled"]>[0]): Promise<void> {
    const { account, disabled, nowMs } = change;
    return this.#db.write(() => {
      this.#setDisabled.run(disabled ? 1 : 0, account);
      this.#dropTickets.run(account);
      if (disabled) this.#end.run(account, "disabled", nowMs);
    });
  }

  resetPassword(change: Parameters<AccountControl["resetPassword"]>[0]): Promise<void> {
    const { account, passwordHash, oneTimeUntilMs, allowsNewKey, nowMs } = change;
    return this.#db.write(() => {
      this.#reset.run(passwordHash, oneTimeUntilMs, allowsNewKey ? 1 : 0, account);
      this.#dropTickets.run(account);
      this.#end.run(account, "reset", nowMs);
    });
  }

  lastEnding(): Promise<number> {
    return this.#db.read(() => this.#lastEnding.get()?.number ?? 0);
  }

  endings(after: number): Promise<readonly Ending[]> {
    return this.#db.read(() => this.#endings.all(after, maxEndings));
  }
}
