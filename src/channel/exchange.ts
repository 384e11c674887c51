import { alertFor } from "./alerts.ts";
import type { OwnIdentity } from "./authentication.ts";
import { onReady, onServerAuth, onServerHello, startClient } from "./clientHandshake.ts";
import { abortHandshake, type Established, type HandshakeState, wipeHandshake } from "./handshakeState.ts";
import type { VerifyChain } from "./judgeChain.ts";
import { onClientAuth, onHello } from "./serverHandshake.ts";

/** Frame payloads to and from one peer, in order. */
export interface Transport {
  /**
   * Cuts the next frame off only when it is called, at most 16 KiB until the channel is established and 256 KiB after
   * that. Rejects with a `WireError` for a bad frame, and with a `ChannelError` when the owner ends the wait (`TIMEOUT`,
   * `SHUTTING_DOWN`, …; the peer is told) or the peer is gone (`CLOSED`).
   */
  read(): Promise<Uint8Array>;
  /** Queues one payload. Never throws: that the peer is gone is what `read` says. */
  write(payload: Uint8Array): void;
}

export interface ExchangeOptions extends OwnIdentity {
  /** Fresh bytes from the system's RNG. */
  readonly random: (length: number) => Uint8Array;
}

/**
 * The client's whole handshake.
 *
 * @param options.verifyServer judges the server's chain for purpose `server` and the host that was dialled
 * @throws {ChannelError} after telling the server why; or whatever `transport` rejected with. The transport is of no use
 *   after that: flush and close it.
 */
export function connectChannel(
  transport: Transport,
  options: ExchangeOptions & { readonly verifyServer: VerifyChain },
): Promise<Established> {
  return orAbort(transport, async (reached) => {
    const { random } = options;
    const started = await startClient({
      nonce32: random(32),
      x25519Secret32: random(32),
      mlKemSeed64: random(64),
    });
    reached(started.state);
    transport.write(started.payload);
    const awaitServerAuth = reached(await onServerHello(started.state, await transport.read()));
    const authenticated = onServerAuth(awaitServerAuth, await transport.read(), options);
    reached(authenticated.state);
    transport.write(authenticated.payload);
    return onReady(authenticated.state, await transport.read());
  });
}

/**
 * The server's whole handshake.
 *
 * @param options.verifyClient judges the client's chain for purpose `client`
 * @throws {ChannelError} as `connectChannel`
 */
export function acceptChannel(
  transport: Transport,
  options: ExchangeOptions & { readonly verifyClient: VerifyChain },
): Promise<Established> {
  return orAbort(transport, async (reached) => {
    const { random, chain, key } = options;
    const payload = await transport.read();
    const answered = await onHello({ payload, nonce32: random(32), x25519Secret32: random(32), chain, key });
    reached(answered.state);
    for (const answer of answered.payloads) transport.write(answer);
    const { state, payload: ready } = onClientAuth(answered.state, await transport.read(), options);
    transport.write(ready);
    return state;
  });
}

/** Runs a handshake; when it fails, says so to the peer under the keys of the last state and wipes them. */
async function orAbort(
  transport: Transport,
  run: (reached: <S extends HandshakeState>(state: S) => S) => Promise<Established>,
): Promise<Established> {
  let last: HandshakeState | undefined;
  try {
    return await run((state) => {
      last = state;
      return state;
    });
  } catch (error) {
    const alert = alertFor(error);
    if (alert !== undefined) transport.write(abortHandshake(last, alert));
    else if (last !== undefined) wipeHandshake(last);
    throw error;
  }
}
