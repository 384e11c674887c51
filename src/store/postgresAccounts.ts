import type { Hex } from "../base/hex.ts";
import { type AccountRow, accountColumns, accountOf, newAccount } from "./accountRow.ts";
import type { Account, AccountStore, CertificateRecord, Standing } from "./accountStore.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
import { type CountedFailures, waitAfter } from "./attemptDelay.ts";
import { type PostgresCertificates, putCertificate } from "./postgresCertificates.ts";
import { changeChannel, type PostgresChanges } from "./postgresChanges.ts";
import type { PostgresDatabase, Transaction } from "./postgresDatabase.ts";
import { unavailable } from "./postgresError.ts";
import { StoreError } from "./storeError.ts";
import { emptyUntil, inWholeMs, latestFullAt } from "./tokenBucket.ts";
import { Undo } from "./undo.ts";

export type UserRow = AccountRow<boolean>;
type Created = Awaited<ReturnType<AccountStore["create"]>>;

export const selectAccount = `SELECT ${accountColumns},
    (extract(epoch FROM u.created_at) * 1000)::bigint AS created_at
  FROM users u LEFT JOIN certificates c ON c.id = u.certificate`;

export class PostgresAccounts implements AccountStore {
  readonly #db: PostgresDatabase;
  readonly #certificates: PostgresCertificates;
  readonly #changes: PostgresChanges;

  constructor(db: PostgresDatabase, certificates: PostgresCertificates, changes: PostgresChanges) {
    this.#db = db;
    this.#certificates = certificates;
    this.#changes = changes;
  }

  create(account: Parameters<AccountStore["create"]>[0]): Promise<Created> {
    const { email, username, passwordHash, certificate, nowMs } = account;
    return this.#db.transaction<Created>(async (transaction) => {
      const earlier = transaction.query("SELECT 1 FROM users WHERE email = $1 OR username = $2 LIMIT 1", [
        email,
        username,
      ]);
      if ((await earlier).length > 0) return { kind: "taken" };
      const number = await putCertificate(transaction, certificate, nowMs);
      if (number === undefined) return { kind: "certificate_conflict" };
      const [row] = await transaction.query<{ id: number }>(
        `INSERT INTO users (email, username, pwd_hash, created_at, certificate)
         VALUES ($1, $2, $3, to_timestamp($4::bigint / 1000.0), $5) ON CONFLICT DO NOTHING RETURNING id`,
        [email, username, passwordHash, nowMs, number],
      );
      // Somebody was faster. Without the account there is no certificate either.
      if (row === undefined) throw new Undo({ kind: "taken" } satisfies Created);
      return {
        kind: "created",
        account: newAccount({ id: row.id, email, username, passwordHash, certificate, createdAtMs: nowMs }),
      };
    });
  }

  async byEmail(email: string): Promise<Account | undefined> {
    return accountOf((await this.#db.query<UserRow>(`${selectAccount} WHERE u.email = $1`, [email]))[0]);
  }

  async byUsername(username: string): Promise<Account | undefined> {
    return accountOf(
      (await this.#db.query<UserRow>(`${selectAccount} WHERE u.username = $1`, [username]))[0],
    );
  }

  bindCertificate(
    change: Parameters<AccountStore["bindCertificate"]>[0],
  ): ReturnType<AccountStore["bindCertificate"]> {
    const { account, certificate, nowMs } = change;
    return this.#db.transaction(async (transaction) => {
      const number = await putCertificate(transaction, certificate, nowMs);
      if (number === undefined) return "certificate_conflict";
      await bindTo(transaction, account, number);
      return "bound";
    });
  }

  async beginSession(account: number): Promise<number> {
    const [begun] = await this.#db.query<{ sessions: number }>(
      `WITH begun AS (UPDATE users SET sessions = sessions + 1 WHERE id = $1::bigint RETURNING sessions)
       SELECT sessions, pg_notify($2, $3) FROM begun`,
      [account, changeChannel, this.#changes.payload({ kind: "account", account })],
    );
    if (begun === undefined) throw new StoreError("MISUSE", `there is no account ${account}`);
    return begun.sessions;
  }

  async standings(accounts: readonly number[]): Promise<readonly Standing[]> {
    const rows = await this.#db.query<{ id: number; sessions: number }>(
      "SELECT id, sessions FROM users WHERE id = ANY($1::bigint[])",
      [arrayLiteral(accounts)],
    );
    return rows.map(({ id, sessions }) => ({ account: id, session: sessions }));
  }

  replacePassword(
    change: Parameters<AccountStore["replacePassword"]>[0],
  ): ReturnType<AccountStore["replacePassword"]> {
    const { account, earlier, passwordHash, bind } = change;
    return this.#db.transaction<"replaced" | "outdated" | "certificate_conflict">(async (transaction) => {
      // First the certificate, as everywhere: two of these can't wait for each other.
      const number = bind && (await putCertificate(transaction, bind.certificate, bind.nowMs));
      if (bind !== undefined && number === undefined) return "certificate_conflict";
      const changed = await transaction.query(
        `UPDATE users SET pwd_hash = $1, salt = NULL, one_time_until = NULL, allows_new_key = false
         WHERE id = $2::bigint AND pwd_hash = $3 RETURNING id`,
        [passwordHash, account, earlier],
      );
      if (changed.length !== 1) throw new Undo("outdated");
      if (number === undefined)
        transaction.query("DELETE FROM tickets WHERE account = $1::bigint", [account]);
      else await bindTo(transaction, account, number);
      return "replaced";
    });
  }

  putCertificate(certificate: CertificateRecord, nowMs: number): Promise<"stored" | "certificate_conflict"> {
    return this.#db.transaction(async (transaction) =>
      (await putCertificate(transaction, certificate, nowMs)) === undefined
        ? "certificate_conflict"
        : "stored",
    );
  }

  certificates(fingerprints: readonly Hex[]): Promise<readonly CertificateRecord[]> {
    return this.#certificates.byFingerprint(fingerprints);
  }

  certificatesVisibleTo(person: Hex, fingerprints: readonly Hex[]): Promise<readonly CertificateRecord[]> {
    return this.#certificates.visibleTo(person, fingerprints);
  }

  reserveAttempt(attempt: Parameters<AccountStore["reserveAttempt"]>[0]): Promise<number> {
    const { counted, consulted, nowMs } = attempt;
    const subjects = arrayLiteral(counted.map(({ subject }) => subject));
    return this.#db.transaction<number>(async (transaction) => {
      // A row for each, so that there is something to lock; in order, so that two attempts can't wait for each other.
      const [fresh, rows] = await Promise.all([
        transaction.query<{ subject: string }>(
          `INSERT INTO login_failures (subject, failures, last_at)
           SELECT DISTINCT subject, 0, $2::bigint FROM unnest($1::text[]) AS s (subject) ORDER BY subject
           ON CONFLICT DO NOTHING RETURNING subject`,
          [subjects, nowMs],
        ),
        transaction.query<FailureRow>(
          `SELECT subject, failures, last_at FROM login_failures WHERE subject = ANY($1::text[])
           ORDER BY subject FOR UPDATE`,
          [subjects],
        ),
      ]);
      const others = await transaction.query<FailureRow>(
        "SELECT subject, failures, last_at FROM login_failures WHERE subject = ANY($1::text[])",
        [arrayLiteral(consulted.map(({ subject }) => subject))],
      );
      const known = new Map([...others, ...rows].map((row) => [row.subject, row]));
      for (const { subject } of fresh) known.delete(subject);
      let waitMs = 0;
      for (const counter of [...counted, ...consulted]) {
        const row = known.get(counter.subject);
        if (row !== undefined) waitMs = Math.max(waitMs, waitAfter(counter, row, nowMs));
      }
      if (waitMs > 0) throw new Undo(waitMs);
      await countFailures(
        transaction,
        counted.map(({ subject }) => subject),
        nowMs,
      );
      return 0;
    });
  }

  settleAttempt(outcome: Parameters<AccountStore["settleAttempt"]>[0]): Promise<void> {
    const { clear, forgive, count, nowMs } = outcome;
    return this.#db.transaction(async (transaction) => {
      if (clear.length > 0)
        await transaction.query("DELETE FROM login_failures WHERE subject = ANY($1::text[])", [
          arrayLiteral(clear),
        ]);
      if (forgive.length > 0)
        await transaction.query(
          `UPDATE login_failures f SET failures = greatest(0, f.failures - s.times)
           FROM (SELECT subject, count(*) AS times FROM unnest($1::text[]) AS u (subject) GROUP BY subject) s
           WHERE f.subject = s.subject`,
          [arrayLiteral(forgive)],
        );
      if (count.length > 0) await countFailures(transaction, count, nowMs);
    });
  }

  async takeToken(asked: Parameters<AccountStore["takeToken"]>[0]): Promise<number> {
    const bucket = inWholeMs(asked);
    const { subject, refillMs, nowMs } = bucket;
    const emptyUntilMs = emptyUntil(bucket);
    for (let attempt = 0; attempt < 3; attempt++) {
      const taken = await this.#db.query(
        `INSERT INTO token_buckets AS b (subject, full_at) VALUES ($1, $2::bigint + $3)
         ON CONFLICT (subject) DO UPDATE SET full_at = greatest(b.full_at, $2) + $3
           WHERE greatest(b.full_at, $2) + $3 <= $4
         RETURNING subject`,
        [subject, nowMs, refillMs, emptyUntilMs],
      );
      if (taken.length === 1) return 0;
      const [row] = await this.#db.query<{ full_at: number }>(
        "SELECT full_at FROM token_buckets WHERE subject = $1",
        [subject],
      );
      const kept = row?.full_at ?? 0;
      if (kept > latestFullAt(bucket)) {
        await this.#db.query("UPDATE token_buckets SET full_at = $2 WHERE subject = $1 AND full_at = $3", [
          subject,
          emptyUntilMs,
          kept,
        ]);
        return refillMs;
      }
      const waitMs = Math.max(nowMs, kept) + refillMs - emptyUntilMs;
      if (waitMs > 0) return waitMs;
      // It was emptied or swept in between.
    }
    throw unavailable("too many ask for tokens of this kind");
  }
}

/** @param number of a certificate that is in the store */
async function bindTo(transaction: Transaction, account: number, number: number): Promise<void> {
  const [user] = await transaction.query<{ certificate: number | null }>(
    "SELECT certificate FROM users WHERE id = $1::bigint FOR NO KEY UPDATE",
    [account],
  );
  transaction.query("DELETE FROM key_packages WHERE certificate = $1 AND certificate <> $2", [
    user?.certificate ?? null,
    number,
  ]);
  transaction.query("DELETE FROM tickets WHERE account = $1::bigint", [account]);
  transaction.query("UPDATE users SET certificate = $1 WHERE id = $2::bigint", [number, account]);
}

interface FailureRow extends CountedFailures {
  readonly subject: string;
}

async function countFailures(
  transaction: Transaction,
  subjects: readonly string[],
  nowMs: number,
): Promise<void> {
  await transaction.query(
    `INSERT INTO login_failures AS f (subject, failures, last_at)
     SELECT subject, count(*), $2::bigint FROM unnest($1::text[]) AS u (subject) GROUP BY subject ORDER BY subject
     ON CONFLICT (subject) DO UPDATE SET failures = f.failures + excluded.failures, last_at = excluded.last_at`,
    [arrayLiteral(subjects), nowMs],
  );
}
