import type { Socket, TCPSocketListener } from "bun";

/** Stands between client and server on loopback, forwards every byte and keeps a copy of it. */
export class TcpProxy {
  readonly #chunks: Buffer[] = [];
  readonly #sentByClients: Buffer[] = [];
  readonly #listener: TCPSocketListener<Pair>;

  constructor(targetPort: number) {
    const chunks = this.#chunks;
    const sentByClients = this.#sentByClients;
    const flush = (socket: Socket<Pair>) => {
      const { pending } = socket.data;
      while (pending.length > 0) {
        const next = pending[0] ?? Buffer.alloc(0);
        const written = Math.max(0, socket.write(next));
        if (written < next.length) {
          pending[0] = next.subarray(written);
          return;
        }
        pending.shift();
      }
    };
    const forward = (socket: Socket<Pair>, data: Buffer) => {
      chunks.push(Buffer.from(data));
      const { peer, isClient } = socket.data;
      if (isClient) sentByClients.push(Buffer.from(data));
      if (peer === undefined) socket.data.early.push(Buffer.from(data));
      else {
        peer.data.pending.push(Buffer.from(data));
        flush(peer);
      }
    };
    const handlers = {
      data: forward,
      drain: flush,
      close: (socket: Socket<Pair>) => void socket.data?.peer?.end(),
      error: () => {},
    };
    this.#listener = Bun.listen<Pair>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        ...handlers,
        async open(client) {
          client.data = { isClient: true, peer: undefined, pending: [], early: [] };
          const upstream = await Bun.connect<Pair>({
            hostname: "127.0.0.1",
            port: targetPort,
            data: { isClient: false, peer: client, pending: [], early: [] },
            socket: handlers,
          });
          client.data.peer = upstream;
          upstream.data.pending.push(...client.data.early);
          flush(upstream);
        },
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Everything that crossed, both directions. */
  get captured(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** What crossed from clients to the server, in order. */
  get sentByClients(): Buffer {
    return Buffer.concat(this.#sentByClients);
  }

  stop(): void {
    this.#listener.stop(true);
  }
}

interface Pair {
  readonly isClient: boolean;
  peer: Socket<Pair> | undefined;
  /** Bytes on their way to this socket. */
  readonly pending: Buffer[];
  /** Bytes that came before the other side was connected. */
  readonly early: Buffer[];
}
