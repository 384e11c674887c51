import { concatBytes, decodeUint32, encodeUint32 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import type { CertificateRecord } from "./accountStore.ts";
import { hexColumn, type SqliteDatabase } from "./sqliteDatabase.ts";
import { StoreError } from "./storeError.ts";

export interface CertificateRow {
  readonly fingerprint: string;
  readonly person: string;
  readonly role: string;
  readonly issuer_serial: string;
  readonly chain: Uint8Array;
}

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

export function certificateOf(row: CertificateRow | null): CertificateRecord | undefined {
  if (row === null) return undefined;
  return {
    fingerprint: hexColumn(row.fingerprint, 32),
    person: hexColumn(row.person, 32),
    role: row.role === "server" ? "server" : "user",
    issuerSerial: row.issuer_serial,
    chain: decodeChain(row.chain),
  };
}

/** `uint32 length || DER` for each certificate. */
function encodeChain(chain: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...chain.flatMap((der) => [encodeUint32(der.length), der]));
}

function decodeChain(bytes: Uint8Array): Uint8Array[] {
  const chain: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const begin = offset + 4;
    const end = begin <= bytes.length ? begin + decodeUint32(bytes, offset) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw new StoreError("CORRUPT", "a certificate chain in the store is cut off");
    chain.push(bytes.subarray(begin, end));
    offset = end;
  }
  return chain;
}
