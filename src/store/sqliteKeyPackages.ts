import type { Hex } from "../base/hex.ts";
import type { KeyPackageCount, KeyPackageStore } from "./keyPackageStore.ts";
import type { SqliteCertificates } from "./sqliteCertificates.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";
import { Undo } from "./undo.ts";

export class SqliteKeyPackages implements KeyPackageStore {
  readonly #db: SqliteDatabase;
  readonly #certificates: SqliteCertificates;
  readonly #insert;
  readonly #deleteOtherDevices;
  readonly #deleteLastResort;
  readonly #count;
  readonly #takeOneTime;
  readonly #takeLastResort;
  readonly #usable;

  constructor(db: SqliteDatabase, certificates: SqliteCertificates) {
    this.#db = db;
    this.#certificates = certificates;
    this.#insert = db.prepare<null, [number, string, string, number, Uint8Array, number]>(
      `INSERT INTO key_packages (certificate, device, digest, last_resort, package, expires_at)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    this.#deleteOtherDevices = db.prepare<null, [number, string]>(
      "DELETE FROM key_packages WHERE certificate = ? AND device <> ?",
    );
    this.#deleteLastResort = db.prepare<null, [number, string]>(
      "DELETE FROM key_packages WHERE certificate = ? AND last_resort = 1 AND digest <> ?",
    );
    this.#count = db.prepare<{ one_time: number; last_resort: number }, [number, number]>(
      `SELECT coalesce(sum(last_resort = 0), 0) AS one_time,
              coalesce(sum(last_resort = 1 AND handed_out = 0), 0) AS last_resort
       FROM key_packages WHERE certificate = ? AND expires_at > ?`,
    );
    this.#takeOneTime = db.prepare<{ package: Uint8Array }, [number, number]>(
      `DELETE FROM key_packages WHERE id = (
         SELECT id FROM key_packages WHERE certificate = ? AND last_resort = 0 AND expires_at > ?
         ORDER BY id LIMIT 1)
       RETURNING package`,
    );
    this.#takeLastResort = db.prepare<{ package: Uint8Array }, [number, number]>(
      `UPDATE key_packages SET handed_out = 1 WHERE certificate = ? AND last_resort = 1 AND expires_at > ?
       RETURNING package`,
    );
    this.#usable = db.prepare<{ one: number }, [string, number]>(
      `SELECT 1 AS one FROM key_packages k JOIN certificates c ON c.id = k.certificate
       WHERE c.fingerprint = ? AND k.expires_at > ? LIMIT 1`,
    );
  }

  publish(packages: Parameters<KeyPackageStore["publish"]>[0]): ReturnType<KeyPackageStore["publish"]> {
    const { fingerprint, device, oneTime, lastResort, maxOneTime, nowMs } = packages;
    return this.#db.write<KeyPackageCount | "too_many">(() => {
      const certificate = this.#certificates.requireNumber(fingerprint);
      this.#deleteOtherDevices.run(certificate, device);
      for (const one of oneTime)
        this.#insert.run(certificate, device, one.digest, 0, one.package, one.expiresAtMs);
      if (lastResort !== undefined) {
        this.#deleteLastResort.run(certificate, lastResort.digest);
        this.#insert.run(
          certificate,
          device,
          lastResort.digest,
          1,
          lastResort.package,
          lastResort.expiresAtMs,
        );
      }
      const count = this.#countOf(certificate, nowMs);
      if (count.oneTime > maxOneTime) throw new Undo("too_many");
      return count;
    });
  }

  count(fingerprint: Hex, nowMs: number): Promise<KeyPackageCount> {
    return this.#db.read(() => {
      const certificate = this.#certificates.number(fingerprint);
      return certificate === undefined
        ? { oneTime: 0, lastResort: false }
        : this.#countOf(certificate, nowMs);
    });
  }

  take(fingerprint: Hex, nowMs: number): ReturnType<KeyPackageStore["take"]> {
    return this.#db.write(() => {
      const certificate = this.#certificates.number(fingerprint);
      if (certificate === undefined) return undefined;
      const oneTime = this.#takeOneTime.get(certificate, nowMs);
      if (oneTime !== null) return { package: oneTime.package, lastResort: false };
      const lastResort = this.#takeLastResort.get(certificate, nowMs);
      return lastResort === null ? undefined : { package: lastResort.package, lastResort: true };
    });
  }

  canTake(fingerprint: Hex, nowMs: number): Promise<boolean> {
    return this.#db.read(() => this.#usable.get(fingerprint, nowMs) !== null);
  }

  #countOf(certificate: number, nowMs: number): KeyPackageCount {
    const row = this.#count.get(certificate, nowMs);
    return { oneTime: row?.one_time ?? 0, lastResort: (row?.last_resort ?? 0) > 0 };
  }
}
