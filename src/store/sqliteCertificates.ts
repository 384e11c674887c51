import type { Hex } from "../base/hex.ts";
import type { CertificateRecord } from "./accountStore.ts";
import { type CertificateRow, certificateOf, encodeChain } from "./certificateRow.ts";
import type { SqliteDatabase } from "./sqliteDatabase.ts";
import { StoreError } from "./storeError.ts";

const columns = "c.fingerprint, c.person, c.role, c.issuer_serial, c.chain";

/** The certificates table; the other tables refer to its row numbers. */
export class SqliteCertificates {
  readonly #insert;
  readonly #number;
  readonly #byFingerprint;
  readonly #visible;

  constructor(db: SqliteDatabase) {
    this.#insert = db.prepare<null, [string, string, string, string, Uint8Array, number]>(
      `INSERT INTO certificates (fingerprint, person, role, issuer_serial, chain, first_seen_at)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    );
    this.#number = db.prepare<{ id: number }, [string]>("SELECT id FROM certificates WHERE fingerprint = ?");
    this.#byFingerprint = db.prepare<CertificateRow, [string]>(
      `SELECT ${columns} FROM certificates c WHERE c.fingerprint = ?`,
    );
    // Somebody's certificate is visible from the entry on that put it into a roster: `m` is its membership, `r` one of
    // the reader's memberships in the same conversation.
    this.#visible = db.prepare<CertificateRow, [string, string, string]>(
      `SELECT ${columns} FROM certificates c WHERE c.fingerprint = ? AND (
         c.role = 'server' OR c.person = ? OR EXISTS (
           SELECT 1 FROM members m JOIN members r ON r.conversation = m.conversation
           WHERE m.certificate = c.id AND r.person = ?
             AND (r.until_size IS NULL OR m.from_index < r.until_size)))`,
    );
  }

  /** @returns its row number, or `undefined` when another certificate has its issuer and serial */
  put(record: CertificateRecord, nowMs: number): number | undefined {
    this.#insert.run(
      record.fingerprint,
      record.person,
      record.role,
      record.issuerSerial,
      encodeChain(record.chain),
      nowMs,
    );
    return this.number(record.fingerprint);
  }

  number(fingerprint: Hex): number | undefined {
    return this.#number.get(fingerprint)?.id;
  }

  /** @throws {StoreError} `MISUSE` when the certificate is not in the store */
  requireNumber(fingerprint: Hex): number {
    const number = this.number(fingerprint);
    if (number === undefined)
      throw new StoreError("MISUSE", `certificate ${fingerprint} is not in the store`);
    return number;
  }

  byFingerprint(fingerprint: Hex): CertificateRecord | undefined {
    return certificateOf(this.#byFingerprint.get(fingerprint));
  }

  visibleTo(person: Hex, fingerprint: Hex): CertificateRecord | undefined {
    return certificateOf(this.#visible.get(fingerprint, person, person));
  }
}
