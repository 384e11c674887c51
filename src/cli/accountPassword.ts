import type { Arguments } from "./commandLine.ts";
import { hasSecret, readSecret } from "./secrets.ts";

const current = { flag: "password-file", variable: "SECURECHAT_PASSWORD", prompt: "Password" } as const;
const next = {
  ...{ flag: "new-password-file", variable: "SECURECHAT_NEW_PASSWORD", prompt: "New password" },
  confirm: true,
} as const;

/** Where the password of the own account comes from. It is read when it is needed and not kept. */
export class AccountPassword {
  readonly #args: Arguments;
  #place: typeof current | typeof next = current;

  constructor(args: Arguments) {
    this.#args = args;
  }

  read(): Promise<string> {
    return readSecret({ args: this.#args, ...current });
  }

  /** The one that is to take its place. */
  readNew(): Promise<string> {
    return readSecret({ args: this.#args, ...next });
  }

  /** It has taken its place. */
  replaced(): void {
    this.#place = next;
  }

  /** @returns the password once more; `undefined` when somebody would have to be asked */
  again(): Promise<string> | undefined {
    const source = { args: this.#args, ...this.#place };
    return hasSecret(source) ? readSecret(source) : undefined;
  }
}
