import type { Socket, TCPSocketListener } from "bun";
import { encodeAlert } from "../channel/alerts.ts";
import { ChannelError } from "../channel/channelError.ts";
import { encodeFrame } from "../wire/frame.ts";
import { Connection } from "./connection.ts";
import { networkOf } from "./loginDelay.ts";
import { ServerError } from "./serverError.ts";
import type { ServerLimits } from "./serverLimits.ts";
import type { ServerLog } from "./serverLog.ts";
import type { ServerMeter } from "./serverMeter.ts";
import { TokenBuckets } from "./tokenBuckets.ts";

/** How often deadlines are looked at. */
const tickMs = 250;
/** Refused connections are logged together, at most one line in so many ms. */
const refusedLogEveryMs = 1_000;
/** How many of the connections refused in that time are told why; the others are reset, which costs least. */
const maxRefusalsTold = 100;
const tooManyConnections = encodeFrame(encodeAlert("too_many_connections"));
/** How long connections may take to hand over their last bytes when the server stops. */
const stopMs = 6_000;

interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  /** Whether other processes may share the port. */
  readonly reusePort?: boolean;
  readonly limits: ServerLimits;
  readonly log: ServerLog;
  readonly meter: ServerMeter;
  /** Runs one connection to its end. Calls `onHandshakeEnd` once. */
  readonly run: (connection: Connection, network: string, onHandshakeEnd: () => void) => void;
}

/** The listening socket, its connections and the limits on them. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #socket: TCPSocketListener<Connection | undefined>;
  readonly #connections = new Map<Connection, string>();
  readonly #perNetwork = new Map<string, number>();
  readonly #arrivals: TokenBuckets;
  readonly #ticker: ReturnType<typeof setInterval>;
  #halfOpen = 0;
  #lastNumber = 0;
  #refused = 0;
  #refusedLoggedMs = Number.NEGATIVE_INFINITY;
  #wakeStop: (() => void) | undefined;

  /** @throws {ServerError} `PORT_IN_USE`, `PORT_FORBIDDEN`, `ADDRESS_UNAVAILABLE`, `LISTEN_FAILED` */
  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#arrivals = new TokenBuckets(options.limits.connectionRate, () => performance.now());
    const { host, port, reusePort = false } = options;
    try {
      this.#socket = Bun.listen<Connection | undefined>({
        hostname: host,
        port,
        // The runtime knows the option, its types don't.
        ...(reusePort ? { reusePort } : { exclusive: true }),
        socket: {
          open: (socket) => this.#opened(socket),
          data: (socket, chunk) => socket.data?.received(chunk),
          drain: (socket) => socket.data?.drained(),
          close: (socket) => this.#closed(socket),
          error: (socket) => socket.data?.closed(),
        },
      });
    } catch (cause) {
      throw listenError(host, port, cause);
    }
    this.#ticker = setInterval(() => this.#tick(), tickMs);
  }

  get port(): number {
    return this.#socket.port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Ends every connection with the alert `shutting_down`; resolves when all are closed, some by force. */
  async stop(): Promise<void> {
    this.#socket.stop();
    for (const connection of this.#connections.keys())
      connection.end(new ChannelError("SHUTTING_DOWN", "the server is shutting down"));
    const force = setTimeout(() => this.#socket.stop(true), stopMs);
    while (this.#connections.size > 0)
      await new Promise<void>((resolve) => {
        this.#wakeStop = resolve;
      });
    clearTimeout(force);
    clearInterval(this.#ticker);
  }

  #opened(socket: Socket<Connection | undefined>): void {
    const { limits, meter, run } = this.#options;
    const network = networkOf(socket.remoteAddress);
    const fromNetwork = this.#perNetwork.get(network) ?? 0;
    if (
      this.#connections.size >= limits.connections ||
      this.#halfOpen >= limits.halfOpenConnections ||
      fromNetwork >= limits.connectionsPerAddress ||
      this.#arrivals.waitMs(network) > 0
    ) {
      meter.connection("refused");
      this.#refuse(socket);
      return;
    }
    meter.connection("accepted");
    // Refused ones don't count: who floods must not keep out everybody else behind the same address.
    this.#arrivals.take(network, 1);
    socket.setNoDelay(true);
    this.#lastNumber += 1;
    const connection = new Connection(socket, {
      number: this.#lastNumber,
      peer: peerOf(socket),
      queuedBytes: limits.queuedBytes,
    });
    socket.data = connection;
    this.#connections.set(connection, network);
    this.#perNetwork.set(network, fromNetwork + 1);
    this.#halfOpen += 1;
    let counted = true;
    run(connection, network, () => {
      if (counted) this.#halfOpen -= 1;
      counted = false;
    });
  }

  /** A flood of connections must become neither a flood of log lines nor one of answers. */
  #refuse(socket: Socket<Connection | undefined>): void {
    this.#refused += 1;
    if (this.#refused <= maxRefusalsTold) socket.end(tooManyConnections);
    else socket.terminate();
    const nowMs = performance.now();
    if (nowMs < this.#refusedLoggedMs + refusedLogEveryMs) return;
    this.#refusedLoggedMs = nowMs;
    const others = this.#refused > 1 ? ` (${this.#refused} since the last such line)` : "";
    this.#options.log("WARNING", `Connection from ${peerOf(socket)} refused: too many connections${others}`);
    this.#refused = 0;
  }

  #closed({ data: connection }: Socket<Connection | undefined>): void {
    if (connection === undefined) return;
    connection.closed();
    const network = this.#connections.get(connection);
    if (network === undefined) return;
    this.#connections.delete(connection);
    const left = (this.#perNetwork.get(network) ?? 1) - 1;
    if (left === 0) this.#perNetwork.delete(network);
    else this.#perNetwork.set(network, left);
    if (this.#connections.size === 0) this.#wakeStop?.();
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const connection of this.#connections.keys()) connection.checkDeadline(nowMs);
  }
}

function peerOf(socket: Socket<unknown>): string {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

function listenError(host: string, port: number, cause: unknown): ServerError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return new ServerError(
        "PORT_IN_USE",
        `port ${port} is in use, stop the other server or choose another --port`,
        {
          cause,
        },
      );
    case "EACCES":
      return new ServerError(
        "PORT_FORBIDDEN",
        `no permission to listen on port ${port}, choose one above 1023`,
        {
          cause,
        },
      );
    case "EADDRNOTAVAIL":
      return new ServerError("ADDRESS_UNAVAILABLE", `${host} is no address of this machine`, { cause });
    default:
      return new ServerError("LISTEN_FAILED", `can't listen on ${host}:${port}`, { cause });
  }
}
