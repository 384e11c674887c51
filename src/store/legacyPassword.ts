import { concatBytes, encodeUtf8 } from "../base/bytes.ts";
import { encodeHex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";

/**
 * The original SecureChat kept SHA-256(salt || password in UTF-8), which a stolen table gives away quickly. Accounts that
 * were taken over have Argon2id over the hex of that, until their owners log in.
 *
 * @returns the text that such an account's `passwordHash` is over: 64 lower-case hex digits
 */
export function legacyPassword(salt: Uint8Array, password: string): string {
  return encodeHex(sha256(concatBytes(salt, encodeUtf8(password))));
}
