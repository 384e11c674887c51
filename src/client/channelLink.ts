import { ChannelError } from "../channel/channelError.ts";
import { connectChannel } from "../channel/exchange.ts";
import type { MessageLink } from "../channel/messageLink.ts";
import type { RecordLayer } from "../channel/recordLayer.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { ServerLink } from "./connection.ts";
import { asHandshakeError } from "./handshakeFailure.ts";
import { SocketTransport } from "./socketTransport.ts";

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  /** Own chain, leaf first, DER. */
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
  readonly random: (length: number) => Uint8Array;
  /** Until TCP stands, and from there to the end of the handshake, ms. */
  readonly connectMs: number;
  readonly handshakeMs: number;
  /** Judges the server's chain for the host that was dialled; throws to refuse it. */
  readonly verifyServer: (chain: readonly Uint8Array[]) => VerifiedCertificate;
  readonly onStep: (step: "connect" | "certificate" | "keys") => void;
}

/**
 * Makes an authenticated channel over TCP.
 *
 * @throws {ClientError} `CONNECT_FAILED`, `SERVER_CERTIFICATE`, `CERTIFICATE_REFUSED`, `HANDSHAKE_FAILED`, `TIMEOUT`
 */
export async function dialServer(options: DialOptions): Promise<ServerLink> {
  const { host, port, chain, key, random, handshakeMs, onStep } = options;
  let transport: SocketTransport | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let refusal: unknown;
  let sent: readonly Uint8Array[] = [];
  try {
    const dialed = await dialWithin(options);
    transport = dialed;
    timer = setTimeout(() => dialed.fail(noAnswer(host, port, handshakeMs)), handshakeMs);
    onStep("connect");
    const verifyServer = (serverChain: readonly Uint8Array[]) => {
      try {
        const server = options.verifyServer(serverChain);
        sent = serverChain;
        onStep("certificate");
        return server;
      } catch (error) {
        refusal = error;
        throw error;
      }
    };
    const { peer, records } = await connectChannel(transport, { random, chain, key, verifyServer });
    onStep("keys");
    transport.raiseLimit();
    return { link: new ChannelLink(transport, records), server: peer, serverChain: sent };
  } catch (error) {
    transport?.close();
    throw asHandshakeError(error, { refusal, isServerKnown: sent.length > 0 });
  } finally {
    clearTimeout(timer);
  }
}

/** @throws {ClientError} `CONNECT_FAILED`; {ChannelError} `TIMEOUT`, after which a connection that comes late is closed */
async function dialWithin({ host, port, connectMs }: DialOptions): Promise<SocketTransport> {
  const dialed = SocketTransport.dial(host, port);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(noAnswer(host, port, connectMs)), connectMs);
  });
  try {
    return await Promise.race([dialed, deadline]);
  } catch (error) {
    dialed.then(
      (late) => late.close(),
      () => undefined,
    );
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function noAnswer(host: string, port: number, ms: number): ChannelError {
  return new ChannelError("TIMEOUT", `no answer from ${host}:${port} in ${ms / 1000} s`);
}

class ChannelLink implements MessageLink {
  readonly #transport: SocketTransport;
  readonly #records: RecordLayer;
  #isClosed = false;

  constructor(transport: SocketTransport, records: RecordLayer) {
    this.#transport = transport;
    this.#records = records;
  }

  send(message: Uint8Array): void {
    if (this.#isClosed) return;
    for (const payload of this.#records.seal(message)) this.#transport.write(payload);
  }

  async receive(): Promise<Uint8Array> {
    for (;;) {
      const received = this.#records.open(await this.#transport.read());
      if (received.kind === "message") return received.bytes;
      if (received.kind === "alert")
        throw new ChannelError("PEER_ALERT", `the server ended the channel: ${received.code}`, {
          alert: received.code,
        });
    }
  }

  close(): void {
    if (!this.#isClosed) this.#transport.write(this.#records.sealAlert("close_notify"));
    this.abandon();
  }

  abandon(): void {
    this.#isClosed = true;
    this.#transport.close();
    this.#records.close();
  }
}
