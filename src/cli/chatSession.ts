import type { Hex } from "../base/hex.ts";
import type { MemberClient } from "../client/client.ts";
import { ClientError } from "../client/clientError.ts";
import type { ClientEvent } from "../client/clientEvents.ts";
import { type ChatCommand, type ChatTarget, runChatCommand } from "./chatCommands.ts";
import type { ChatInput } from "./chatInput.ts";
import type { ChatView } from "./chatView.ts";

export interface ChatOptions {
  /** Every line is text, none is a command. */
  readonly raw: boolean;
  readonly commands: readonly ChatCommand[];
  /** Whether a line `@NAME text` is a text for NAME. */
  readonly takesAddresses: boolean;
  /** Messages of others to wait for before the end of input ends the session. */
  readonly waitFor: number;
  /** Whether input that is still to come counts for nothing once there will be no connection any more: nobody types it. */
  readonly endsWhenCutOff: boolean;
}

/** A line that was handed over and is not accepted yet. */
export interface UnsentLine {
  readonly to: string;
  readonly text: string;
  /** Of `performance.now()`. */
  readonly typedAtMs: number;
}

/** What a chat came to. */
export interface ChatOutcome {
  /** Why there is no connection and none will come: what is not sent is kept, what was waited for has not come. */
  readonly cutOff: string | undefined;
  /** Every line that was typed stands in the log, and every command of a script could be done. */
  readonly allSent: boolean;
  /** Every receipt that was asked for at the end is countersigned. */
  readonly allCountersigned: boolean;
}

/** One chat from the login to the end of its input: lines are sent, commands obeyed, and in the end receipts are made. */
export class ChatSession implements ChatTarget {
  readonly view: ChatView;
  readonly #options: ChatOptions;
  /** Whom lines go to: a username that was opened, and its conversation. */
  #peer: { readonly name: string; readonly conversation: Hex } | undefined;
  readonly #pending = new Map<Promise<void>, UnsentLine>();
  #allSent = true;
  #messages = 0;
  #onMessage: () => void = () => {};
  /** The code of the event that said so. */
  #cutOff: string | undefined;
  readonly #gone = Promise.withResolvers<undefined>();
  /** Resolves while there is no connection. */
  #offline = Promise.withResolvers<void>();
  #client: MemberClient;
  #exchanging: Promise<unknown> = Promise.resolve();

  constructor(client: MemberClient, view: ChatView, options: ChatOptions) {
    this.#client = client;
    this.view = view;
    this.#options = options;
  }

  get client(): MemberClient {
    return this.#client;
  }

  get commands(): readonly ChatCommand[] {
    return this.#options.commands;
  }

  get takesAddresses(): boolean {
    return this.#options.takesAddresses;
  }

  get peer(): { readonly name: string; readonly conversation: Hex } | undefined {
    return this.#peer;
  }

  /** Oldest first. */
  get unsent(): readonly UnsentLine[] {
    return [...this.#pending.values()];
  }

  /** To be called with every event of the client, in its order. */
  note(event: ClientEvent): void {
    this.view.event(event);
    if (event.event === "message") {
      this.#messages += 1;
      this.#onMessage();
    } else if (event.event === "replaced" && event.conversation === this.#peer?.conversation)
      this.#peer = { ...this.#peer, conversation: event.successor };
    else if (event.event === "connection" && event.state === "back")
      this.#offline = Promise.withResolvers<void>();
    else if (event.event === "connection") this.#offline.resolve();
    else if (event.event === "closed" && event.code !== "QUIT") {
      this.#cutOff = event.code;
      this.#gone.resolve(undefined);
      this.#offline.resolve();
      this.#onMessage();
    }
  }

  /** Opens the conversation with this person, and lets later lines go there. */
  async open(name: string): Promise<void> {
    const conversation = await this.client.openDirect(name);
    this.#peer = { name, conversation };
  }

  closePeer(): void {
    this.#peer = undefined;
  }

  /** As `open`; what hinders is told and nothing more. */
  async tryOpen(name: string): Promise<void> {
    try {
      await this.open(name);
    } catch (error) {
      this.#report(error);
    }
  }

  async say(name: string, text: string): Promise<boolean> {
    try {
      this.#send(text, { name, conversation: await this.client.openDirect(name) });
      return true;
    } catch (error) {
      this.#allSent = false;
      this.#report(error);
      return false;
    }
  }

  /** Goes on with another client of the same member and vault, once the one before is closed. Lines wait meanwhile. */
  exchange(open: () => Promise<MemberClient>): Promise<void> {
    const exchange = async () => {
      await this.settled();
      this.#client.close();
      this.#client = await open();
      this.#cutOff = undefined;
      this.#offline = Promise.withResolvers<void>();
    };
    const exchanging = this.#exchanging.then(exchange);
    this.#exchanging = exchanging.catch(() => undefined);
    return exchanging;
  }

  /** Opens a new conversation in the place of one that can't go on: with this person, or with whom lines go to. */
  async openFresh(name: string | undefined): Promise<void> {
    const wanted = name ?? this.#peer?.name;
    if (wanted === undefined)
      throw new ClientError("NO_SUCH_CONVERSATION", "no conversation is open: it is used as /fresh NAME");
    if (wanted !== this.#peer?.name) await this.open(wanted);
    const { conversation } = this.#peer ?? {};
    if (conversation === undefined) return;
    this.#peer = { name: wanted, conversation: await this.client.fresh(conversation) };
  }

  resend(): void {
    if (this.#peer === undefined) return;
    const { name: to, conversation } = this.#peer;
    const texts = this.client.unsent(conversation);
    for (const [i, sent] of this.client.resend(conversation).entries())
      this.#track(sent, { to, text: texts[i] ?? "" });
  }

  async run(input: ChatInput): Promise<ChatOutcome> {
    const lines = input.lines[Symbol.asyncIterator]();
    for (;;) {
      const next = lines.next();
      const read = await (this.#options.endsWhenCutOff ? Promise.race([next, this.#gone.promise]) : next);
      if (read === undefined || read.done === true) break;
      const line = read.value;
      await this.#exchanging;
      if (typeof line !== "string") {
        this.#refuse("TEXT_REFUSED", line.refused);
        continue;
      }
      if (!this.#options.raw && line.trim() === "quit") break;
      if (!this.#options.raw && line.startsWith("/") && !line.startsWith("//")) {
        if (line.trim() === "/quit") break;
        await this.#obey(line);
      } else if (this.takesAddresses && line.startsWith("@")) await this.#address(line);
      else if (line !== "") this.#sendOn(!this.#options.raw && line.startsWith("//") ? line.slice(1) : line);
    }
    while (this.#messages < this.#options.waitFor && this.#cutOff === undefined)
      await new Promise<void>((resolve) => {
        this.#onMessage = resolve;
      });
    this.client.hurry();
    await this.settled();
    const allCountersigned = await this.#quit();
    return { allSent: this.#allSent, allCountersigned, cutOff: this.#cutOff };
  }

  /** Waits until every line so far was accepted or refused. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending.keys());
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

  async #address(line: string): Promise<void> {
    const [, name, text] = /^@(\S+)\s+(.*\S.*)$/s.exec(line) ?? [];
    if (name !== undefined && text !== undefined) await this.say(name, text);
    else this.#refuse("NO_RECIPIENT", "it is written as @NAME text");
  }

  #sendOn(text: string): void {
    if (this.#peer !== undefined) this.#send(text, this.#peer);
    else
      this.#refuse(
        "NO_RECIPIENT",
        `nobody to send this to: ${this.takesAddresses ? "write @NAME text, or" : "use"} /to NAME first`,
      );
  }

  #refuse(code: string, message: string): void {
    this.#allSent = false;
    this.#complain(code, message);
  }

  #send(text: string, { name: to, conversation }: { name: string; conversation: Hex }): void {
    // Lines don't wait for one another: the client keeps their order.
    this.#track(this.client.send(conversation, text), { to, text });
  }

  #track(sent: Promise<unknown>, line: Pick<UnsentLine, "to" | "text">): void {
    const sending: Promise<void> = sent
      .then(() => {})
      .catch((error: unknown) => {
        this.#allSent = false;
        this.#report(error);
      })
      .finally(() => this.#pending.delete(sending));
    this.#pending.set(sending, { ...line, typedAtMs: performance.now() });
  }

  async #obey(line: string): Promise<void> {
    // A command speaks about what was typed before it, as far as that can be sent now.
    await Promise.race([this.settled(), this.#offline.promise]);
    try {
      await runChatCommand(this, line);
    } catch (error) {
      // Who types sees it; a script has the exit code.
      if (this.#options.endsWhenCutOff) this.#allSent = false;
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    if (!(error instanceof ClientError)) throw error;
    this.#complain(error.refusal ?? error.code, error.message);
  }

  #complain(code: string, message: string): void {
    this.view.event({ event: "error", code, message });
  }
}
