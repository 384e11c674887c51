import { describeError } from "./describeError.ts";
import type { Services } from "./services.ts";
import { replaced } from "./sessionRegistry.ts";

/** After the store has failed it is asked again so much later. */
const retryMs = 1_000;
const maxAccountsPerQuery = 1_000;

type WatchServices = Pick<Services, "store" | "sessions" | "log">;

/**
 * Ends sessions whose account has begun a newer one on another server. Whatever may have changed is looked up: which of two
 * sessions is newer is for the store to say.
 */
export class AccountWatch {
  readonly #services: WatchServices;
  /** Accounts whose session is about to be known here, and how many of them. */
  readonly #entering = new Map<number, number>();
  readonly #due = new Set<number>();
  #checking = false;

  constructor(services: WatchServices) {
    this.#services = services;
  }

  /** A session begins here. @returns its number @throws {StoreError} */
  async begin(account: number): Promise<number> {
    this.#entering.set(account, (this.#entering.get(account) ?? 0) + 1);
    try {
      return await this.#services.store.accounts.beginSession(account);
    } finally {
      const others = (this.#entering.get(account) ?? 1) - 1;
      if (others === 0) this.#entering.delete(account);
      else this.#entering.set(account, others);
    }
  }

  changed(account: number): void {
    if (this.#services.sessions.ofAccount(account) === undefined && !this.#entering.has(account)) return;
    this.#due.add(account);
    this.#schedule(0);
  }

  /** Changes may have been missed. */
  checkAll(): void {
    for (const { member } of this.#services.sessions.all())
      if (member.account !== undefined) this.#due.add(member.account);
    for (const account of this.#entering.keys()) this.#due.add(account);
    this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    if (this.#checking || this.#due.size === 0) return;
    this.#checking = true;
    setTimeout(() => void this.#check(), delayMs);
  }

  async #check(): Promise<void> {
    const { store, sessions, log } = this.#services;
    const accounts = [...this.#due].slice(0, maxAccountsPerQuery);
    for (const account of accounts) this.#due.delete(account);
    let delayMs = 0;
    try {
      for (const { account, session: number } of await store.accounts.standings(accounts)) {
        const session = sessions.ofAccount(account);
        if (session !== undefined && session.number < number) session.end(replaced());
        // Its session may be an older one and is not known here yet.
        if (this.#entering.has(account)) this.#due.add(account);
      }
    } catch (error) {
      log("WARNING", `Accounts could not be looked at: ${describeError(error)}`);
      delayMs = retryMs;
      // Who has gone since needs no look.
      for (const account of accounts)
        if (sessions.ofAccount(account) !== undefined || this.#entering.has(account)) this.#due.add(account);
    }
    this.#checking = false;
    this.#schedule(delayMs);
  }
}
