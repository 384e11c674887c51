import { isLoginType } from "../wire/loginMessages.ts";
import { ClientError } from "./clientError.ts";

/** Longest that a server can tell a client to stay away. */
const longestAskedDelayMs = 15 * 60_000;
/** Longest that somebody who waits for an answer is left waiting without being told. */
const longestPatienceMs = 30_000;
const maxTries = 3;

/** @returns how long the server asks to wait, within bounds, ms; `undefined` when it doesn't */
export function askedDelayMs({ refusal, detail }: ClientError): number | undefined {
  if (refusal !== "TRY_LATER") return undefined;
  return /^[0-9]{1,9}$/.test(detail) ? Math.min(Number(detail), longestAskedDelayMs) : 0;
}

/** Asks, and asks again when the server wants to be asked a little later; posts and logins wait in their own ways. @throws what `ask` rejects with in the end */
export async function askPatiently<T>(request: string, ask: () => Promise<T>): Promise<T> {
  if (request === "post" || isLoginType(request)) return ask();
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      const delayMs = error instanceof ClientError ? askedDelayMs(error) : undefined;
      if (delayMs === undefined || delayMs > longestPatienceMs || tries === maxTries) throw error;
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}
