import type { Socket } from "bun";
import { ChannelError } from "../channel/channelError.ts";
import { encodeFrame, FrameDecoder, maxSessionFrameBytes } from "../wire/frame.ts";
import { SendQueue } from "../wire/sendQueue.ts";
import { ClientError } from "./clientError.ts";

/**
 * Frames over one TCP socket. Payloads that arrive wait in order until they are read. Everything written in one tick
 * leaves in one write. The first failure ends the receiving direction: payloads that arrived before it are still read, then
 * `read` throws it. The sending direction stays for an alert until `close`.
 */
export class SocketTransport {
  #socket: Socket | undefined;
  #failure: ChannelError | undefined;
  #flushScheduled = false;
  #wake: (() => void) | undefined;
  readonly #decoder = new FrameDecoder();
  readonly #queue = new SendQueue();

  /** @throws {ClientError} `CONNECT_FAILED` */
  static async dial(host: string, port: number): Promise<SocketTransport> {
    const transport = new SocketTransport();
    try {
      await Bun.connect({
        hostname: host,
        port,
        socket: {
          open: (socket) => {
            socket.setNoDelay(true);
            transport.#socket = socket;
          },
          data: (_, chunk) => transport.#received(chunk),
          drain: () => transport.#flush(),
          end: () => transport.#gone("the server closed the connection"),
          close: () => transport.#gone("the server closed the connection"),
          error: (_, error) => transport.#gone("the connection broke", error),
        },
      });
    } catch (cause) {
      throw new ClientError(
        "CONNECT_FAILED",
        `no connection to ${host}:${port}, is the server running there?`,
        {
          cause,
        },
      );
    }
    return transport;
  }

  /** The peer is known from here on: longer frames are allowed. */
  raiseLimit(): void {
    this.#decoder.raiseLimit(maxSessionFrameBytes);
  }

  /** @returns the next payload. One reader at a time. @throws {ChannelError} what ended it; {WireError} a bad frame */
  async read(): Promise<Uint8Array> {
    for (;;) {
      const payload = this.#decoder.next();
      if (payload !== undefined) return payload;
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  write(payload: Uint8Array): void {
    this.#queue.push(encodeFrame(payload));
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  /** Reads fail with this from here on; what is written still goes out. */
  fail(reason: ChannelError): void {
    this.#failure ??= reason;
    this.#wakeReader();
  }

  /** Hands what is queued to the operating system and closes. */
  close(): void {
    this.fail(new ChannelError("CLOSED", "the connection was closed"));
    this.#flush();
    this.#socket?.end();
  }

  #received(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
    this.#wakeReader();
  }

  #flush(): void {
    this.#flushScheduled = false;
    const socket = this.#socket;
    if (socket !== undefined) this.#queue.flush((bytes) => socket.write(bytes));
  }

  #gone(message: string, cause?: unknown): void {
    this.fail(new ChannelError("CLOSED", message, { cause }));
    this.#socket?.end();
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
