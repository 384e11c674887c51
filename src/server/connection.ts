import type { Socket } from "bun";
import { encodeJson } from "../base/schema.ts";
import { alertFor } from "../channel/alerts.ts";
import { ChannelError } from "../channel/channelError.ts";
import type { Transport } from "../channel/exchange.ts";
import type { RecordLayer } from "../channel/recordLayer.ts";
import { atEndOfTurn } from "../store/endOfTurn.ts";
import { encodeFrame, FrameDecoder, maxSessionFrameBytes } from "../wire/frame.ts";
import { SendQueue } from "../wire/sendQueue.ts";
import { type ServerMessage, serverMessageSchema } from "../wire/sessionMessages.ts";
import type { Reader } from "./reader.ts";

/** Received bytes that may wait here unread: one frame and a little more. Beyond it the socket is not read. */
const maxUnreadBytes = maxSessionFrameBytes + 64 * 1024;
/** Requests are not worked on while more than this waits for the client's socket. */
const busyQueueBytes = 256 * 1024;
/** How long a connection that is being closed may take to hand over its last bytes. */
const lingerMs = 5_000;

/**
 * One client's socket as a stream of frames, then of messages. Input waits in bounded memory: when too much is unread the
 * socket is paused. So does output: a client that doesn't read is cut off. Whatever ends the connection reaches its owner
 * as what `read` and `receive` reject with, after all that came before it.
 */
export class Connection implements Transport {
  readonly number: number;
  /** IP address and port of the peer, for people. */
  readonly peer: string;
  readonly #socket: Socket<Connection | undefined>;
  readonly #queuedBytes: number;
  readonly #decoder = new FrameDecoder();
  readonly #queue = new SendQueue();
  #records: RecordLayer | undefined;
  #unreadBytes = 0;
  #paused = false;
  /** Why this side ends the connection: nothing more is read. */
  #ended: ChannelError | undefined;
  /** The peer is gone: what it has sent is still read. */
  #gone: ChannelError | undefined;
  #closing = false;
  #flushScheduled = false;
  /** The socket has taken less than it was given: nothing is offered before it drains. */
  #blocked = false;
  #wakeReader: (() => void) | undefined;
  #reader: Reader | undefined;
  #wakeWriter: (() => void) | undefined;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #idleMs: number | undefined;

  constructor(
    socket: Socket<Connection | undefined>,
    options: { number: number; peer: string; queuedBytes: number },
  ) {
    this.#socket = socket;
    this.number = options.number;
    this.peer = options.peer;
    this.#queuedBytes = options.queuedBytes;
  }

  /** Until when (on the monotonic clock) the peer has to get where it is going; later `read` rejects with `TIMEOUT`. */
  set deadlineMs(atMs: number) {
    this.#deadlineMs = atMs;
  }

  /** From now on each frame moves the deadline to so many ms after it. */
  watchIdle(idleMs: number): void {
    this.#idleMs = idleMs;
    this.#deadlineMs = performance.now() + idleMs;
  }

  /** The handshake is done: longer frames, and messages instead of payloads. */
  establish(records: RecordLayer): void {
    this.#records = records;
    this.#decoder.raiseLimit(maxSessionFrameBytes);
  }

  /** @returns the next frame's payload. One reader at a time. @throws {WireError} {ChannelError} */
  async read(): Promise<Uint8Array> {
    for (;;) {
      const payload = this.#next();
      if (payload !== undefined) return payload;
      await this.#arrival();
    }
  }

  /** @returns the next message of the established channel @throws {WireError} {ChannelError} */
  async receive(): Promise<Uint8Array> {
    for (;;) {
      const message = this.tryReceive();
      if (message !== undefined) return message;
      await this.#arrival();
    }
  }

  /** @returns the next message if it is there @throws {WireError} {ChannelError} */
  tryReceive(): Uint8Array | undefined {
    for (;;) {
      const payload = this.#next();
      if (payload === undefined) return undefined;
      const received = this.#openRecords().open(payload);
      if (received.kind === "message") return received.bytes;
      if (received.kind === "alert")
        throw new ChannelError("PEER_ALERT", `the client ended the channel: ${received.code}`, {
          alert: received.code,
        });
    }
  }

  /** Calls `reader` once, when there may be more to read, or a reason why there won't be. */
  whenReadable(reader: Reader): void {
    this.#reader = reader;
  }

  write(payload: Uint8Array): void {
    if (this.#closing) return;
    this.#queue.push(encodeFrame(payload));
    if (this.#queue.pendingBytes > this.#queuedBytes) {
      this.#fail(new ChannelError("CLOSED", "the client does not read what it is sent"));
      this.#terminate();
      return;
    }
    this.#scheduleFlush();
  }

  send(message: ServerMessage): void {
    this.sendEncoded(encodeJson(serverMessageSchema, message));
  }

  /** @param message the JSON text of a `ServerMessage` */
  sendEncoded(message: Uint8Array): void {
    if (this.#closing || this.#ended !== undefined || this.#gone !== undefined) return;
    for (const payload of this.#openRecords().seal(message)) this.write(payload);
  }

  /** @throws {ChannelError} why the peer can't be told anything any more */
  requireOpen(): void {
    const reason = this.#ended ?? this.#gone;
    if (reason !== undefined) throw reason;
  }

  /** Resolves when there is room for answers again, or never will be. */
  async whenWritable(): Promise<void> {
    while (this.#queue.pendingBytes > busyQueueBytes && this.#ended === undefined && this.#gone === undefined)
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
  }

  /** Ends the connection from this side: the owner's next `read` rejects with `reason`, and `finish` tells the peer. */
  end(reason: ChannelError): void {
    this.#fail(reason);
  }

  /** The owner is done: tells the peer why if it may know, hands over what is queued and closes. */
  finish(error: unknown): void {
    const records = this.#records;
    const alert = alertFor(error);
    // Before the channel is established the handshake itself has told the peer.
    if (alert !== undefined && records !== undefined && !this.#closing) this.write(records.sealAlert(alert));
    records?.close();
    if (this.#closing) return;
    this.#fail(new ChannelError("CLOSED", "the connection is closed"));
    this.#closing = true;
    this.#deadlineMs = performance.now() + lingerMs;
    this.#flush();
  }

  /** Called regularly with the monotonic clock. */
  checkDeadline(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    if (this.#closing) this.#terminate();
    else this.#fail(new ChannelError("TIMEOUT", "the client took too long"));
  }

  /** The socket has bytes. @param chunk not used by anybody else */
  received(chunk: Uint8Array): void {
    if (this.#closing) return;
    this.#decoder.push(chunk);
    this.#unreadBytes += chunk.length;
    if (this.#unreadBytes > maxUnreadBytes && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
    this.#wakeReading();
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.#blocked = false;
    this.#flush();
  }

  /** The socket is gone. */
  closed(): void {
    this.#gone ??= new ChannelError("CLOSED", "the client closed the connection");
    this.#wakeAll();
  }

  #next(): Uint8Array | undefined {
    if (this.#ended !== undefined) throw this.#ended;
    const payload = this.#decoder.next();
    if (payload !== undefined) this.#consumed(payload.length);
    else if (this.#gone !== undefined) throw this.#gone;
    return payload;
  }

  /** Resolves when there may be more to read, or a reason why there won't be. */
  #arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeReader = resolve;
    });
  }

  #consumed(payloadBytes: number): void {
    this.#unreadBytes -= 4 + payloadBytes;
    if (this.#idleMs !== undefined) this.#deadlineMs = performance.now() + this.#idleMs;
    if (this.#paused && this.#unreadBytes <= maxUnreadBytes) {
      this.#paused = false;
      this.#socket.resume();
    }
  }

  /** What is written in one turn of the event loop leaves in one write. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    atEndOfTurn(() => this.#flush());
  }

  #flush(): void {
    this.#flushScheduled = false;
    if (this.#blocked) return;
    const empty = this.#queue.flush((bytes) => this.#socket.write(bytes));
    this.#blocked = !empty;
    if (this.#queue.pendingBytes <= busyQueueBytes) {
      this.#wakeWriter?.();
      this.#wakeWriter = undefined;
    }
    if (empty && this.#closing) this.#socket.end();
  }

  #fail(reason: ChannelError): void {
    this.#ended ??= reason;
    this.#wakeAll();
  }

  #terminate(): void {
    this.#closing = true;
    this.#socket.terminate();
  }

  #wakeReading(): void {
    const [wake, reader] = [this.#wakeReader, this.#reader];
    this.#wakeReader = undefined;
    this.#reader = undefined;
    wake?.();
    reader?.readable();
  }

  #wakeAll(): void {
    const wakeWriter = this.#wakeWriter;
    this.#wakeWriter = undefined;
    this.#wakeReading();
    wakeWriter?.();
  }

  #openRecords(): RecordLayer {
    if (this.#records === undefined) throw new ChannelError("INTERNAL", "the channel is not established yet");
    return this.#records;
  }
}
