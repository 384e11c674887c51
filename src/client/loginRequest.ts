import type { Hex } from "../base/hex.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import { signRenewal } from "../log/renewal.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { RefusalCode } from "../wire/sessionMessages.ts";
import { ClientError } from "./clientError.ts";
import type { EntryRequest } from "./connection.ts";

/** The certificate that an account is bound to, and its key. */
export interface OldCredential {
  readonly certificate: Certificate;
  readonly key: PrivateKey;
}

export interface Login {
  readonly email: string;
  readonly password: string;
  /** Takes the place of `password` from then on. */
  readonly newPassword?: string;
  /** The own certificate takes the place of this one, of the same person and over another key. */
  readonly from?: OldCredential;
}

/** @param fingerprint of the own certificate */
export function loginRequest({ email, password, newPassword, from }: Login, fingerprint: Hex): EntryRequest {
  if (newPassword !== undefined)
    return { type: "change_password", email, password, new_password: newPassword };
  if (from === undefined) return { type: "login", email, password };
  const signature = signRenewal({ from: from.certificate.fingerprint, to: fingerprint }, from.key);
  return { type: "renew", email, password, signature };
}

const doubtful: readonly (RefusalCode | undefined)[] = ["UNAVAILABLE", "AUTHENTICATION_FAILED"];

/**
 * Whether a change of the password that was refused so, or one before it of which no answer came, may stand: the server's store
 * can take what it says to have failed. Then the new password is in force and the old one a wrong one.
 */
export function mayHaveChanged(error: unknown): boolean {
  return error instanceof ClientError && doubtful.includes(error.refusal);
}
