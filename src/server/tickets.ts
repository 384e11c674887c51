import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";
import type { Account } from "../store/accountStore.ts";
import type { NewTicket } from "../store/ticketStore.ts";
import { ticketBytes } from "../wire/loginMessages.ts";
import type { Services } from "./services.ts";

/** A ticket on its way to its client; the store knows its hash alone. */
export interface Ticket {
  readonly bytes: Uint8Array;
  readonly hash: Hex;
  /** The last ending before it was handed out: later ones of its account are about the session that it comes with. */
  readonly lastEnding: number;
}

type TicketServices = Pick<Services, "store" | "limits" | "now"> & {
  readonly random: (length: number) => Uint8Array;
};

/**
 * With a ticket whoever holds a certificate's key comes back without the password. After an outage all clients do at once,
 * and a hash of 60 ms for each would take minutes.
 */
export class Tickets {
  readonly #services: TicketServices;

  constructor(services: TicketServices) {
    this.#services = services;
  }

  /** After a login that was judged by the account as it is given.
   *  @returns `undefined` when the account has another password by now, or is disabled */
  async issue({ id, passwordHash }: Account, fingerprint: Hex): Promise<Ticket | undefined> {
    const { store, now } = this.#services;
    const { bytes, next } = this.#make();
    const request = { account: id, passwordHash, fingerprint, next, nowMs: now() };
    const lastEnding = await store.tickets.issue(request);
    return lastEnding === undefined ? undefined : { bytes, hash: next.hash, lastEnding };
  }

  /** @returns whose ticket this is, and the next one; `undefined` when it is not good for this certificate */
  async redeem(
    earlier: Uint8Array,
    fingerprint: Hex,
  ): Promise<{ account: Account; ticket: Ticket } | undefined> {
    const { store, now } = this.#services;
    const { bytes, next } = this.#make();
    const request = { hash: hashOf(earlier), fingerprint, next, nowMs: now() };
    const redeemed = await store.tickets.redeem(request);
    if (redeemed === undefined) return undefined;
    const { account, lastEnding } = redeemed;
    return { account, ticket: { bytes, hash: next.hash, lastEnding } };
  }

  /** The client of a session has shown that it has this ticket. */
  async arrived(account: number, hash: Hex): Promise<void> {
    await this.#services.store.tickets.dropEarlier(account, hash);
  }

  /** The life of a ticket counts from the end of the session that it was handed out in. */
  async extend(hashes: readonly Hex[]): Promise<void> {
    if (hashes.length > 0) await this.#services.store.tickets.extend(hashes, this.#expiresAtMs());
  }

  #make(): { bytes: Uint8Array; next: NewTicket } {
    const bytes = this.#services.random(ticketBytes);
    return { bytes, next: { hash: hashOf(bytes), expiresAtMs: this.#expiresAtMs() } };
  }

  #expiresAtMs(): number {
    return this.#services.now() + this.#services.limits.ticketMs;
  }
}

function hashOf(ticket: Uint8Array): Hex {
  return encodeHex(sha256(ticket));
}
