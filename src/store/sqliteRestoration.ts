import type { Hex } from "../base/hex.ts";
import type { Restoration, RestorationStore, Wait } from "./restorationStore.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";

export class SqliteRestoration implements RestorationStore {
  readonly #db: SqliteDatabase;
  readonly #current;
  readonly #put;
  readonly #forget;
  readonly #unclaim;
  readonly #claim;
  readonly #claimed;
  readonly #dropPackages;
  readonly #handOut;
  readonly #hear;
  readonly #heard;
  readonly #end;

  constructor(db: SqliteDatabase) {
    this.#db = db;
    this.#current = db.prepare<{ stage: Restoration["stage"]; at: number }, []>(
      "SELECT stage, at FROM restoration",
    );
    this.#put = db.prepare<{ id: number }, [string, number, string | null, number | null]>(
      `INSERT INTO restoration (id, stage, at) VALUES (1, ?, ?)
       ON CONFLICT DO UPDATE SET stage = excluded.stage, at = excluded.at
       WHERE restoration.stage = ? AND restoration.at = ? RETURNING id`,
    );
    this.#unclaim = db.prepare<null, []>("DELETE FROM restoration_claims");
    this.#claim = db.prepare<null, [string]>(
      "INSERT INTO restoration_claims (conversation) VALUES (?) ON CONFLICT DO NOTHING",
    );
    this.#claimed = db.prepare<{ one: number }, [string]>(
      "SELECT 1 AS one FROM restoration_claims WHERE conversation = ?",
    );
    this.#forget = db.prepare<null, []>("DELETE FROM restoration_heard");
    this.#dropPackages = db.prepare<null, []>("DELETE FROM key_packages WHERE last_resort = 0");
    this.#handOut = db.prepare<null, []>("UPDATE key_packages SET handed_out = 1");
    this.#hear = db.prepare<null, [string]>(
      "INSERT INTO restoration_heard (fingerprint) VALUES (?) ON CONFLICT DO NOTHING",
    );
    this.#heard = db.prepare<{ one: number }, [string]>(
      "SELECT 1 AS one FROM restoration_heard WHERE fingerprint = ?",
    );
    this.#end = db.prepare<null, []>("UPDATE restoration SET stage = 'over'");
  }

  current(): Promise<Restoration | undefined> {
    return this.#db.read(() => {
      const row = this.#current.get();
      return row === null ? undefined : { stage: row.stage, atMs: row.at };
    });
  }

  begin({ atMs, after, claim }: Wait): Promise<boolean> {
    return this.#db.write(() => {
      const stage = claim === undefined ? "waiting" : "claimed";
      if (this.#put.get(stage, atMs, after?.stage ?? null, after?.atMs ?? null) === null) return false;
      this.#forget.run();
      if (claim === undefined || after?.stage !== "claimed") this.#unclaim.run();
      if (claim !== undefined) this.#claim.run(claim);
      this.#dropPackages.run();
      this.#handOut.run();
      return true;
    });
  }

  claim(conversation: Hex): Promise<void> {
    return this.#db.write(() => void this.#claim.run(conversation));
  }

  isClaimed(conversation: Hex): Promise<boolean> {
    return this.#db.read(() => this.#claimed.get(conversation) !== null);
  }

  hear(fingerprint: Hex): Promise<void> {
    return this.#db.write(() => void this.#hear.run(fingerprint));
  }

  unheard(fingerprints: readonly Hex[]): Promise<readonly Hex[]> {
    return this.#db.read(() => fingerprints.filter((one) => this.#heard.get(one) === null));
  }

  end(): Promise<void> {
    return this.#db.write(() => void this.#end.run());
  }
}
