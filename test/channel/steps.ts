import { onReady, onServerAuth, onServerHello, startClient } from "../../src/channel/clientHandshake.ts";
import type { AwaitClientAuth, AwaitServerAuth } from "../../src/channel/handshakeState.ts";
import { onClientAuth, onHello } from "../../src/channel/serverHandshake.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { host, identityOf, world } from "./parties.ts";

/** A fresh client that has said hello. */
export const sayHello = () =>
  startClient({ nonce32: systemRandom(32), x25519Secret32: systemRandom(32), mlKemSeed64: systemRandom(64) });

/** The real server's answer to a payload. */
export async function answerHello(payload: Uint8Array) {
  const { server } = await world();
  const { state, payloads } = await onHello({
    payload,
    nonce32: systemRandom(32),
    x25519Secret32: systemRandom(32),
    ...identityOf(server),
  });
  const [serverHello, serverAuth] = payloads;
  if (serverHello === undefined || serverAuth === undefined)
    throw new Error("the server answers in two payloads");
  return { state, serverHello, serverAuth };
}

/** Alice reads `server_auth`. */
export async function readServerAuth(state: AwaitServerAuth, record: Uint8Array) {
  const { ca, alice } = await world();
  return onServerAuth(state, record, { ...identityOf(alice), verifyServer: ca.verifier("server", { host }) });
}

/** The real server reads `client_auth`. */
export async function readClientAuth(state: AwaitClientAuth, record: Uint8Array) {
  const { ca } = await world();
  return onClientAuth(state, record, { verifyClient: ca.verifier("client") });
}

/** Both sides after the two hellos, with the record of `server_auth` still to be read. */
export async function afterHellos() {
  const client = await sayHello();
  const server = await answerHello(client.payload);
  const clientState = await onServerHello(client.state, server.serverHello);
  return {
    hello: client.payload,
    serverHello: server.serverHello,
    serverAuth: server.serverAuth,
    client: clientState,
    server: server.state,
  };
}

/** Both sides with the record of `client_auth` still to be read. */
export async function afterServerAuth() {
  const before = await afterHellos();
  const { state, payload } = await readServerAuth(before.client, before.serverAuth);
  return { ...before, client: state, clientAuth: payload };
}

/** Both ends of a channel. */
export async function establish() {
  const before = await afterServerAuth();
  const { state, payload } = await readClientAuth(before.server, before.clientAuth);
  return { server: state, client: onReady(before.client, payload), ready: payload };
}
