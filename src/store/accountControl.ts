import type { Account } from "./accountStore.ts";

/** Sessions of an account that began before it are to end, wherever they are. */
export interface Ending {
  /** Counts up; whoever has seen a number has seen all before it. */
  readonly number: number;
  readonly account: number;
  readonly reason: "disabled" | "reset";
}

/** Most endings that are told at once. */
export const maxEndings = 1_000;

/**
 * What the operator does to accounts, also beside running servers. Every change deletes the account's tickets in the same
 * transaction, and what ends sessions is told by `endings` as soon as it is durable.
 */
export interface AccountControl {
  /** @returns accounts in the order of their ids, from the first one after `after` on */
  list(request: { readonly after: number; readonly limit: number }): Promise<readonly Account[]>;

  /** Makes an account with a one-time password that binds itself to its owner's certificate at the first login.
   *  `taken`: email or username belong to an account. */
  add(account: {
    readonly email: string;
    readonly username: string;
    readonly passwordHash: string;
    readonly oneTimeUntilMs: number;
    readonly nowMs: number;
  }): Promise<"added" | "taken">;

  setDisabled(change: {
    readonly account: number;
    readonly disabled: boolean;
    readonly nowMs: number;
  }): Promise<void>;

  /** A one-time password takes the place of the password at once. */
  resetPassword(change: {
    readonly account: number;
    readonly passwordHash: string;
    readonly oneTimeUntilMs: number;
    readonly allowsNewKey: boolean;
    readonly nowMs: number;
  }): Promise<void>;

  /** @returns the number of the last ending, 0 when there was none */
  lastEnding(): Promise<number>;

  /** @returns the first `maxEndings` after that number, in their order */
  endings(after: number): Promise<readonly Ending[]>;
}
