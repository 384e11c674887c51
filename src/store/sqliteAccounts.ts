import type { Hex } from "../base/hex.ts";
import { type AccountRow, accountColumns, accountOf, newAccount } from "./accountRow.ts";
import type { Account, AccountStore, CertificateRecord, Standing } from "./accountStore.ts";
import { type CountedFailures, waitAfter } from "./attemptDelay.ts";
import type { SqliteCertificates } from "./sqliteCertificates.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";
import { StoreError } from "./storeError.ts";
import { emptyUntil, inWholeMs, latestFullAt } from "./tokenBucket.ts";
import { Undo } from "./undo.ts";

export type UserRow = AccountRow<number>;

export const selectAccount = `SELECT ${accountColumns}, u.created_at
  FROM users u LEFT JOIN certificates c ON c.id = u.certificate`;

export class SqliteAccounts implements AccountStore {
  readonly #db: SqliteDatabase;
  readonly #certificates: SqliteCertificates;
  readonly #insert;
  readonly #byEmail;
  readonly #byUsername;
  readonly #bind;
  readonly #dropPackages;
  readonly #dropTickets;
  readonly #exists;
  /** By account. One process has all sessions, and they end with it: their numbers needn't outlive it. */
  readonly #sessions = new Map<number, number>();
  readonly #replacePassword;
  readonly #failures;
  readonly #countFailure;
  readonly #clearFailures;
  readonly #forgiveFailure;
  readonly #bucket;
  readonly #setBucket;

  constructor(db: SqliteDatabase, certificates: SqliteCertificates) {
    this.#db = db;
    this.#certificates = certificates;
    this.#insert = db.prepare<{ id: number }, [string, string, string, number, number]>(
      `INSERT INTO users (email, username, pwd_hash, created_at, certificate) VALUES (?, ?, ?, ?, ?)
       RETURNING id`,
    );
    this.#byEmail = db.prepare<UserRow, [string]>(`${selectAccount} WHERE u.email = ?`);
    this.#byUsername = db.prepare<UserRow, [string]>(`${selectAccount} WHERE u.username = ?`);
    this.#bind = db.prepare<null, [number, number]>("UPDATE users SET certificate = ? WHERE id = ?");
    this.#dropPackages = db.prepare<null, [number, number]>(
      `DELETE FROM key_packages
       WHERE certificate = (SELECT certificate FROM users WHERE id = ?) AND certificate <> ?`,
    );
    this.#dropTickets = db.prepare<null, [number]>("DELETE FROM tickets WHERE account = ?");
    this.#exists = db.prepare<{ id: number }, [number]>("SELECT id FROM users WHERE id = ?");
    this.#replacePassword = db.prepare<null, [string, number, string]>(
      `UPDATE users SET pwd_hash = ?, salt = NULL, one_time_until = NULL, allows_new_key = 0
       WHERE id = ? AND pwd_hash = ?`,
    );
    this.#failures = db.prepare<CountedFailures, [string]>(
      "SELECT failures, last_at FROM login_failures WHERE subject = ?",
    );
    this.#countFailure = db.prepare<null, [string, number]>(
      `INSERT INTO login_failures (subject, failures, last_at) VALUES (?, 1, ?)
       ON CONFLICT DO UPDATE SET failures = failures + 1, last_at = excluded.last_at`,
    );
    this.#clearFailures = db.prepare<null, [string]>("DELETE FROM login_failures WHERE subject = ?");
    this.#forgiveFailure = db.prepare<null, [string]>(
      "UPDATE login_failures SET failures = max(0, failures - 1) WHERE subject = ?",
    );
    this.#bucket = db.prepare<{ full_at: number }, [string]>(
      "SELECT full_at FROM token_buckets WHERE subject = ?",
    );
    this.#setBucket = db.prepare<null, [string, number]>(
      `INSERT INTO token_buckets (subject, full_at) VALUES (?, ?)
       ON CONFLICT DO UPDATE SET full_at = excluded.full_at`,
    );
  }

  create(account: Parameters<AccountStore["create"]>[0]): ReturnType<AccountStore["create"]> {
    const { email, username, passwordHash, certificate, nowMs } = account;
    return this.#db.write(() => {
      if (this.#byEmail.get(email) !== null || this.#byUsername.get(username) !== null)
        return { kind: "taken" };
      const number = this.#certificates.put(certificate, nowMs);
      if (number === undefined) return { kind: "certificate_conflict" };
      const id = this.#insert.get(email, username, passwordHash, nowMs, number)?.id;
      if (id === undefined) throw new StoreError("MISUSE", "the new account has no row number");
      return {
        kind: "created",
        account: newAccount({ id, email, username, passwordHash, certificate, createdAtMs: nowMs }),
      };
    });
  }

  byEmail(email: string): Promise<Account | undefined> {
    return this.#db.read(() => accountOf(this.#byEmail.get(email)));
  }

  byUsername(username: string): Promise<Account | undefined> {
    return this.#db.read(() => accountOf(this.#byUsername.get(username)));
  }

  bindCertificate(
    change: Parameters<AccountStore["bindCertificate"]>[0],
  ): ReturnType<AccountStore["bindCertificate"]> {
    return this.#db.write(() => this.#bindNow(change));
  }

  #bindNow(
    change: Parameters<AccountStore["bindCertificate"]>[0],
  ): Awaited<ReturnType<AccountStore["bindCertificate"]>> {
    const number = this.#certificates.put(change.certificate, change.nowMs);
    if (number === undefined) return "certificate_conflict";
    this.#dropPackages.run(change.account, number);
    this.#dropTickets.run(change.account);
    this.#bind.run(number, change.account);
    return "bound";
  }

  beginSession(account: number): Promise<number> {
    return this.#db.read(() => {
      if (this.#exists.get(account) === null)
        throw new StoreError("MISUSE", `there is no account ${account}`);
      const number = (this.#sessions.get(account) ?? 0) + 1;
      this.#sessions.set(account, number);
      return number;
    });
  }

  standings(accounts: readonly number[]): Promise<readonly Standing[]> {
    return this.#db.read(() =>
      accounts.flatMap((account) =>
        this.#exists.get(account) === null ? [] : [{ account, session: this.#sessions.get(account) ?? 0 }],
      ),
    );
  }

  replacePassword(
    change: Parameters<AccountStore["replacePassword"]>[0],
  ): ReturnType<AccountStore["replacePassword"]> {
    const { account, earlier, passwordHash, bind } = change;
    return this.#db.write(() => {
      if (this.#replacePassword.run(passwordHash, account, earlier).changes !== 1) return "outdated";
      this.#dropTickets.run(account);
      if (bind !== undefined && this.#bindNow({ account, ...bind }) !== "bound")
        throw new Undo("certificate_conflict");
      return "replaced";
    });
  }

  putCertificate(certificate: CertificateRecord, nowMs: number): Promise<"stored" | "certificate_conflict"> {
    return this.#db.write(() =>
      this.#certificates.put(certificate, nowMs) === undefined ? "certificate_conflict" : "stored",
    );
  }

  certificates(fingerprints: readonly Hex[]): Promise<readonly CertificateRecord[]> {
    return this.#db.read(() =>
      fingerprints.map((one) => this.#certificates.byFingerprint(one)).filter((one) => one !== undefined),
    );
  }

  certificatesVisibleTo(person: Hex, fingerprints: readonly Hex[]): Promise<readonly CertificateRecord[]> {
    return this.#db.read(() =>
      fingerprints.map((one) => this.#certificates.visibleTo(person, one)).filter((one) => one !== undefined),
    );
  }

  reserveAttempt(attempt: Parameters<AccountStore["reserveAttempt"]>[0]): Promise<number> {
    const { counted, consulted, nowMs } = attempt;
    return this.#db.write(() => {
      let waitMs = 0;
      for (const counter of [...counted, ...consulted]) {
        const row = this.#failures.get(counter.subject);
        if (row !== null) waitMs = Math.max(waitMs, waitAfter(counter, row, nowMs));
      }
      if (waitMs > 0) return waitMs;
      for (const { subject } of counted) this.#countFailure.run(subject, nowMs);
      return 0;
    });
  }

  settleAttempt(outcome: Parameters<AccountStore["settleAttempt"]>[0]): Promise<void> {
    return this.#db.write(() => {
      for (const subject of outcome.clear) this.#clearFailures.run(subject);
      for (const subject of outcome.forgive) this.#forgiveFailure.run(subject);
      for (const subject of outcome.count) this.#countFailure.run(subject, outcome.nowMs);
    });
  }

  takeToken(asked: Parameters<AccountStore["takeToken"]>[0]): Promise<number> {
    const bucket = inWholeMs(asked);
    const { subject, refillMs, nowMs } = bucket;
    const emptyUntilMs = emptyUntil(bucket);
    return this.#db.write(() => {
      const kept = this.#bucket.get(subject)?.full_at ?? 0;
      if (kept > latestFullAt(bucket)) {
        this.#setBucket.run(subject, emptyUntilMs);
        return refillMs;
      }
      const fullAt = Math.max(nowMs, kept) + refillMs;
      const waitMs = fullAt - emptyUntilMs;
      if (waitMs > 0) return waitMs;
      this.#setBucket.run(subject, fullAt);
      return 0;
    });
  }
}
