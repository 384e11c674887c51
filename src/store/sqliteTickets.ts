import type { Hex } from "../base/hex.ts";
import { accountOf } from "./accountRow.ts";
import { selectAccount, type UserRow } from "./sqliteAccounts.ts";
import { selectLastEnding } from "./sqliteControl.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";
import { maxTicketsPerAccount, type NewTicket, type TicketStore } from "./ticketStore.ts";

export class SqliteTickets implements TicketStore {
  readonly #db: SqliteDatabase;
  readonly #judged;
  readonly #holder;
  readonly #insert;
  readonly #prune;
  readonly #noteLogin;
  readonly #lastEnding;
  readonly #dropEarlier;
  readonly #extend;

  constructor(db: SqliteDatabase) {
    this.#db = db;
    this.#judged = db.prepare<{ id: number }, [number, string]>(
      "SELECT id FROM users WHERE id = ? AND pwd_hash = ? AND disabled = 0",
    );
    this.#holder = db.prepare<UserRow, [string, string, number]>(
      `${selectAccount} JOIN tickets t ON t.account = u.id
       WHERE t.hash = ? AND t.fingerprint = ? AND t.expires_at > ? AND u.disabled = 0`,
    );
    this.#insert = db.prepare<null, [string, number, string, number]>(
      "INSERT INTO tickets (hash, account, fingerprint, expires_at) VALUES (?, ?, ?, ?)",
    );
    this.#prune = db.prepare<null, [number, number, number]>(
      `DELETE FROM tickets WHERE account = ?
         AND id <= (SELECT id FROM tickets WHERE account = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`,
    );
    this.#noteLogin = db.prepare<null, [number, number]>("UPDATE users SET last_login_at = ? WHERE id = ?");
    this.#lastEnding = db.prepare<{ number: number }, []>(selectLastEnding);
    this.#dropEarlier = db.prepare<null, [number, number, string]>(
      `DELETE FROM tickets WHERE account = ?
         AND id < (SELECT id FROM tickets WHERE account = ? AND hash = ?)`,
    );
    this.#extend = db.prepare<null, [number, string]>("UPDATE tickets SET expires_at = ? WHERE hash = ?");
  }

  issue(request: Parameters<TicketStore["issue"]>[0]): ReturnType<TicketStore["issue"]> {
    const { account, passwordHash } = request;
    return this.#db.write(() => {
      if (this.#judged.get(account, passwordHash) === null) return undefined;
      return this.#grant(account, request);
    });
  }

  redeem(request: Parameters<TicketStore["redeem"]>[0]): ReturnType<TicketStore["redeem"]> {
    const { hash, fingerprint, nowMs } = request;
    return this.#db.write(() => {
      const account = accountOf(this.#holder.get(hash, fingerprint, nowMs));
      return account && { account, lastEnding: this.#grant(account.id, request) };
    });
  }

  dropEarlier(account: number, hash: Hex): Promise<void> {
    return this.#db.write(() => void this.#dropEarlier.run(account, account, hash));
  }

  extend(hashes: readonly Hex[], expiresAtMs: number): Promise<void> {
    return this.#db.write(() => {
      for (const hash of hashes) this.#extend.run(expiresAtMs, hash);
    });
  }

  /** @returns the last ending before it */
  #grant(account: number, request: { fingerprint: Hex; next: NewTicket; nowMs: number }): number {
    const { fingerprint, next, nowMs } = request;
    this.#insert.run(next.hash, account, fingerprint, next.expiresAtMs);
    this.#prune.run(account, account, maxTicketsPerAccount);
    this.#noteLogin.run(nowMs, account);
    return this.#lastEnding.get()?.number ?? 0;
  }
}
