import type { Socket, TCPSocketListener } from "bun";
import { SendQueue } from "../../src/wire/sendQueue.ts";

interface End {
  socket: Socket<Pair> | Socket | undefined;
  readonly queue: SendQueue;
  held: boolean;
}

interface Pair {
  readonly client: End;
  readonly server: End;
}

/** A cable between clients and a server that a test can hold or cut. What it held is delivered on release. */
export class TestLink {
  readonly #listener: TCPSocketListener<Pair>;
  readonly #pairs = new Set<Pair>();
  #held: "to client" | "to server" | undefined;
  /** Every byte that went through, both directions. */
  readonly traffic: Uint8Array[] = [];
  #waiting: (() => void)[] = [];
  readonly #onTraffic: () => void;

  /** @param onTraffic called with each chunk, whatever its direction */
  constructor(port: () => number, onTraffic: () => void = () => {}) {
    this.#onTraffic = onTraffic;
    this.#listener = Bun.listen<Pair>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          const pair: Pair = {
            client: { socket, queue: new SendQueue(), held: this.#held === "to client" },
            server: { socket: undefined, queue: new SendQueue(), held: this.#held === "to server" },
          };
          socket.data = pair;
          this.#pairs.add(pair);
          // Where nobody listens there is nothing behind the cable.
          this.#dial(port, pair).catch(() => this.#close(pair));
        },
        data: (socket, chunk) => this.#forward(socket.data.server, chunk),
        drain: (socket) => flush(socket.data.client),
        close: (socket) => this.#close(socket.data),
      },
    });
  }

  /** Resolves when the next bytes have come from either side, held or not. */
  nextTraffic(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  get port(): number {
    return this.#listener.port;
  }

  /** From now on nothing arrives in that direction. */
  hold(direction: "to client" | "to server"): void {
    this.#held = direction;
    for (const { client, server } of this.#pairs) (direction === "to client" ? client : server).held = true;
  }

  release(): void {
    this.#held = undefined;
    for (const { client, server } of this.#pairs)
      for (const end of [client, server]) {
        end.held = false;
        flush(end);
      }
  }

  /** Ends all connections at once; what was held is lost. */
  cut(): void {
    this.#held = undefined;
    for (const pair of this.#pairs) this.#close(pair);
  }

  stop(): void {
    this.cut();
    this.#listener.stop(true);
  }

  async #dial(port: () => number, pair: Pair): Promise<void> {
    pair.server.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: port(),
      socket: {
        data: (_, chunk) => this.#forward(pair.client, chunk),
        drain: () => flush(pair.server),
        close: () => this.#close(pair),
      },
    });
    flush(pair.server);
  }

  #forward(end: End, chunk: Uint8Array): void {
    this.traffic.push(chunk.slice());
    this.#onTraffic();
    for (const wake of this.#waiting.splice(0)) wake();
    end.queue.push(chunk.slice());
    flush(end);
  }

  #close(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    pair.client.socket?.end();
    pair.server.socket?.end();
  }
}

function flush({ socket, queue, held }: End): void {
  if (socket !== undefined && !held) queue.flush((bytes) => socket.write(bytes));
}
