import { ChannelError } from "../../src/channel/channelError.ts";
import { acceptChannel } from "../../src/channel/exchange.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import { PkiError } from "../../src/pki/pkiError.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import type { AlertCode } from "../../src/wire/handshakeMessages.ts";
import { type Identity, RawSocket } from "../server/rawClient.ts";

/** How a client that came here took the server for: `refused` before it said who it is, or `authenticated`. */
export interface Encounter {
  readonly kind: "refused" | "authenticated";
  /** What the client said when it refused. */
  readonly alert: AlertCode | undefined;
  /** Frames that it sent in all. */
  readonly frames: number;
}

/** Speaks the server's side of the channel with whatever certificate a test gives it, and notes what clients make of that. */
export class HostileServer implements Disposable {
  readonly #listener;
  readonly #encounters: Promise<Encounter>[] = [];

  constructor(identity: Identity, ca: Certificate) {
    this.#listener = RawSocket.listen((socket) => {
      this.#encounters.push(meet(socket, identity, ca).finally(() => socket.end()));
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** All encounters, to their ends. */
  encounters(): Promise<Encounter[]> {
    return Promise.all(this.#encounters);
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }
}

async function meet(socket: RawSocket, identity: Identity, ca: Certificate): Promise<Encounter> {
  let frames = 0;
  const transport = {
    async read() {
      const payload = await socket.read();
      frames += 1;
      return payload;
    },
    write: (payload: Uint8Array) => socket.write(payload),
  };
  const verifyClient = (chain: readonly Uint8Array[]) => {
    const [leaf, ...intermediates] = chain.map(decodeCertificate);
    if (leaf === undefined) throw new PkiError("NO_PATH", "no certificate");
    return verifyPath({ leaf, intermediates, anchors: [ca], crls: [], purpose: "client", atMs: Date.now() });
  };
  try {
    await acceptChannel(transport, { ...identity, random: systemRandom, verifyClient });
    return { kind: "authenticated", alert: undefined, frames };
  } catch (error) {
    if (!(error instanceof ChannelError) || error.code !== "PEER_ALERT") throw error;
    return { kind: "refused", alert: error.alert, frames };
  }
}
