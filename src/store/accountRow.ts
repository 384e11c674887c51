import type { Account } from "./accountStore.ts";
import { type CertificateRow, certificateOf } from "./certificateRow.ts";

/** A row of `users` with the certificate that the account is bound to, the same in every backend but for truth values. */
export type AccountRow<Bool extends boolean | number> = {
  readonly id: number;
  readonly email: string;
  readonly username: string;
  readonly salt: Uint8Array | null;
  readonly pwd_hash: string;
  /** ms since the epoch. */
  readonly created_at: number;
  readonly disabled: Bool;
} & { readonly [K in keyof CertificateRow]: CertificateRow[K] | null };

export function accountOf(row: AccountRow<boolean | number> | null | undefined): Account | undefined {
  if (row === null || row === undefined) return undefined;
  const { fingerprint, person, role, issuer_serial, chain } = row;
  const bound =
    fingerprint !== null && person !== null && role !== null && issuer_serial !== null && chain !== null;
  return {
    id: row.id,
    email: row.email,
    username: row.username,
    passwordHash: row.pwd_hash,
    legacySalt: row.salt ?? undefined,
    createdAtMs: row.created_at,
    disabled: row.disabled !== false && row.disabled !== 0,
    certificate: bound ? certificateOf({ fingerprint, person, role, issuer_serial, chain }) : undefined,
  };
}
