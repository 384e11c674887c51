import type { Hex } from "../base/hex.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
import type { KeyPackageCount, KeyPackageStore } from "./keyPackageStore.ts";
import type { PostgresDatabase } from "./postgresDatabase.ts";
import { StoreError } from "./storeError.ts";
import { Undo } from "./undo.ts";

const countColumns = `count(*) FILTER (WHERE NOT k.last_resort) AS one_time,
  count(*) FILTER (WHERE k.last_resort AND NOT k.handed_out) AS last_resort`;

interface CountRow {
  readonly one_time: number;
  readonly last_resort: number;
}

export class PostgresKeyPackages implements KeyPackageStore {
  readonly #db: PostgresDatabase;

  constructor(db: PostgresDatabase) {
    this.#db = db;
  }

  publish(packages: Parameters<KeyPackageStore["publish"]>[0]): ReturnType<KeyPackageStore["publish"]> {
    const { fingerprint, device, oneTime, lastResort, maxOneTime, nowMs } = packages;
    return this.#db.transaction<KeyPackageCount | "too_many">(async (transaction) => {
      // Two publications for one certificate come one after the other: each counts what the other has left.
      const [certificate] = await transaction.query<{ id: number }>(
        "SELECT id FROM certificates WHERE fingerprint = $1 FOR NO KEY UPDATE",
        [fingerprint],
      );
      if (certificate === undefined)
        throw new StoreError("MISUSE", `certificate ${fingerprint} is not in the store`);
      const { id } = certificate;
      transaction.query("DELETE FROM key_packages WHERE certificate = $1 AND device <> $2", [id, device]);
      if (lastResort !== undefined)
        transaction.query(
          "DELETE FROM key_packages WHERE certificate = $1 AND last_resort AND digest <> $2",
          [id, lastResort.digest],
        );
      const all = [
        ...oneTime.map((one) => ({ ...one, isLast: false })),
        ...(lastResort === undefined ? [] : [{ ...lastResort, isLast: true }]),
      ];
      transaction.query(
        `INSERT INTO key_packages (certificate, device, digest, last_resort, package, expires_at)
         SELECT $1, $2, digest, last_resort, package, expires_at
         FROM unnest($3::text[], $4::boolean[], $5::bytea[], $6::bigint[])
           WITH ORDINALITY AS p (digest, last_resort, package, expires_at, place)
         ORDER BY place ON CONFLICT DO NOTHING`,
        [
          id,
          device,
          arrayLiteral(all.map(({ digest }) => digest)),
          arrayLiteral(all.map(({ isLast }) => isLast)),
          arrayLiteral(all.map((one) => one.package)),
          arrayLiteral(all.map(({ expiresAtMs }) => expiresAtMs)),
        ],
      );
      const count = countOf(
        await transaction.query<CountRow>(
          `SELECT ${countColumns} FROM key_packages k WHERE k.certificate = $1 AND k.expires_at > $2`,
          [id, nowMs],
        ),
      );
      if (count.oneTime > maxOneTime) throw new Undo("too_many");
      return count;
    });
  }

  async count(fingerprint: Hex, nowMs: number): Promise<KeyPackageCount> {
    return countOf(
      await this.#db.query<CountRow>(
        `SELECT ${countColumns} FROM key_packages k JOIN certificates c ON c.id = k.certificate
         WHERE c.fingerprint = $1 AND k.expires_at > $2`,
        [fingerprint, nowMs],
      ),
    );
  }

  async take(fingerprint: Hex, nowMs: number): ReturnType<KeyPackageStore["take"]> {
    // Whoever takes one at the same time skips the row that is locked here and takes the next.
    const [oneTime] = await this.#db.query<{ package: Uint8Array }>(
      `DELETE FROM key_packages WHERE id = (
         SELECT k.id FROM key_packages k JOIN certificates c ON c.id = k.certificate
         WHERE c.fingerprint = $1 AND NOT k.last_resort AND k.expires_at > $2
         ORDER BY k.id LIMIT 1 FOR UPDATE OF k SKIP LOCKED)
       RETURNING package`,
      [fingerprint, nowMs],
    );
    if (oneTime !== undefined) return { package: oneTime.package, lastResort: false };
    const [lastResort] = await this.#db.query<{ package: Uint8Array }>(
      `UPDATE key_packages k SET handed_out = true FROM certificates c
       WHERE c.id = k.certificate AND c.fingerprint = $1 AND k.last_resort AND k.expires_at > $2
       RETURNING k.package`,
      [fingerprint, nowMs],
    );
    return lastResort === undefined ? undefined : { package: lastResort.package, lastResort: true };
  }

  async canTake(fingerprint: Hex, nowMs: number): Promise<boolean> {
    const usable = await this.#db.query<{ one: number }>(
      `SELECT 1 AS one FROM key_packages k JOIN certificates c ON c.id = k.certificate
       WHERE c.fingerprint = $1 AND k.expires_at > $2 LIMIT 1`,
      [fingerprint, nowMs],
    );
    return usable.length > 0;
  }
}

function countOf([row]: readonly CountRow[]): KeyPackageCount {
  return { oneTime: row?.one_time ?? 0, lastResort: (row?.last_resort ?? 0) > 0 };
}
