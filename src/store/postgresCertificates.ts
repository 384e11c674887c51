import type { Hex } from "../base/hex.ts";
import type { CertificateRecord } from "./accountStore.ts";
import { arrayLiteral } from "./arrayLiteral.ts";
import { type CertificateRow, certificateOf, encodeChain } from "./certificateRow.ts";
import type { PostgresDatabase, Transaction } from "./postgresDatabase.ts";
import { StoreError } from "./storeError.ts";

const columns = "c.fingerprint, c.person, c.role, c.issuer_serial, c.chain";
const asked =
  "FROM unnest($1::text[]) WITH ORDINALITY AS asked (fingerprint, place) JOIN certificates c USING (fingerprint)";

/** The certificates table; the other tables refer to its row numbers. Nothing in it is ever changed or deleted. */
export class PostgresCertificates {
  readonly #db: PostgresDatabase;

  constructor(db: PostgresDatabase) {
    this.#db = db;
  }

  async byFingerprint(fingerprints: readonly Hex[]): Promise<readonly CertificateRecord[]> {
    const rows = await this.#db.query<CertificateRow>(`SELECT ${columns} ${asked} ORDER BY asked.place`, [
      arrayLiteral(fingerprints),
    ]);
    return rows.map(certificateOf).filter((one) => one !== undefined);
  }

  /** Somebody's certificate is visible from the entry on that put it into a roster: `m` is its membership, `r` one of the
   *  reader's memberships in the same conversation. */
  async visibleTo(person: Hex, fingerprints: readonly Hex[]): Promise<readonly CertificateRecord[]> {
    const rows = await this.#db.query<CertificateRow>(
      `SELECT ${columns} ${asked}
       WHERE c.role = 'server' OR c.person = $2 OR EXISTS (
         SELECT 1 FROM members m JOIN members r ON r.conversation = m.conversation
         WHERE m.certificate = c.id AND r.person = $2
           AND (r.until_size IS NULL OR m.from_index < r.until_size))
       ORDER BY asked.place`,
      [arrayLiteral(fingerprints), person],
    );
    return rows.map(certificateOf).filter((one) => one !== undefined);
  }
}

/** @returns the certificate's row number, or `undefined` when another one has its issuer and serial */
export async function putCertificate(
  transaction: Transaction,
  { fingerprint, person, role, issuerSerial, chain }: CertificateRecord,
  nowMs: number,
): Promise<number | undefined> {
  // Waits for whoever is storing the same one; the next statement then sees theirs.
  const inserted = transaction.query(
    `INSERT INTO certificates (fingerprint, person, role, issuer_serial, chain, first_seen_at)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
    [fingerprint, person, role, issuerSerial, encodeChain(chain), nowMs],
  );
  const [, numbers] = await Promise.all([inserted, certificateNumbers(transaction, [fingerprint])]);
  return numbers.get(fingerprint);
}

/** @returns the row numbers of those that are in the store */
export async function certificateNumbers(
  transaction: Transaction,
  fingerprints: Iterable<Hex>,
): Promise<ReadonlyMap<string, number>> {
  const rows = await transaction.query<{ id: number; fingerprint: string }>(
    "SELECT id, fingerprint FROM certificates WHERE fingerprint = ANY($1::text[])",
    [arrayLiteral([...fingerprints])],
  );
  return new Map(rows.map(({ id, fingerprint }) => [fingerprint, id]));
}

/** @throws {StoreError} `MISUSE` when the certificate is not in the store */
export function requireNumber(numbers: ReadonlyMap<string, number>, fingerprint: Hex): number {
  const number = numbers.get(fingerprint);
  if (number === undefined) throw new StoreError("MISUSE", `certificate ${fingerprint} is not in the store`);
  return number;
}
