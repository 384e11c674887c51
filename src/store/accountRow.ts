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
  readonly last_login_at: number | null;
  readonly disabled: Bool;
  readonly one_time_until: number | null;
  readonly allows_new_key: Bool;
} & { readonly [K in keyof CertificateRow]: CertificateRow[K] | null };

/** Columns of `users` and of the certificate `c` that a row is read from, but for the time of its making. */
export const accountColumns = `u.id, u.email, u.username, u.salt, u.pwd_hash, u.last_login_at, u.disabled, u.one_time_until,
    u.allows_new_key, c.fingerprint, c.person, c.role, c.issuer_serial, c.chain`;

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
    lastLoginAtMs: row.last_login_at ?? undefined,
    disabled: isTrue(row.disabled),
    oneTimeUntilMs: row.one_time_until ?? undefined,
    allowsNewKey: isTrue(row.allows_new_key),
    certificate: bound ? certificateOf({ fingerprint, person, role, issuer_serial, chain }) : undefined,
  };
}

function isTrue(value: boolean | number): boolean {
  return value !== false && value !== 0;
}

/** @returns an account as it is right after its registration */
export function newAccount(
  registered: Pick<Account, "id" | "email" | "username" | "passwordHash" | "certificate" | "createdAtMs">,
): Account {
  return {
    ...registered,
    legacySalt: undefined,
    lastLoginAtMs: undefined,
    disabled: false,
    oneTimeUntilMs: undefined,
    allowsNewKey: false,
  };
}
