import { decodeJson, encodeJson } from "../base/schema.ts";
import { visible } from "../base/visible.ts";
import { ChannelError } from "../channel/channelError.ts";
import type { MessageLink } from "../channel/messageLink.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { maxSessionFrameBytes } from "../wire/frame.ts";
import { isLoginType, type LoginRequest, loginRequestSchema } from "../wire/loginMessages.ts";
import {
  type Request,
  requestSchema,
  type ServerMessage,
  serverMessageSchema,
} from "../wire/sessionMessages.ts";
import { WireError } from "../wire/wireError.ts";
import { askPatiently } from "./askedDelay.ts";
import { ClientError } from "./clientError.ts";
import { asAlertError } from "./handshakeFailure.ts";

/** All in ms. */
export interface ConnectionTimeouts {
  /** Until TCP stands. */
  readonly connectMs: number;
  /** From there to the end of the handshake: a server that everybody comes back to answers one after the other. */
  readonly handshakeMs: number;
  /** Longest wait for the answer to one request; after it the connection is given up. */
  readonly requestMs: number;
  /** A ping goes out when nothing was sent for so long. */
  readonly pingAfterMs: number;
  /** The connection is given up when nothing arrived for so long. */
  readonly idleMs: number;
}

export const defaultTimeouts: ConnectionTimeouts = {
  connectMs: 10_000,
  handshakeMs: 30_000,
  requestMs: 30_000,
  pingAfterMs: 30_000,
  idleMs: 90_000,
};

/** How often it is looked whether one of them is over. */
const tickMs = 1_000;

/** Which answer a request has besides `refused`. */
const answerTypes = {
  ping: "pong",
  register: "authenticated",
  login: "authenticated",
  change_password: "authenticated",
  renew: "authenticated",
  resume: "authenticated",
  publish_key_packages: "published",
  fetch_key_packages: "key_packages",
  fetch_certificates: "certificates",
  put_blob: "blob_stored",
  fetch_blob: "blob",
  post: "accepted",
  list_conversations: "conversations",
  fetch_entries: "entries",
  sign_receipt: "countersigned",
  fetch_receipt: "countersigned",
  fetch_operator_key_package: "operator_key_package",
  delivered: "delivery_marks",
  release_pair: "pair_released",
  return_entries: "entries_taken",
  logs_returned: "logs_noted",
} as const;

type AnyRequest = Request | LoginRequest;
type RequestType = AnyRequest["type"];
type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;
/** What a connection is entered with, in place of the person: an account, or a ticket. */
export type EntryRequest = WithoutId<Exclude<LoginRequest, { type: "ping" }>>;
export type AnswerTo<T extends RequestType> = Extract<ServerMessage, { type: (typeof answerTypes)[T] }>;
export type Push = Exclude<ServerMessage, { id: number }>;

/** A way to a server whose certificate was verified. */
export interface ServerLink {
  readonly link: MessageLink;
  readonly server: VerifiedCertificate;
  /** The server's chain as it sent it, leaf first, DER. */
  readonly serverChain: readonly Uint8Array[];
}

export interface ConnectionOptions {
  readonly timeouts: ConnectionTimeouts;
  readonly onPush: (push: Push) => void;
  /** Called once, after every pending request was rejected with the same error. */
  readonly onClose: (reason: ClientError) => void;
}

interface Pending {
  readonly resolve: (answer: ServerMessage) => void;
  readonly reject: (error: ClientError) => void;
  readonly deadlineMs: number;
}

/** A session with the server: requests with their answers, and pushes. */
export class Connection {
  readonly server: VerifiedCertificate;
  /** The server's chain as it sent it, leaf first, DER. */
  readonly serverChain: readonly Uint8Array[];
  readonly #link: MessageLink;
  readonly #onPush: (push: Push) => void;
  readonly #onClose: (reason: ClientError) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #timeouts: ConnectionTimeouts;
  readonly #ticker: ReturnType<typeof setInterval>;
  #nextId = 1;
  #closed: ClientError | undefined;
  #lastSentMs = performance.now();
  #lastReceivedMs = performance.now();

  constructor({ link, server, serverChain }: ServerLink, options: ConnectionOptions) {
    this.server = server;
    this.serverChain = serverChain;
    this.#link = link;
    this.#onPush = options.onPush;
    this.#onClose = options.onClose;
    this.#timeouts = options.timeouts;
    this.#ticker = setInterval(() => this.#tick(), tickMs);
    this.#ticker.unref();
    void this.#run();
  }

  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  /**
   * Sends a request. Requests are answered in any order; they leave in the order of the calls, those of one tick together.
   *
   * @throws {ClientError} `REFUSED` with the server's code, `CONNECTION_LOST`, `TIMEOUT`, `SERVER_MISBEHAVED`
   */
  async request<T extends RequestType>(
    request: WithoutId<Extract<AnyRequest, { type: T }>> & { type: T },
  ): Promise<AnswerTo<T>> {
    const expected: (typeof answerTypes)[T] = answerTypes[request.type];
    const answer = await askPatiently(request.type, () => this.#exchange(request));
    if (isAnswer(answer, expected)) return answer;
    throw this.#misbehaved(`answered ${request.type} with ${answer.type}`);
  }

  /** Tells the server and closes. Pending requests are rejected with `reason`. */
  close(reason: ClientError): void {
    if (this.#closed !== undefined) return;
    this.#link.close();
    this.#end(reason);
  }

  #exchange(request: WithoutId<AnyRequest>): Promise<ServerMessage> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    const bytes = isLoginRequest(request)
      ? encodeJson(loginRequestSchema, withId<LoginRequest>(request, id))
      : encodeJson(requestSchema, withId<Request>(request, id));
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, deadlineMs: performance.now() + this.#timeouts.requestMs });
      this.#write(bytes);
    });
  }

  #write(bytes: Uint8Array): void {
    this.#lastSentMs = performance.now();
    this.#link.send(bytes);
  }

  async #run(): Promise<void> {
    try {
      while (this.#closed === undefined) {
        const message = await this.#link.receive();
        this.#lastReceivedMs = performance.now();
        this.#dispatch(decodeJson(serverMessageSchema, message, maxSessionFrameBytes));
      }
    } catch (error) {
      const alert = error instanceof ChannelError ? error.alert : undefined;
      if (alert !== undefined) this.#end(asAlertError(alert));
      else if (isFromNetwork(error))
        this.#end(new ClientError("CONNECTION_LOST", error.message, { cause: error }));
      else this.#misbehaved("sent what is no message of this protocol", error);
    }
  }

  #dispatch(message: ServerMessage): void {
    if (!("id" in message)) {
      this.#onPush(message);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (pending === undefined) {
      this.#misbehaved("answered a request that was not made");
      return;
    }
    this.#pending.delete(message.id);
    if (message.type !== "refused") pending.resolve(message);
    else
      pending.reject(
        new ClientError("REFUSED", `the server refused: ${visible(message.message)} (${message.code})`, {
          refusal: message.code,
          detail: message.detail,
        }),
      );
  }

  #tick(): void {
    const now = performance.now();
    const { requestMs, idleMs, pingAfterMs } = this.#timeouts;
    // Requests are kept in the order in which they were sent, so the first has waited longest.
    const [oldest] = this.#pending.values();
    if (oldest !== undefined && now > oldest.deadlineMs)
      this.#end(new ClientError("TIMEOUT", `the server did not answer within ${requestMs / 1000} s`));
    else if (now > this.#lastReceivedMs + idleMs)
      this.#end(new ClientError("TIMEOUT", `nothing from the server for ${idleMs / 1000} s`));
    else if (now > this.#lastSentMs + pingAfterMs) this.request({ type: "ping" }).catch(() => undefined);
  }

  #misbehaved(what: string, cause?: unknown): ClientError {
    const error = new ClientError("SERVER_MISBEHAVED", `the server ${what}`, { cause });
    this.#end(error);
    return error;
  }

  #end(reason: ClientError): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    clearInterval(this.#ticker);
    this.#link.abandon();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(reason);
    this.#onClose(reason);
  }
}

/** Whether somebody on the network can bring it about without the server's keys: then it must not be laid at the server's door. */
function isFromNetwork(error: unknown): error is ChannelError | WireError {
  if (error instanceof ChannelError)
    return error.code === "CLOSED" || error.code === "BAD_RECORD" || error.code === "RECORD_OVERFLOW";
  return error instanceof WireError && (error.code === "FRAME_TOO_LONG" || error.code === "FRAME_EMPTY");
}

/** The compiler can't see that `Omit<T, "id">` and an id make a T again. */
function withId<T extends { id: number }>(request: WithoutId<T>, id: number): T {
  return { ...request, id } as unknown as T;
}

function isLoginRequest(request: WithoutId<AnyRequest>): request is WithoutId<LoginRequest> {
  return isLoginType(request.type);
}

function isAnswer<T extends ServerMessage["type"]>(
  message: ServerMessage,
  type: T,
): message is Extract<ServerMessage, { type: T }> {
  return message.type === type;
}
