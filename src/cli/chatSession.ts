import type { Hex } from "../base/hex.ts";
import type { Client } from "../client/client.ts";
import { ClientError } from "../client/clientError.ts";
import type { ClientEvent } from "../client/clientEvents.ts";
import { type ChatTarget, runChatCommand } from "./chatCommands.ts";
import type { ChatInput } from "./chatInput.ts";
import type { ChatView } from "./chatView.ts";

export interface ChatOptions {
  /** Every line is text, none is a command. */
  readonly raw: boolean;
  /** Messages of others to wait for before the end of input ends the session. */
  readonly waitFor: number;
}

/** What a session of `connect` came to. */
export interface ChatOutcome {
  /** Every line that was typed stands in the log. */
  readonly allSent: boolean;
  /** Every receipt that was asked for at the end is countersigned. */
  readonly allCountersigned: boolean;
}

/** One chat from the login to the end of its input: lines are sent, commands obeyed, and in the end receipts are made. */
export class ChatSession implements ChatTarget {
  readonly client: Client;
  readonly view: ChatView;
  readonly #options: ChatOptions;
  /** Whom lines go to: a username that was opened, and its conversation. */
  #peer: { readonly name: string; readonly conversation: Hex } | undefined;
  /** Lines that were handed over and are not accepted yet. */
  readonly #pending = new Set<Promise<void>>();
  #allSent = true;
  #messages = 0;
  #onMessage: () => void = () => {};

  constructor(client: Client, view: ChatView, options: ChatOptions) {
    this.client = client;
    this.view = view;
    this.#options = options;
  }

  get peer(): { readonly name: string; readonly conversation: Hex } | undefined {
    return this.#peer;
  }

  /** To be called with every event of the client, in its order. */
  note(event: ClientEvent): void {
    this.view.event(event);
    if (event.event !== "message") return;
    this.#messages += 1;
    this.#onMessage();
  }

  /** Opens the conversation with this person, and lets later lines go there. */
  async open(name: string): Promise<void> {
    const conversation = await this.client.openDirect(name);
    this.#peer = { name, conversation };
  }

  async run(input: ChatInput): Promise<ChatOutcome> {
    for await (const line of input.lines) {
      if (!this.#options.raw && line.trim() === "quit") break;
      if (!this.#options.raw && line.startsWith("/") && !line.startsWith("//")) {
        if (line.trim() === "/quit") break;
        await this.#obey(line);
      } else if (line !== "") this.#send(!this.#options.raw && line.startsWith("//") ? line.slice(1) : line);
    }
    while (this.#messages < this.#options.waitFor)
      await new Promise<void>((resolve) => {
        this.#onMessage = resolve;
      });
    await this.settled();
    return { allSent: this.#allSent, allCountersigned: await this.#quit() };
  }

  /** Waits until every line so far was accepted or refused. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  /** @returns whether every receipt is countersigned; the next connect fetches those that are not */
  async #quit(): Promise<boolean> {
    try {
      await this.client.quit();
      return true;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.#report(error);
      return false;
    }
  }

  #send(text: string): void {
    if (this.#peer === undefined) {
      this.#allSent = false;
      this.#complain("NO_RECIPIENT", "nobody to send this to: use /to NAME first");
      return;
    }
    // Lines don't wait for one another: the client keeps their order.
    const sending: Promise<void> = this.client
      .send(this.#peer.conversation, text)
      .then(() => {})
      .catch((error: unknown) => {
        this.#allSent = false;
        this.#report(error);
      })
      .finally(() => this.#pending.delete(sending));
    this.#pending.add(sending);
  }

  async #obey(line: string): Promise<void> {
    // A command speaks about what was typed before it.
    await this.settled();
    try {
      await runChatCommand(this, line);
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    if (!(error instanceof ClientError)) throw error;
    this.#complain(error.code, error.message);
  }

  #complain(code: string, message: string): void {
    this.view.event({ event: "error", code, message });
  }
}
