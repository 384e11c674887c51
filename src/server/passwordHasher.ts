import { hashPassword, verifyPassword } from "../store/passwordHash.ts";
import { Refusal, tryLater } from "./refusal.ts";

/** What one takes, about. */
const hashingMs = 60;

/**
 * Argon2id off the main thread, a few at a time: each takes 19 MiB and some 60 ms, so a flood of logins must not start
 * them all. Those who wait are served one network after the other, so one that floods delays mostly itself. Passwords are
 * compared in Unicode's normal form C (RFC 8265 §4.2).
 */
export class PasswordHasher {
  readonly #atOnce: number;
  readonly #mayWait: number;
  /** By network. */
  readonly #waiting = new Map<string, Waiting[]>();
  #waitingCount = 0;
  #running = 0;
  #stopped = false;
  #nobody: Promise<string> | undefined;

  constructor(limits: { passwordsAtOnce: number; passwordsWaiting: number }) {
    this.#atOnce = limits.passwordsAtOnce;
    this.#mayWait = limits.passwordsWaiting;
  }

  /** @returns a PHC string @throws {Refusal} `TRY_LATER` when too many wait */
  hash(password: string, network: string): Promise<string> {
    return this.#inTurn(network, () => hashPassword(password.normalize("NFC")));
  }

  /**
   * @param hash PHC string; `undefined` for an account that does not exist, which takes as long and is false
   * @param network whom the work is for, as `networkOf` names it
   * @throws {Refusal} `TRY_LATER` when too many wait; {StoreError} `CORRUPT`
   */
  async verify(password: string, hash: string | undefined, network: string): Promise<boolean> {
    const against = hash ?? (await this.#hashOfNobody());
    const matches = await this.#inTurn(network, () => verifyPassword(password.normalize("NFC"), against));
    return matches && hash !== undefined;
  }

  /** Makes the hash that unknown accounts are compared with. */
  async prepare(): Promise<void> {
    await this.#hashOfNobody();
  }

  /** Refuses with `UNAVAILABLE` who waits, and whoever comes: all of them together would hold up the end of the server. */
  stop(): void {
    this.#stopped = true;
    const lines = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#waitingCount = 0;
    for (const { refuse } of lines.flat()) refuse(stopping());
  }

  #hashOfNobody(): Promise<string> {
    this.#nobody ??= hashPassword("an account that does not exist");
    return this.#nobody;
  }

  async #inTurn<T>(network: string, work: () => Promise<T>): Promise<T> {
    if (this.#stopped) throw stopping();
    if (this.#running >= this.#atOnce) await this.#wait(network);
    else this.#running += 1;
    try {
      return await work();
    } finally {
      // The place goes to the next in line, or back.
      const next = this.#nextInLine();
      if (next === undefined) this.#running -= 1;
      else next.admit();
    }
  }

  #wait(network: string): Promise<void> {
    return new Promise((admit, refuse) => {
      const line = this.#waiting.get(network);
      if (line === undefined) this.#waiting.set(network, [{ admit, refuse }]);
      else line.push({ admit, refuse });
      this.#waitingCount += 1;
      if (this.#waitingCount <= this.#mayWait) return;
      this.#waitingCount -= 1;
      const waitMs = (this.#mayWait / this.#atOnce) * hashingMs;
      this.#longest()?.pop()?.refuse(tryLater("too many logins at the moment", waitMs));
    });
  }

  #nextInLine(): Waiting | undefined {
    for (const [network, line] of this.#waiting) {
      this.#waiting.delete(network);
      const next = line.shift();
      if (line.length > 0) this.#waiting.set(network, line);
      if (next === undefined) continue;
      this.#waitingCount -= 1;
      return next;
    }
    return undefined;
  }

  /** Who has to go when there is no room: the last of whoever takes up most of it. */
  #longest(): Waiting[] | undefined {
    let longest: Waiting[] | undefined;
    for (const line of this.#waiting.values()) if (line.length > (longest?.length ?? 0)) longest = line;
    return longest;
  }
}

function stopping(): Refusal {
  return new Refusal("UNAVAILABLE", "the server is shutting down, log in to the next one");
}

interface Waiting {
  readonly admit: () => void;
  readonly refuse: (refusal: Refusal) => void;
}
