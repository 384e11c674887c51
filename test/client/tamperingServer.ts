import type { Hex } from "../../src/base/hex.ts";
import { decodeJson, encodeJson } from "../../src/base/schema.ts";
import { ChannelError } from "../../src/channel/channelError.ts";
import { acceptChannel, connectChannel } from "../../src/channel/exchange.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { signCheckpoint } from "../../src/log/checkpoint.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import type { Connection } from "../../src/server/connection.ts";
import { Listener } from "../../src/server/listener.ts";
import { RequestReader } from "../../src/server/requests.ts";
import { defaultLimits } from "../../src/server/serverLimits.ts";
import { noMeter } from "../../src/server/serverMeter.ts";
import { maxSessionFrameBytes } from "../../src/wire/frame.ts";
import type { LoginRequest } from "../../src/wire/loginMessages.ts";
import {
  type Request,
  type ServerMessage,
  serverMessageSchema,
  type WireCheckpoint,
} from "../../src/wire/sessionMessages.ts";
import { type Identity, RawSocket } from "../server/rawClient.ts";

type AnyRequest = Request | LoginRequest;

/** A message of the real server on its way to a client. */
export interface Passing {
  readonly message: ServerMessage;
  /** What it answers; `undefined`: it is a push. */
  readonly request: AnyRequest | undefined;
  /** The fingerprint of the client's certificate. */
  readonly to: Hex;
}

export interface TamperingOptions {
  /** The server's own certificate and key: nobody else could stand here unnoticed. */
  readonly identity: Identity & { readonly certificate: Certificate };
  readonly ca: Certificate;
  /** Where the real server listens. */
  readonly port: () => number;
  /** The keys of the clients, with which their requests are passed on. */
  readonly clients: (fingerprint: Hex) => Identity;
}

/**
 * A server that misbehaves: real channels under the server's own key on both sides, a real server behind it, and a test that
 * decides what each client is told. What the real one says passes through unchanged until `tamper` is set.
 */
export class TamperingServer {
  /** @returns what the client is sent instead; nothing: the message is withheld */
  tamper: ((passing: Passing) => readonly ServerMessage[]) | undefined;
  /** Every request of every client, in the order of arrival. */
  readonly requests: { readonly from: Hex; readonly request: AnyRequest }[] = [];
  readonly #options: TamperingOptions;
  readonly #listener: Listener;
  readonly #clients = new Map<Hex, Connection>();

  constructor(options: TamperingOptions) {
    this.#options = options;
    this.#listener = new Listener({
      host: "127.0.0.1",
      port: 0,
      limits: defaultLimits,
      log: () => undefined,
      meter: noMeter,
      run: (connection, _network, onHandshakeEnd) => this.#serve(connection, onHandshakeEnd),
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** A checkpoint as only the server can make it, over whatever root. */
  sign(conversation: Hex, { size, root, at }: Pick<WireCheckpoint, "size" | "root" | "at">): WireCheckpoint {
    const { certificate, key } = this.#options.identity;
    const unsigned = { conversation, size, root, at, server: certificate.fingerprint };
    const { conversation: _, ...checkpoint } = signCheckpoint(unsigned, key);
    return checkpoint;
  }

  /** Sends a client something that nobody asked for. */
  push(to: Hex, message: ServerMessage): void {
    this.#clients.get(to)?.send(message);
  }

  async stop(): Promise<void> {
    await this.#listener.stop();
  }

  async #serve(connection: Connection, onHandshakeEnd: () => void): Promise<void> {
    const upstream = await RawSocket.dial(this.#options.port());
    try {
      const { identity, clients } = this.#options;
      const { peer, records } = await acceptChannel(connection, {
        ...identity,
        random: systemRandom,
        verifyClient: (chain) => this.#verify(chain, "client"),
      });
      connection.establish(records);
      onHandshakeEnd();
      const { fingerprint } = peer.certificate;
      this.#clients.set(fingerprint, connection);
      const behind = await connectChannel(upstream, {
        ...clients(fingerprint),
        random: systemRandom,
        verifyServer: (chain) => this.#verify(chain, "server"),
      });
      const asked = new Map<number, AnyRequest>();
      const answering = this.#answer(connection, {
        next: async () => behind.records.open(await upstream.read()),
        asked,
        to: fingerprint,
      });
      const reader = new RequestReader();
      for (;;) {
        const bytes = await Promise.race([connection.receive(), answering]);
        const request = reader.read(bytes);
        asked.set(request.id, request);
        this.requests.push({ from: fingerprint, request });
        for (const payload of behind.records.seal(bytes)) upstream.write(payload);
      }
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      connection.finish(error);
    } finally {
      onHandshakeEnd();
      upstream.end();
    }
  }

  async #answer(
    connection: Connection,
    from: {
      next: () => Promise<ReturnType<Awaited<ReturnType<typeof connectChannel>>["records"]["open"]>>;
      asked: Map<number, AnyRequest>;
      to: Hex;
    },
  ): Promise<never> {
    for (;;) {
      const received = await from.next();
      if (received.kind === "alert") throw new ChannelError("CLOSED", "the real server has ended it");
      if (received.kind !== "message") continue;
      const message = decodeJson(serverMessageSchema, received.bytes, maxSessionFrameBytes);
      const request = "id" in message ? from.asked.get(message.id) : undefined;
      const sent = this.tamper?.({ message, request, to: from.to }) ?? [message];
      for (const one of sent) connection.sendEncoded(encodeJson(serverMessageSchema, one));
    }
  }

  #verify(chain: readonly Uint8Array[], purpose: "client" | "server") {
    const [leaf, ...intermediates] = chain.map(decodeCertificate);
    if (leaf === undefined) throw new Error("no certificate");
    const anchors = [this.#options.ca];
    return verifyPath({ leaf, intermediates, anchors, crls: [], purpose, atMs: Date.now() });
  }
}
