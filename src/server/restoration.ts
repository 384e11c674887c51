import type { Hex } from "../base/hex.ts";
import { ChannelError } from "../channel/channelError.ts";
import type { RosterRow } from "../log/roster.ts";
import type { Restoration as Stage } from "../store/restorationStore.ts";
import type { Store } from "../store/store.ts";
import type { CertificateBook } from "./certificateBook.ts";
import { describeError } from "./describeError.ts";
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

/** Why a wait begins. */
interface Cause {
  readonly reason: string;
  /** Whose request has shown it: its session goes on. */
  readonly except?: Session;
  /** The log that it has shown to be too short: those that nobody shows so don't wait. */
  readonly claim?: Hex;
  /** When it has signed what was shown: by its clock then, which may have been ahead of that of now. */
  readonly signedAtMs?: number;
}

/**
 * A store that was put back to an older state lacks entries that its server has signed for. Until the device of every
 * certificate in a roster was heard, its log takes no posts: what they would come to stand behind may not be the end,
 * and a second root for one size is a fork. Reading goes on.
 *
 * Where a client alone says so, the logs wait that it, and others after it, show to be too short: a store that was begun
 * anew under the same name lacks old conversations, too, and whoever has one must not hold up all others.
 */
export class Restoration {
  readonly #services: RestorationServices;
  readonly #onBegin: (allWait: boolean) => void;
  #stage: Stage | undefined;
  /** How often something else has changed the stage, and how much of that `#stage` was read behind. */
  #changes = 0;
  #read = 0;
  /** Looks that were begun, and the last of them that `#stage` is from: their answers may come in another order. */
  #looks = 0;
  #lastLook = 0;
  /** What this process is beginning a wait for. */
  #cause: Cause | undefined;

  /** @param onBegin called when a wait begins, for all logs or for some: they may be shorter than they were */
  constructor(services: RestorationServices, onBegin: (allWait: boolean) => void) {
    this.#services = services;
    this.#onBegin = onBegin;
  }

  /** Whether posts to some log are held back, as far as this process has seen. */
  get #isHolding(): boolean {
    return this.#stage?.stage === "waiting" || this.#stage?.stage === "claimed";
  }

  /** To be called at the start: a copy that is served from begins to wait. */
  async open(): Promise<void> {
    await this.#look();
    if (this.#stage?.stage === "copied")
      await this.#begin({ reason: "The store is a copy of an earlier state" });
  }

  /** The store has fewer entries than it had while this process was looking. */
  async lost(conversation: Hex): Promise<void> {
    await this.#look();
    // Another process may begin one in between in which this log does not wait.
    while (this.#stage?.stage !== "waiting")
      await this.#begin({ reason: `The store has lost entries of conversation ${conversation}` });
  }

  /** Another process may have begun a wait. Until that is known nothing is stored here without asking. */
  changed(): void {
    this.#changes += 1;
    this.#look().catch((error: unknown) => {
      this.#services.log("WARNING", `Not known whether the store was put back: ${describeError(error)}`);
    });
  }

  /** Somebody has shown a signature of this server over more of the log than its store has, made at `signedAtMs`. */
  async shown(conversation: Hex, signedAtMs: number, by: Session): Promise<void> {
    await this.#look();
    const last = this.#stage;
    // What was signed before an earlier wait began may have been lost then: each loss can be shown once.
    if (last === undefined || signedAtMs >= last.atMs) {
      const reason = `${by.member.tag} has shown that the store lacks what this server has signed for`;
      await this.#begin({
        reason,
        except: by,
        signedAtMs,
        ...(last?.stage === "waiting" ? {} : { claim: conversation }),
      });
    }
    if (this.#stage?.stage === "claimed") await this.#services.store.restoration.claim(conversation);
  }

  /** A client has handed back all that it holds. */
  async heard({ fingerprint }: Member): Promise<void> {
    await this.#look();
    if (this.#isHolding) await this.#services.store.restoration.hear(fingerprint);
  }

  /**
   * @param roster whose devices may know of entries that the log lacks
   * @returns why nothing can come to stand yet: one of them was not heard that still could be
   */
  async hindrance(conversation: Hex, roster: readonly RosterRow[]): Promise<Refusal | undefined> {
    if (!this.#isHolding && this.#read === this.#changes) return undefined;
    await this.#look();
    if (!this.#isHolding) return undefined;
    const { store, certificates, now } = this.#services;
    if (this.#stage?.stage === "claimed" && !(await store.restoration.isClaimed(conversation)))
      return undefined;
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
  async #look(): Promise<void> {
    const changes = this.#changes;
    this.#looks += 1;
    const look = this.#looks;
    const stage = await this.#services.store.restoration.current();
    if (look < this.#lastLook) return;
    this.#lastLook = look;
    this.#read = changes;
    const isNew = stage?.stage !== this.#stage?.stage || stage?.atMs !== this.#stage?.atMs;
    this.#stage = stage;
    if (isNew && this.#isHolding) this.#wait();
  }

  async #begin(cause: Cause): Promise<void> {
    const { store, now } = this.#services;
    this.#cause = cause;
    const { claim, signedAtMs = 0 } = cause;
    const atMs = Math.max(now(), signedAtMs + 1);
    const wait = { atMs, after: this.#stage, ...(claim === undefined ? {} : { claim }) };
    try {
      // Where another process was faster, its wait is this one's, too.
      await store.restoration.begin(wait);
    } catch (error) {
      // It may have begun all the same.
      this.#changes += 1;
      throw error;
    }
    await this.#look();
    // What a wait of somebody else's is about is not this one's to say.
    if (this.#cause === cause) this.#cause = undefined;
  }

  /** A wait has begun, here or in another process. */
  #wait(): void {
    const { reason, except } = this.#cause ?? { reason: "The store was put back to an earlier state" };
    this.#cause = undefined;
    this.#announce(reason);
    this.#onBegin(this.#stage?.stage === "waiting");
    // When they log in again they hand back what they hold.
    for (const session of [...this.#services.sessions.all()])
      if (session !== except)
        session.end(new ChannelError("SHUTTING_DOWN", "the store was put back to an earlier state"));
  }

  #announce(reason: string): void {
    this.#services.log(
      "WARNING",
      `${reason}: clients hand back what it lacks; ${this.#stage?.stage === "claimed" ? "conversations that were too short take" : "a conversation takes"} new entries once all devices of theirs have logged in, or after "securechat serve restored end"`,
    );
  }
}
