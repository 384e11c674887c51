import type { RefusalCode } from "../wire/sessionMessages.ts";
import { ClientError } from "./clientError.ts";
import type { ReconnectPolicy } from "./reconnection.ts";

/** Refusals that are about the server's state and pass without the client's doing. */
const passing: readonly (RefusalCode | undefined)[] = ["UNAVAILABLE", "RESTORING"];
/** After so many pauses in a row another node is tried: the trouble may be of this one alone. */
const lastingPauses = 1;
/** Attempts that a client still makes that is about to end. */
const attemptsAtTheEnd = 3;

/** Whether the server can't do it now and may soon. */
export function isServerTrouble(error: unknown): error is ClientError {
  return error instanceof ClientError && passing.includes(error.refusal);
}

/**
 * The pauses of a conversation whose server can't take anything at the moment: it is asked again after delays that grow as
 * those between connections do. What waits to be sent goes on waiting meanwhile.
 */
export class ServerRest {
  readonly #policy: ReconnectPolicy | undefined;
  readonly #onBegin: (reason: ClientError) => void;
  readonly #onLasting: (reason: ClientError) => void;
  readonly #onOver: () => void;
  #pauses = 0;
  #attemptsLeft = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: {
    /** Without one, nothing is asked again by itself. */
    policy: ReconnectPolicy | undefined;
    /** The first pause of a row. */
    onBegin: (reason: ClientError) => void;
    /** Another pause of a long row. What is `RESTORING` is so with every node. */
    onLasting: (reason: ClientError) => void;
    /** It is time to ask again. */
    onOver: () => void;
  }) {
    this.#policy = options.policy;
    this.#onBegin = options.onBegin;
    this.#onLasting = options.onLasting;
    this.#onOver = options.onOver;
  }

  get isRunning(): boolean {
    return this.#timer !== undefined;
  }

  /** @returns whether the server will be asked again; else the caller gives up until the next connection */
  begin(reason: ClientError): boolean {
    if (this.#timer !== undefined) return true;
    if (this.#policy === undefined || this.#attemptsLeft === 0) return false;
    this.#attemptsLeft -= 1;
    if (this.#pauses === 0) this.#onBegin(reason);
    this.#timer = setTimeout(() => this.#end(), this.#policy.delayMs(this.#pauses));
    this.#pauses += 1;
    if (this.#pauses > lastingPauses && reason.refusal === "UNAVAILABLE") this.#onLasting(reason);
    return true;
  }

  /** The server has taken something. */
  proved(): void {
    this.#pauses = 0;
  }

  /** The client is about to end: asks at once, and then not for long. */
  hurry(): void {
    this.#attemptsLeft = Math.min(this.#attemptsLeft, attemptsAtTheEnd);
    this.#pauses = Math.min(this.#pauses, 1);
    if (this.isRunning) this.#end();
  }

  /** Nothing is waited for any longer. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #end(): void {
    this.stop();
    this.#onOver();
  }
}
