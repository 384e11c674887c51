import { encodeJson } from "../base/schema.ts";
import { alertFor } from "../channel/alerts.ts";
import { ChannelError } from "../channel/channelError.ts";
import type { MessageLink } from "../channel/messageLink.ts";
import { type ServerMessage, serverMessageSchema } from "../wire/sessionMessages.ts";
import type { Reader } from "./reader.ts";
import type { SessionConnection } from "./session.ts";

/**
 * The way between a session of the server and the operator's client in the same process. Messages are the same bytes as in
 * a channel and pass the same decoders; there is nothing to encrypt, and nobody else on it.
 */
export class InnerConnection implements SessionConnection {
  readonly #requests = new MessageQueue();
  readonly #answers = new MessageQueue();
  /** The operator's end. */
  readonly link: MessageLink;

  constructor() {
    const gone = () =>
      this.#requests.finish(new ChannelError("CLOSED", "the operator's client has ended the session"));
    this.link = {
      send: (message) => this.#requests.push(message),
      receive: () => this.#answers.next(),
      close: gone,
      abandon: gone,
    };
  }

  send(message: ServerMessage): void {
    this.sendEncoded(encodeJson(serverMessageSchema, message));
  }

  sendEncoded(message: Uint8Array): void {
    this.#answers.push(message);
  }

  tryReceive(): Uint8Array | undefined {
    return this.#requests.tryNext();
  }

  whenReadable(reader: Reader): void {
    this.#requests.whenReadable(reader);
  }

  /** The client takes each message as it comes: there is nothing to wait for. */
  async whenWritable(): Promise<void> {}

  requireOpen(): void {
    if (this.#requests.ended !== undefined) throw this.#requests.ended;
  }

  /** The owner's next `receive` rejects with `reason`: requests that wait are not worked on any more. */
  end(reason: ChannelError): void {
    this.#requests.clear();
    this.#requests.finish(reason);
  }

  /** The owner is done: tells the client why, as an alert would, behind what it was sent. */
  finish(error: unknown): void {
    const alert = alertFor(error);
    const reason =
      alert === undefined
        ? new ChannelError("CLOSED", "the server has ended the session")
        : new ChannelError("PEER_ALERT", `the server ended the session: ${alert}`, { alert });
    this.#requests.finish(reason);
    this.#answers.finish(reason);
  }
}

/** Messages in one direction. */
class MessageQueue {
  readonly #messages: Uint8Array[] = [];
  #ended: ChannelError | undefined;
  #wake: (() => void) | undefined;

  get ended(): ChannelError | undefined {
    return this.#ended;
  }

  push(message: Uint8Array): void {
    if (this.#ended !== undefined) return;
    this.#messages.push(message);
    this.#wakeReader();
  }

  /** What was pushed before is still to be had; the first reason counts. */
  finish(reason: ChannelError): void {
    this.#ended ??= reason;
    this.#wakeReader();
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  clear(): void {
    this.#messages.length = 0;
  }

  /** @throws {ChannelError} why there will be none any more */
  tryNext(): Uint8Array | undefined {
    const message = this.#messages.shift();
    if (message === undefined && this.#ended !== undefined) throw this.#ended;
    return message;
  }

  /** Calls `reader` once, when there is another one or will be none. */
  whenReadable(reader: Reader): void {
    this.#wake = () => reader.readable();
  }

  /** One reader at a time. @throws {ChannelError} as `tryNext` */
  async next(): Promise<Uint8Array> {
    for (;;) {
      const message = this.tryNext();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
