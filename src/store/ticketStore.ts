import type { Hex } from "../base/hex.ts";
import type { Account } from "./accountStore.ts";

/** A ticket as the store knows it: never itself, always its SHA-256. */
export interface NewTicket {
  readonly hash: Hex;
  readonly expiresAtMs: number;
}

/** Older tickets of an account than so many are deleted. */
export const maxTicketsPerAccount = 8;

/**
 * Tickets that let the holder of a certificate's key come back without the password. A ticket is of one account and one
 * certificate. It is seen by everybody when the promise resolves, but a crash of the database may take what was written in
 * the last moments with it, tickets and times of logins alone: that costs somebody a login with the password.
 */
export interface TicketStore {
  /** Hands out a ticket after a login, which it notes in the account.
   *  @returns the number of the last ending: later ones of this account are about this login; `undefined` when the
   *  account is disabled by now or has another password hash than the login was judged by, and nothing was handed out */
  issue(request: {
    readonly account: number;
    readonly passwordHash: string;
    readonly fingerprint: Hex;
    readonly next: NewTicket;
    readonly nowMs: number;
  }): Promise<number | undefined>;

  /** Hands out another ticket for one that is valid, and notes the login. The old one stays until it is known that the new
   *  one has arrived, or it expires.
   *  @returns the account and the last ending, as `issue`; `undefined` when there is no such ticket of this certificate, or
   *  the account is disabled */
  redeem(request: {
    readonly hash: Hex;
    readonly fingerprint: Hex;
    readonly next: NewTicket;
    readonly nowMs: number;
  }): Promise<{ readonly account: Account; readonly lastEnding: number } | undefined>;

  /** Deletes the account's tickets that were handed out before this one, which its client has shown to have. A later one
   *  belongs to a login that is under way. */
  dropEarlier(account: number, hash: Hex): Promise<void>;

  /** Lets those that are there live until then. */
  extend(hashes: readonly Hex[], expiresAtMs: number): Promise<void>;
}
