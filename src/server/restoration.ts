import type { Hex } from "../base/hex.ts";
import { ChannelError } from "../channel/channelError.ts";
import type { RosterRow } from "../log/roster.ts";
import type { Restoration as Stage } from "../store/restorationStore.ts";
import type { Store } from "../store/store.ts";
import type { CertificateBook } from "./certificateBook.ts";
import { Refusal } from "./refusal.ts";
import type { ServerLog } from "./serverLog.ts";
import type { Member, Session, SessionRegistry } from "./sessionRegistry.ts";

interface RestorationServices {
  readonly store: Store;
  readonly certificates: CertificateBook;
  readonly sessions: SessionRegistry;
  readonly now: () => number;
  readonly log: ServerLog;
}

/**
 * A store that was put back to an older state lacks entries that its server has signed for. Until the device of every
 * certificate in a roster was heard, its log takes no posts: what they would come to stand behind may not be the end,
 * and a second root for one size is a fork. Reading goes on.
 */
export class Restoration {
  readonly #services: RestorationServices;
  #stage: Stage | undefined;

  constructor(services: RestorationServices) {
    this.#services = services;
  }

  /** Whether posts are held back, as far as this process has seen. */
  get isWaiting(): boolean {
    return this.#stage?.stage === "waiting";
  }

  /** To be called at the start: a copy that is served from begins to wait. */
  async open(): Promise<void> {
    await this.#read();
    if (this.#stage?.stage === "copied") await this.#begin("The store is a copy of an earlier state");
    else if (this.isWaiting) this.#announce("The store was put back to an earlier state");
  }

  /** The store has fewer entries than it had while this process was looking. */
  async lost(conversation: Hex): Promise<void> {
    await this.#read();
    if (!this.isWaiting) await this.#begin(`The store has lost entries of conversation ${conversation}`);
  }

  /** Somebody has shown a signature of this server over more than its store has, made at `signedAtMs`. */
  async shown(signedAtMs: number, by: Session): Promise<void> {
    await this.#read();
    // What was signed before an earlier wait began may have been lost then.
    if (this.isWaiting || (this.#stage !== undefined && signedAtMs < this.#stage.atMs)) return;
    await this.#begin(`${by.member.tag} has shown that the store lacks what this server has signed for`, by);
  }

  /** A client has handed back all that it holds. */
  async heard({ fingerprint }: Member): Promise<void> {
    await this.#read();
    if (this.isWaiting) await this.#services.store.restoration.hear(fingerprint);
  }

  /**
   * @param roster whose devices may know of entries that the log lacks
   * @returns why nothing can come to stand yet: one of them was not heard that still could be
   */
  async hindrance(roster: readonly RosterRow[]): Promise<Refusal | undefined> {
    if (!this.isWaiting) return undefined;
    await this.#read();
    if (!this.isWaiting) return undefined;
    const { store, certificates, now } = this.#services;
    const unheard = await store.restoration.unheard(roster.map(({ fingerprint }) => fingerprint));
    await certificates.load(unheard);
    const awaited = roster.filter(
      ({ fingerprint }) => unheard.includes(fingerprint) && certificates.isGood(fingerprint, now()),
    );
    if (awaited.length === 0) return undefined;
    const names = [...new Set(awaited.map(({ username }) => username))].join(", ");
    return new Refusal(
      "RESTORING",
      `this server was restored from a backup and waits until every device of this conversation has connected; missing: ${names}`,
    );
  }

  /** Other processes, and the operator's command, work on the same store. */
  async #read(): Promise<void> {
    this.#stage = await this.#services.store.restoration.current();
  }

  /** @param except whose request this is about: it goes on */
  async #begin(reason: string, except?: Session): Promise<void> {
    const { store, sessions, now } = this.#services;
    await store.restoration.begin(now());
    await this.#read();
    this.#announce(reason);
    // When they log in again they hand back what they hold.
    for (const session of [...sessions.all()])
      if (session !== except)
        session.end(new ChannelError("SHUTTING_DOWN", "the store was put back to an earlier state"));
  }

  #announce(reason: string): void {
    this.#services.log(
      "WARNING",
      `${reason}: clients hand back what it lacks; a conversation takes new entries once all its devices have logged in, or after "securechat serve restored end"`,
    );
  }
}
