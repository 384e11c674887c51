import { hashPassword, verifyPassword } from "../store/passwordHash.ts";
import { Refusal } from "./refusal.ts";

/**
 * Argon2id off the main thread, a few at a time: each takes 19 MiB and some 60 ms, so a flood of logins must not start
 * them all. Passwords are compared in Unicode's normal form C (RFC 8265 §4.2).
 */
export class PasswordHasher {
  readonly #atOnce: number;
  readonly #mayWait: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #nobody: Promise<string> | undefined;

  constructor(limits: { passwordsAtOnce: number; passwordsWaiting: number }) {
    this.#atOnce = limits.passwordsAtOnce;
    this.#mayWait = limits.passwordsWaiting;
  }

  /** @returns a PHC string @throws {Refusal} `UNAVAILABLE` when too many wait */
  hash(password: string): Promise<string> {
    return this.#inTurn(() => hashPassword(password.normalize("NFC")));
  }

  /**
   * @param hash PHC string; `undefined` for an account that does not exist, which takes as long and is false
   * @throws {Refusal} `UNAVAILABLE` when too many wait; {StoreError} `CORRUPT`
   */
  async verify(password: string, hash: string | undefined): Promise<boolean> {
    const against = hash ?? (await this.#hashOfNobody());
    const matches = await this.#inTurn(() => verifyPassword(password.normalize("NFC"), against));
    return matches && hash !== undefined;
  }

  /** Makes the hash that unknown accounts are compared with. */
  async prepare(): Promise<void> {
    await this.#hashOfNobody();
  }

  #hashOfNobody(): Promise<string> {
    this.#nobody ??= hashPassword("an account that does not exist");
    return this.#nobody;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#atOnce) {
      if (this.#waiting.length >= this.#mayWait)
        throw new Refusal("UNAVAILABLE", "too many logins at the moment, try again");
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      return await work();
    } finally {
      // The place goes to the next in line, or back.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
