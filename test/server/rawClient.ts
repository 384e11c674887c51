import type { Socket, TCPSocketListener } from "bun";
import { decodeJson, encodeJson } from "../../src/base/schema.ts";
import { ChannelError } from "../../src/channel/channelError.ts";
import { connectChannel, type Transport } from "../../src/channel/exchange.ts";
import type { RecordLayer } from "../../src/channel/recordLayer.ts";
import type { PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { encodeFrame, FrameDecoder, maxSessionFrameBytes } from "../../src/wire/frame.ts";
import { type AlertCode, alertCodes } from "../../src/wire/handshakeMessages.ts";
import { isLoginType, type LoginRequest, loginRequestSchema } from "../../src/wire/loginMessages.ts";
import { SendQueue } from "../../src/wire/sendQueue.ts";
import {
  type Request,
  requestSchema,
  type ServerMessage,
  serverMessageSchema,
} from "../../src/wire/sessionMessages.ts";

export interface Identity {
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
}

type Any = Request | LoginRequest;
type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;
export type Answer<T extends ServerMessage["type"]> = Extract<ServerMessage, { type: T }>;
type Push = Exclude<ServerMessage, { id: number }>;

/** Frames over a real socket, with everything open to the test. */
export class RawSocket implements Transport {
  readonly #decoder = new FrameDecoder(maxSessionFrameBytes);
  readonly #queue = new SendQueue();
  #socket: Pick<Socket, "write" | "pause" | "resume" | "end"> | undefined;
  #closed = false;
  #corked = false;
  #wake: (() => void) | undefined;

  /** @param from the address to connect from; every one of 127.0.0.0/8 will do */
  static async dial(port: number, from = "127.0.0.1"): Promise<RawSocket> {
    const raw = new RawSocket();
    raw.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      ...{ localAddress: from },
      socket: {
        data: (_, chunk) => raw.#received(chunk),
        drain: () => raw.#flush(),
        close: () => raw.#gone(),
      },
    });
    return raw;
  }

  /** Takes connections on a free port of this machine. */
  static listen(taken: (raw: RawSocket) => void): TCPSocketListener<RawSocket> {
    return Bun.listen<RawSocket>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          const raw = new RawSocket();
          raw.#socket = socket;
          socket.data = raw;
          taken(raw);
        },
        data: ({ data: raw }, chunk) => raw.#received(chunk),
        drain: ({ data: raw }) => raw.#flush(),
        close: ({ data: raw }) => raw.#gone(),
      },
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @returns the next payload; rejects with CLOSED when the server has closed and all was read */
  async read(): Promise<Uint8Array> {
    for (;;) {
      const payload = this.#decoder.next();
      if (payload !== undefined) return payload;
      if (this.#closed) throw new ChannelError("CLOSED", "the server closed the connection");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  write(payload: Uint8Array): void {
    this.writeBytes(encodeFrame(payload));
  }

  /** Bytes as they are, no frame around them. */
  writeBytes(bytes: Uint8Array): void {
    this.#queue.push(bytes);
    this.#flush();
  }

  /** Everything written in `action` leaves in one write. */
  together(action: () => void): void {
    this.#corked = true;
    action();
    this.#corked = false;
    this.#flush();
  }

  /** Written here and not taken by the operating system yet. */
  get pendingBytes(): number {
    return this.#queue.pendingBytes;
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  end(): void {
    this.#socket?.end();
  }

  #received(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
    this.#wake?.();
  }

  #gone(): void {
    this.#closed = true;
    this.#wake?.();
  }

  #flush(): void {
    const socket = this.#socket;
    if (socket !== undefined && !this.#closed && !this.#corked)
      this.#queue.flush((bytes) => socket.write(bytes));
  }
}

/** The protocol as it is on the wire, request by request, without any of the client's own judgement. */
export class RawClient {
  readonly socket: RawSocket;
  readonly records: RecordLayer;
  /** Everything that came, in the order of arrival. */
  readonly received: ServerMessage[] = [];
  /** The alert that ended the channel; `undefined` while it is open or when it ended without one. */
  alert: AlertCode | undefined;
  readonly ended: Promise<AlertCode | undefined>;
  #lastId = 0;
  #answers = new Map<number, (answer: ServerMessage | Error) => void>();
  #pushes: Push[] = [];
  #wakePush: (() => void) | undefined;
  #over = false;

  private constructor(socket: RawSocket, records: RecordLayer) {
    this.socket = socket;
    this.records = records;
    this.ended = this.#run();
  }

  /** Connects and shakes hands. Rejects with the ChannelError of the handshake. */
  static async connect(
    port: number,
    identity: Identity,
    trust: { ca: Certificate; host?: string },
    from?: string,
  ): Promise<RawClient> {
    const socket = await RawSocket.dial(port, from);
    const { records } = await connectChannel(socket, {
      ...identity,
      random: systemRandom,
      verifyServer: (chain) => {
        const [leaf, ...intermediates] = chain.map(decodeCertificate);
        if (leaf === undefined) throw new Error("no certificate");
        return verifyPath({
          leaf,
          intermediates,
          anchors: [trust.ca],
          crls: [],
          purpose: "server",
          atMs: Date.now(),
          host: trust.host ?? "127.0.0.1",
        });
      },
    });
    return new RawClient(socket, records);
  }

  /** Sends a request and waits for its answer, whatever it is. */
  request(request: WithoutId<Any>): Promise<ServerMessage> {
    const id = ++this.#lastId;
    const message = { ...request, id } as unknown as Any;
    const schema = isLoginType(message.type) ? loginRequestSchema : requestSchema;
    return this.requestBytes(id, encodeJson<never>(schema as never, message as never));
  }

  /** The answer must be of this type. */
  async expect<T extends ServerMessage["type"]>(type: T, request: WithoutId<Any>): Promise<Answer<T>> {
    const answer = await this.request(request);
    if (answer.type !== type) throw new Error(`${request.type} was answered: ${JSON.stringify(answer)}`);
    return answer as Answer<T>;
  }

  /** The answer must be a refusal. @returns its code and detail */
  async refusal(request: WithoutId<Any>): Promise<{ code: string; detail: string; message: string }> {
    const { code, detail, message } = await this.expect("refused", request);
    return { code, detail, message };
  }

  async refusalCode(request: WithoutId<Any>): Promise<string> {
    return (await this.refusal(request)).code;
  }

  /** Sends these bytes as a message and waits for the answer to `id`. */
  requestBytes(id: number, bytes: Uint8Array): Promise<ServerMessage> {
    this.#lastId = Math.max(this.#lastId, id);
    return new Promise((resolve, reject) => {
      this.#answers.set(id, (answer) => (answer instanceof Error ? reject(answer) : resolve(answer)));
      this.sendBytes(bytes);
    });
  }

  /** Sends these bytes as a message of the channel. */
  sendBytes(bytes: Uint8Array): void {
    for (const payload of this.records.seal(bytes)) this.socket.write(payload);
  }

  /** @returns the next push of this type, past or to come; pushes of other types are left alone */
  async push<T extends Push["type"]>(type: T): Promise<Answer<T>> {
    for (;;) {
      const index = this.#pushes.findIndex((push) => push.type === type);
      if (index >= 0) return this.#pushes.splice(index, 1)[0] as unknown as Answer<T>;
      if (this.#over) throw new Error(`the connection ended (${this.alert}) before a ${type} was pushed`);
      await new Promise<void>((resolve) => {
        this.#wakePush = resolve;
      });
    }
  }

  get pendingPushes(): number {
    return this.#pushes.length;
  }

  close(): void {
    this.socket.end();
  }

  async #run(): Promise<AlertCode | undefined> {
    try {
      for (;;) {
        const received = this.records.open(await this.socket.read());
        if (received.kind === "alert") {
          this.alert = received.code;
          break;
        }
        if (received.kind === "message") this.#dispatch(received.bytes);
      }
    } catch (error) {
      if (!(error instanceof ChannelError && error.code === "CLOSED")) throw error;
    } finally {
      this.#over = true;
      for (const settle of this.#answers.values()) settle(new Error(`the connection ended: ${this.alert}`));
      this.#wakePush?.();
      this.socket.end();
    }
    return this.alert;
  }

  #dispatch(bytes: Uint8Array): void {
    const message = decodeJson(serverMessageSchema, bytes, maxSessionFrameBytes);
    this.received.push(message);
    if (!("id" in message)) {
      this.#pushes.push(message);
      this.#wakePush?.();
      return;
    }
    const settle = this.#answers.get(message.id);
    if (settle === undefined)
      throw new Error(`answer to ${message.id}, which was not asked or answered before`);
    this.#answers.delete(message.id);
    settle(message);
  }
}

/** @returns the code of an alert in clear, `undefined` for any other payload */
export function clearAlertCode(payload: Uint8Array): AlertCode | undefined {
  const match = /^\{"type":"alert","code":"([a-z_]+)"\}$/.exec(new TextDecoder().decode(payload));
  return alertCodes.find((code) => code === match?.[1]);
}

/** Reads to the end of a connection that has no keys yet. @returns the last alert in clear, if there was one */
export async function endInClear(socket: RawSocket): Promise<AlertCode | undefined> {
  let alert: AlertCode | undefined;
  for (;;) {
    const payload = await socket.read().catch(() => undefined);
    if (payload === undefined) return alert;
    alert = clearAlertCode(payload) ?? alert;
  }
}
