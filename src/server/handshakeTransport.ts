import type { Transport } from "../channel/exchange.ts";
import type { Connection } from "./connection.ts";
import type { HandshakeTurns } from "./turns.ts";

interface HandshakeBounds {
  /** The client's, as `networkOf` names it. */
  readonly network: string;
  readonly turns: HandshakeTurns;
  /** What the client may take for its part of the handshake, all of it together. */
  readonly handshakeMs: number;
}

/**
 * A connection as the handshake sees it: each payload waits for its turn. That wait is the server's own, and the client's
 * time stands still meanwhile: when everybody comes back at once, whoever stands far behind in the line is served too.
 */
export function handshakeTransport(
  connection: Pick<Connection, "read" | "write" | "requireOpen" | "deadlineMs">,
  { network, turns, handshakeMs }: HandshakeBounds,
): Transport {
  let leftMs = handshakeMs;
  let isFirst = true;
  return {
    async read() {
      const fromMs = performance.now();
      connection.deadlineMs = fromMs + leftMs;
      const payload = await connection.read();
      connection.deadlineMs = Number.POSITIVE_INFINITY;
      leftMs -= performance.now() - fromMs;
      await turns.next(network, isFirst);
      isFirst = false;
      // Whoever has gone meanwhile needs no work any more.
      connection.requireOpen();
      return payload;
    },
    write: (payload) => connection.write(payload),
  };
}
