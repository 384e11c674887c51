import { type Hex, isHex } from "../base/hex.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
import { changeChannel, type PostgresChanges } from "./postgresChanges.ts";
import type { PostgresDatabase, Transaction } from "./postgresDatabase.ts";
import type { Restoration, RestorationStore, Wait } from "./restorationStore.ts";

export class PostgresRestoration implements RestorationStore {
  readonly #db: PostgresDatabase;
  readonly #changes: PostgresChanges;

  constructor(db: PostgresDatabase, changes: PostgresChanges) {
    this.#db = db;
    this.#changes = changes;
  }

  async current(): Promise<Restoration | undefined> {
    const [row] = await this.#db.query<{ stage: Restoration["stage"]; at: number }>(
      "SELECT stage, at FROM restoration",
    );
    return row === undefined ? undefined : { stage: row.stage, atMs: row.at };
  }

  begin({ atMs, after, claim }: Wait): Promise<boolean> {
    return this.#db.transaction(async (transaction) => {
      const begun = await transaction.query(
        `INSERT INTO restoration (id, stage, at) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET stage = excluded.stage, at = excluded.at
         WHERE restoration.stage = $3 AND restoration.at = $4 RETURNING id`,
        [claim === undefined ? "waiting" : "claimed", atMs, after?.stage ?? null, after?.atMs ?? null],
      );
      if (begun.length === 0) return false;
      transaction.query("DELETE FROM restoration_heard");
      if (claim === undefined || after?.stage !== "claimed")
        transaction.query("DELETE FROM restoration_claims");
      if (claim !== undefined)
        transaction.query(
          "INSERT INTO restoration_claims (conversation) VALUES ($1) ON CONFLICT DO NOTHING",
          [claim],
        );
      transaction.query("DELETE FROM key_packages WHERE NOT last_resort");
      transaction.query("UPDATE key_packages SET handed_out = TRUE");
      transaction.query("SELECT pg_notify($1, $2)", [
        changeChannel,
        this.#changes.payload({ kind: "restoring" }),
      ]);
      return true;
    });
  }

  async claim(conversation: Hex): Promise<void> {
    await this.#db.query("INSERT INTO restoration_claims (conversation) VALUES ($1) ON CONFLICT DO NOTHING", [
      conversation,
    ]);
  }

  async isClaimed(conversation: Hex): Promise<boolean> {
    const rows = await this.#db.query("SELECT 1 AS one FROM restoration_claims WHERE conversation = $1", [
      conversation,
    ]);
    return rows.length > 0;
  }

  async hear(fingerprint: Hex): Promise<void> {
    await this.#db.query("INSERT INTO restoration_heard (fingerprint) VALUES ($1) ON CONFLICT DO NOTHING", [
      fingerprint,
    ]);
  }

  async unheard(fingerprints: readonly Hex[]): Promise<readonly Hex[]> {
    const rows = await this.#db.query<{ fingerprint: string }>(
      `SELECT fingerprint FROM unnest($1::text[]) AS asked (fingerprint)
       WHERE NOT EXISTS (SELECT 1 FROM restoration_heard h WHERE h.fingerprint = asked.fingerprint)`,
      [arrayLiteral(fingerprints)],
    );
    return rows.map(({ fingerprint }) => fingerprint).filter((one) => isHex(one, 32));
  }

  async end(): Promise<void> {
    await this.#db.query("UPDATE restoration SET stage = 'over'");
  }
}

/**
 * Finds out whether the tables have come here from elsewhere, as by `pg_dump` and `pg_restore`: the cluster's identifier and the
 * numbers of database and table are then others than when the tables were made. A copy of the cluster's files keeps them all.
 *
 * @returns whether the store has become a copy just now
 */
export async function markCopy(transaction: Transaction, nowMs: number): Promise<boolean> {
  const [may] = await transaction.query<{ execute: boolean }>(
    "SELECT has_function_privilege('pg_control_system()', 'execute') AS execute",
  );
  const cluster = may?.execute === true ? "(SELECT system_identifier::text FROM pg_control_system())" : "'-'";
  const [here] = await transaction.query<{ place: string }>(
    `SELECT ${cluster} || ' ' || oid::text || ' ' || 'conversations'::regclass::oid::text AS place
     FROM pg_database WHERE datname = current_database()`,
  );
  const [known] = await transaction.query<{ place: string }>("SELECT place FROM store_place FOR UPDATE");
  if (here === undefined || known?.place === here.place) return false;
  await transaction.query(
    "INSERT INTO store_place (id, place) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET place = excluded.place",
    [here.place],
  );
  if (known === undefined) return false;
  await transaction.query(
    `INSERT INTO restoration (id, stage, at) VALUES (1, 'copied', $1)
     ON CONFLICT (id) DO UPDATE SET stage = excluded.stage, at = excluded.at`,
    [nowMs],
  );
  return true;
}
