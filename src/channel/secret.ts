import { ChannelError } from "./channelError.ts";

/**
 * Secret bytes with an end: `wipe` overwrites them, and reading them after that is an error instead of a computation
 * with zeros. (Copies that the engine or a primitive made are out of reach.)
 */
export class Secret {
  #bytes: Uint8Array | undefined;

  /** @param bytes taken over: nobody else keeps or changes them */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The bytes themselves, not a copy. @throws {ChannelError} `CLOSED` once wiped */
  get bytes(): Uint8Array {
    if (this.#bytes === undefined)
      throw new ChannelError("CLOSED", "this part of the channel is over: its keys are gone");
    return this.#bytes;
  }

  wipe(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }
}
