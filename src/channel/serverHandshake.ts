import { encodeJson } from "../base/schema.ts";
import { crypto } from "../crypto/crypto.ts";
import { protocolVersion, serverHelloSchema } from "../wire/handshakeMessages.ts";
import {
  clientRole,
  makeAuthentication,
  type OwnIdentity,
  serverRole,
  verifyAuthentication,
} from "./authentication.ts";
import { ChannelError } from "./channelError.ts";
import { decodeHello, parseAlert, peerAlert, readyMessage } from "./controlMessage.ts";
import { badRecord, openHandshakeRecord, recordNumbers, sealHandshakeRecord } from "./handshakeRecord.ts";
import type { AwaitClientAuth, Established } from "./handshakeState.ts";
import type { VerifyChain } from "./judgeChain.ts";
import {
  deriveApplicationSecrets,
  deriveHandshakeSecrets,
  deriveTrafficKeys,
  transcriptHash,
  wipeHandshakeSecrets,
  wipeTrafficKeys,
} from "./keySchedule.ts";
import { RecordLayer } from "./recordLayer.ts";

/** Fresh random bytes of one handshake; the secret is wiped. The encapsulation's coins come from the provider. */
export interface ServerRandomness {
  readonly nonce32: Uint8Array;
  readonly x25519Secret32: Uint8Array;
}

/**
 * @param payload the first one of a client that nobody knows
 * @returns the first state, and the payloads of `server_hello` and `server_auth` to send
 * @throws {ChannelError}
 */
export async function onHello(
  options: ServerRandomness & OwnIdentity & { readonly payload: Uint8Array },
): Promise<{ state: AwaitClientAuth; payloads: readonly Uint8Array[] }> {
  const { payload, nonce32, x25519Secret32 } = options;
  const hello = decodeHello(payload);
  const x25519PublicKey = crypto().x25519PublicKey(x25519Secret32);
  const x25519 = crypto().x25519(x25519Secret32, hello.x25519);
  x25519Secret32.fill(0);
  if (x25519 === undefined)
    throw new ChannelError("BAD_KEY_SHARE", "the client's X25519 share is of low order");
  const encapsulated = await crypto().mlKem768Encapsulate(hello.mlkem768);
  if (encapsulated === undefined)
    throw new ChannelError("BAD_KEY_SHARE", "the client's ML-KEM-768 key fails its check");

  const serverHello = encodeJson(serverHelloSchema, {
    type: "server_hello",
    version: protocolVersion,
    nonce: nonce32,
    x25519: x25519PublicKey,
    mlkem768: encapsulated.ciphertext,
  });
  const hellos = [payload, serverHello];
  const secrets = deriveHandshakeSecrets(
    { mlKem: encapsulated.sharedSecret, x25519 },
    transcriptHash(...hellos),
  );
  const serverAuth = makeAuthentication(serverRole, {
    before: hellos,
    identity: options,
    finished: secrets.serverFinished,
  });
  const record = sealHandshakeRecord(secrets.serverTraffic, recordNumbers.authentication, serverAuth);
  return {
    state: { kind: "await_client_auth", hello: payload, serverHello, serverAuth, secrets },
    payloads: [serverHello, record],
  };
}

/**
 * @param record `client_auth` under the client's handshake key, or an alert, in clear when the client could not follow
 * @param options.verifyClient judges the chain for purpose `client`
 * @returns the channel, and the payload of `ready` to send
 * @throws {ChannelError}
 */
export function onClientAuth(
  state: AwaitClientAuth,
  record: Uint8Array,
  { verifyClient }: { readonly verifyClient: VerifyChain },
): { state: Established; payload: Uint8Array } {
  const { hello, serverHello, serverAuth, secrets } = state;
  const clientAuth = openHandshakeRecord(secrets.clientTraffic, recordNumbers.authentication, record);
  if (clientAuth === undefined) {
    const alert = parseAlert(record);
    throw alert === undefined ? badRecord() : peerAlert(alert);
  }
  const before = [hello, serverHello, serverAuth];
  const peer = verifyAuthentication(clientRole, {
    before,
    content: clientAuth,
    finished: secrets.clientFinished,
    verifyChain: verifyClient,
  });

  const application = deriveApplicationSecrets(secrets.handshake, transcriptHash(...before, clientAuth));
  wipeHandshakeSecrets(secrets);
  const keys = deriveTrafficKeys(application.serverTraffic);
  const payload = sealHandshakeRecord(keys, 0, readyMessage);
  wipeTrafficKeys(keys);
  const records = new RecordLayer(
    { secret: application.serverTraffic, used: payload.length },
    { secret: application.clientTraffic },
  );
  return { state: { peer, records, exporter: application.exporter.bytes }, payload };
}
