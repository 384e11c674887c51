import type { ClientError } from "./clientError.ts";

/** Those who wait until nothing is left to do. */
export class IdleWaiters {
  #waiting: { resolve: () => void; reject: (error: ClientError) => void }[] = [];

  wait(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** @param error why it will not come to that; `undefined` when it has */
  settle(error: ClientError | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { resolve, reject } of waiting)
      if (error === undefined) resolve();
      else reject(error);
  }
}
