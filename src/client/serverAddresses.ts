import { ClientError } from "./clientError.ts";
import { isFinal } from "./reconnection.ts";

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** Where the nodes of one server listen. The one that was reached last is tried first. */
export class ServerAddresses {
  readonly #all: readonly ServerAddress[];
  #current: ServerAddress;

  constructor(first: ServerAddress, others: readonly ServerAddress[]) {
    this.#all = [first, ...others];
    this.#current = first;
  }

  /** The one that was reached last, or is tried first. */
  get current(): ServerAddress {
    return this.#current;
  }

  get count(): number {
    return this.#all.length;
  }

  /** The next time the one behind it is tried first. @returns whether there is another one */
  moveOn(): boolean {
    const at = this.#all.indexOf(this.#current);
    this.#current = this.#all[(at + 1) % this.#all.length] ?? this.#current;
    return this.#all.length > 1;
  }

  /** Tries one after the other, once each. @throws what the last one came to, or whatever no other can mend */
  async reach<T>(dial: (address: ServerAddress) => Promise<T>): Promise<T> {
    const at = this.#all.indexOf(this.#current);
    let reason: unknown;
    for (const address of [...this.#all.slice(at), ...this.#all.slice(0, at)]) {
      try {
        const reached = await dial(address);
        this.#current = address;
        return reached;
      } catch (error) {
        if (!(error instanceof ClientError) || isFinal(error)) throw error;
        reason = error;
      }
    }
    throw reason;
  }
}
