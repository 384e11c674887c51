import { ChannelError } from "../channel/channelError.ts";
import { type Ending, maxEndings } from "../store/accountControl.ts";
import { BoundedCache } from "./boundedCache.ts";
import { describeError } from "./describeError.ts";
import type { Services } from "./services.ts";
import type { Session } from "./sessionRegistry.ts";

/** How often it is looked for endings: the most that a session outlives its account by, but for a slow store. */
const lookEveryMs = 1_000;
/** Accounts whose last ending is remembered for logins that were under way. */
const maxRemembered = 8_192;

/**
 * Ends the sessions of accounts that the operator has disabled or reset, with a command of another process. The store is
 * asked, since not every store can call.
 */
export class EndingWatch {
  readonly #services: Services;
  readonly #recent = new BoundedCache<number, Ending>(maxRemembered);
  #position: number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking: Promise<void> | undefined;
  #isFailing = false;
  #wasPutBack = false;

  private constructor(services: Services, position: number) {
    this.#services = services;
    this.#position = position;
  }

  /** @returns a watch that, once it is started, sees all endings from now on */
  static async create(services: Services): Promise<EndingWatch> {
    return new EndingWatch(services, await services.store.control.lastEnding());
  }

  /** For a session that is about to begin. @throws {ChannelError} when its account was ended since it logged in */
  requireNone({ member, ticket }: Session): void {
    if (member.account === undefined || ticket === undefined) return;
    const ending = this.#recent.find(member.account);
    if (ending !== undefined && ending.number > ticket.lastEnding) throw errorOf(ending);
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
    }, lookEveryMs);
  }

  /** The store was put back, perhaps under this process: endings may be counted anew. */
  putBack(): void {
    this.#wasPutBack = true;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { store, log } = this.#services;
    if (this.#wasPutBack) {
      // From the first one on: what came before a session began is none of its business.
      this.#wasPutBack = false;
      this.#position = 0;
      this.#recent.clear();
    }
    try {
      for (let more = true; more; ) {
        const endings = await store.control.endings(this.#position);
        for (const ending of endings) this.#end(ending);
        more = endings.length === maxEndings;
      }
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing)
        log("WARNING", `Can't see which accounts were disabled or reset: ${describeError(error)}`);
      this.#isFailing = true;
    }
  }

  #end(ending: Ending): void {
    const { sessions, log } = this.#services;
    this.#position = ending.number;
    this.#recent.keep(ending.account, ending);
    const session = sessions.ofAccount(ending.account);
    if (session?.ticket === undefined || session.ticket.lastEnding >= ending.number) return;
    log("INFO", `${session.member.tag} Session ended: account ${ending.reason}`);
    session.end(errorOf(ending));
  }
}

function errorOf({ reason }: Ending): ChannelError {
  return reason === "disabled"
    ? new ChannelError("ACCOUNT_DISABLED", "this account is disabled")
    : new ChannelError("PASSWORD_RESET", "the password of this account was reset");
}
