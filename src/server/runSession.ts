import { visible } from "../base/visible.ts";
import type { VerifyChain } from "../channel/authentication.ts";
import { ChannelError } from "../channel/channelError.ts";
import { acceptChannel, type ExchangeOptions } from "../channel/exchange.ts";
import { WireError } from "../wire/wireError.ts";
import type { Connection } from "./connection.ts";
import { describeError } from "./describeError.ts";
import { handshakeTransport } from "./handshakeTransport.ts";
import { type LoginServices, logIn } from "./login.ts";
import { RequestReader } from "./requests.ts";
import { ClientSession, type SessionServices } from "./session.ts";
import { timed } from "./timed.ts";
import type { HandshakeTurns } from "./turns.ts";

export interface ConnectionServices extends SessionServices, LoginServices {
  /** As the server is when the handshake begins: its certificate may be renewed while it runs. */
  readonly handshake: () => ExchangeOptions & { readonly verifyClient: VerifyChain };
  /** Strangers cost public-key operations: theirs come after what those who are logged in ask for. */
  readonly handshakeTurns: HandshakeTurns;
}

/**
 * One client from its connection to its end: handshake, login, then requests in the order in which they came. It never
 * throws: what ended the session is in the log, and the client was told as much as it may know.
 *
 * @param network the client's, as `networkOf` names it
 * @param onHandshakeEnd called once, when the handshake is done or has failed
 */
export async function runSession(
  connection: Connection,
  network: string,
  services: ConnectionServices,
  onHandshakeEnd: () => void,
): Promise<void> {
  const tag = `[SESSION-${String(connection.number).padStart(3, "0")}]`;
  services.log("INFO", `${tag} Client connected from ${connection.peer}`);
  let session: ClientSession | undefined;
  try {
    // What it takes to come in is forgotten then: thousands of silent clients wait here.
    session = await comeIn(connection, { network, tag }, services, onHandshakeEnd);
    await session.run();
  } catch (error) {
    const expected =
      error instanceof WireError || (error instanceof ChannelError && error.code !== "INTERNAL");
    services.log(
      expected ? "INFO" : "ERROR",
      `${tag} Client disconnected: ${expected ? visible(error.message) : describeError(error)}`,
    );
    connection.finish(error);
  } finally {
    if (session !== undefined) services.sessions.remove(session);
  }
}

/** Handshake and login. */
async function comeIn(
  connection: Connection,
  peer: { readonly network: string; readonly tag: string },
  services: ConnectionServices,
  onHandshakeEnd: () => void,
): Promise<ClientSession> {
  const { limits, log } = services;
  const certificate = await shakeHands(connection, peer.network, services, onHandshakeEnd);
  const requests = new RequestReader();
  const loggedIn = await logIn(
    connection,
    requests,
    { ...peer, certificate, address: connection.peer },
    services,
  );
  const session = new ClientSession({ connection, requests }, loggedIn, services);
  connection.watchIdle(limits.idleMs);
  log("INFO", `${peer.tag} Client authenticated: ${visible(session.member.username)}`);
  return session;
}

async function shakeHands(
  connection: Connection,
  network: string,
  services: ConnectionServices,
  onEnd: () => void,
) {
  const { limits, meter, handshake, handshakeTurns: turns } = services;
  const { handshakeMs } = limits;
  const transport = handshakeTransport(connection, { network, turns, handshakeMs });
  let hasSucceeded = false;
  try {
    const { peer, records } = await timed(
      () => acceptChannel(transport, handshake()),
      (outcome, seconds) => meter.handshake(outcome, seconds),
    );
    connection.establish(records);
    hasSucceeded = true;
    return peer;
  } finally {
    turns.ended(hasSucceeded);
    onEnd();
  }
}
