import type { RefusalCode } from "../wire/sessionMessages.ts";
import { askedDelayMs } from "./askedDelay.ts";
import { ClientError, type ClientErrorCode } from "./clientError.ts";
import type { OnEvent } from "./clientEvents.ts";

/** How a lost connection is mended. */
export interface ReconnectPolicy {
  /** How long to wait before the next attempt, ms. @param failures attempts that came to nothing, one after the other */
  delayMs(failures: number): number;
  /** How long a client that is about to end still tries, ms. */
  readonly endingPatienceMs: number;
}

const firstDelayMs = 1_000;
const longestDelayMs = 60_000;
const endingPatienceMs = 10_000;

/**
 * Delays that double from 1 s to 60 s. Each is shortened by up to a half at random, so that the clients of a server that
 * comes back don't all come at once.
 */
export function growingDelays(random: (length: number) => Uint8Array): ReconnectPolicy {
  return {
    delayMs(failures) {
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 16));
      const [draw = 0] = random(1);
      return Math.round(delayMs * (1 - draw / 512));
    },
    endingPatienceMs,
  };
}

/** Refusals of a login that pass by themselves. */
const passingRefusals: readonly RefusalCode[] = ["TRY_LATER", "TOO_MANY", "UNAVAILABLE", "INTERNAL"];

/** What ends a session for good. */
const finalCodes: readonly ClientErrorCode[] = [
  "REPLACED",
  "CERTIFICATE_REFUSED",
  "ACCOUNT_DISABLED",
  "PASSWORD_RESET",
];

/**
 * Whether another attempt is of no use. That somebody shows another certificate than the server's is none: anybody between
 * here and there can, and nothing is sent to them.
 */
export function isFinal({ code, refusal }: ClientError): boolean {
  if (refusal !== undefined) return !passingRefusals.includes(refusal);
  return finalCodes.includes(code);
}

export interface ReconnectionOptions {
  readonly policy: ReconnectPolicy;
  /** Connects and logs in, once. @throws why it did not succeed */
  readonly attempt: () => Promise<void>;
  /** There will be no other attempt. */
  readonly onGivenUp: (reason: ClientError) => void;
  readonly onEvent: OnEvent;
}

/** Brings a lost connection back: one attempt after the other, with growing delays, until one succeeds or none can. */
export class Reconnection {
  readonly #options: ReconnectionOptions;
  #isRunning = false;
  #isStopped = false;
  /** Attempts without success since a connection was good for something. */
  #failures = 0;
  /** Why there is no connection. */
  #reason: ClientError | undefined;
  #isEnding = false;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #wake: (() => void) | undefined;
  #mended: (() => void)[] = [];

  constructor(options: ReconnectionOptions) {
    this.#options = options;
  }

  /** Whether there may be a connection again without anybody's doing. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** A connection was lost. @returns whether it will be tried to bring it back */
  start(reason: ClientError): boolean {
    if (this.#isStopped || this.#isRunning || isFinal(reason)) return false;
    this.#isRunning = true;
    this.#reason = reason;
    this.#options.onEvent({ event: "connection", state: "lost", code: reason.code, message: reason.message });
    if (this.#isEnding) this.#setDeadline();
    void this.#run(reason);
    return true;
  }

  /** An attempt has led to a login. */
  succeeded(): void {
    this.#isRunning = false;
    this.#settle();
  }

  /** The connection has been good for catching up: the next delays begin small again. */
  proved(): void {
    this.#failures = 0;
  }

  /** The client is about to end: tries at once, and not for long. @returns when there is a connection or no hope of one */
  async hurry(): Promise<void> {
    if (!this.#isEnding) {
      this.#isEnding = true;
      this.#failures = 0;
      if (this.#isRunning) this.#setDeadline();
      this.#wake?.();
    }
    if (this.#isRunning) await new Promise<void>((resolve) => this.#mended.push(resolve));
  }

  /** No attempt follows. One that is under way is its owner's to end. */
  stop(): void {
    this.#isStopped = true;
    this.#isRunning = false;
    this.#settle();
  }

  async #run(lost: ClientError): Promise<void> {
    let reason = lost;
    while (!isFinal(reason)) {
      await this.#pause(reason);
      if (!this.#isRunning) return;
      try {
        await this.#options.attempt();
        return;
      } catch (error) {
        if (!this.#isRunning) return;
        reason = asClientError(error);
        this.#reason = reason;
      }
    }
    this.#giveUp(reason);
  }

  async #pause(reason: ClientError): Promise<void> {
    const { policy, onEvent } = this.#options;
    const delayMs = Math.max(policy.delayMs(this.#failures), askedDelayMs(reason) ?? 0);
    this.#failures += 1;
    const { code, message } = reason;
    onEvent({ event: "connection", state: "retrying", inMs: delayMs, code, message });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #setDeadline(): void {
    clearTimeout(this.#deadline);
    const { endingPatienceMs: patienceMs } = this.#options.policy;
    this.#deadline = setTimeout(() => {
      const cause = this.#reason;
      const why = cause === undefined ? "" : `: ${cause.message}`;
      const message = `no connection within ${patienceMs / 1000} s${why}; what was not sent is kept for the next one`;
      this.#giveUp(new ClientError("NOT_CONNECTED", message, { cause }));
    }, patienceMs);
  }

  #giveUp(reason: ClientError): void {
    if (!this.#isRunning) return;
    this.stop();
    this.#options.onGivenUp(reason);
  }

  #settle(): void {
    clearTimeout(this.#deadline);
    this.#wake?.();
    for (const resolve of this.#mended.splice(0)) resolve();
  }
}

function asClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  const why = error instanceof Error ? error.message : "";
  return new ClientError("CONNECTION_LOST", `the connection could not be made: ${why}`, { cause: error });
}
