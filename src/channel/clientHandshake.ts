import { encodeJson } from "../base/schema.ts";
import { crypto } from "../crypto/crypto.ts";
import { helloSchema, protocolVersion } from "../wire/handshakeMessages.ts";
import {
  clientRole,
  makeAuthentication,
  type OwnIdentity,
  serverRole,
  verifyAuthentication,
} from "./authentication.ts";
import { ChannelError } from "./channelError.ts";
import { decodeReady, decodeServerHello, parseAlert, peerAlert } from "./controlMessage.ts";
import { badRecord, openHandshakeRecord, recordNumbers, sealHandshakeRecord } from "./handshakeRecord.ts";
import type { AwaitReady, AwaitServerAuth, AwaitServerHello, Established } from "./handshakeState.ts";
import type { VerifyChain } from "./judgeChain.ts";
import {
  deriveApplicationSecrets,
  deriveHandshakeSecrets,
  deriveTrafficKeys,
  transcriptHash,
  wipeTrafficKeys,
} from "./keySchedule.ts";
import { RecordLayer } from "./recordLayer.ts";
import { Secret } from "./secret.ts";

/** Fresh random bytes of one handshake; the secrets are taken over and wiped. */
export interface ClientRandomness {
  readonly nonce32: Uint8Array;
  readonly x25519Secret32: Uint8Array;
  /** d || z, FIPS 203 §7.1 */
  readonly mlKemSeed64: Uint8Array;
}

/** @returns the first state, and the payload of `hello` to send */
export async function startClient({
  nonce32,
  x25519Secret32,
  mlKemSeed64,
}: ClientRandomness): Promise<{ state: AwaitServerHello; payload: Uint8Array }> {
  const { publicKey, secretKey } = await crypto().mlKem768Generate(mlKemSeed64);
  mlKemSeed64.fill(0);
  const hello = encodeJson(helloSchema, {
    type: "hello",
    version: protocolVersion,
    nonce: nonce32,
    x25519: crypto().x25519PublicKey(x25519Secret32),
    mlkem768: publicKey,
  });
  const x25519Secret = new Secret(x25519Secret32);
  return {
    state: { kind: "await_server_hello", hello, x25519Secret, mlKemSecretKey: secretKey },
    payload: hello,
  };
}

/** @throws {ChannelError} */
export async function onServerHello(state: AwaitServerHello, payload: Uint8Array): Promise<AwaitServerAuth> {
  const serverHello = decodeServerHello(payload);
  const x25519 = crypto().x25519(state.x25519Secret.bytes, serverHello.x25519);
  if (x25519 === undefined)
    throw new ChannelError("BAD_KEY_SHARE", "the server's X25519 share is of low order");
  const mlKem = await crypto().mlKem768Decapsulate(state.mlKemSecretKey, serverHello.mlkem768);
  const secrets = deriveHandshakeSecrets({ mlKem, x25519 }, transcriptHash(state.hello, payload));
  state.x25519Secret.wipe();
  return { kind: "await_server_auth", hello: state.hello, serverHello: payload, secrets };
}

/**
 * @param record under the server's handshake key: `server_auth`
 * @param options.verifyServer judges the chain for purpose `server` and the host that was dialled
 * @returns the next state, and the payload of `client_auth` to send
 * @throws {ChannelError}
 */
export function onServerAuth(
  state: AwaitServerAuth,
  record: Uint8Array,
  options: OwnIdentity & { readonly verifyServer: VerifyChain },
): { state: AwaitReady; payload: Uint8Array } {
  const { hello, serverHello, secrets } = state;
  const serverAuth = openHandshakeRecord(secrets.serverTraffic, recordNumbers.authentication, record);
  if (serverAuth === undefined) throw badRecord();
  const hellos = [hello, serverHello];
  const peer = verifyAuthentication(serverRole, {
    before: hellos,
    content: serverAuth,
    finished: secrets.serverFinished,
    verifyChain: options.verifyServer,
  });
  const before = [...hellos, serverAuth];
  const clientAuth = makeAuthentication(clientRole, {
    before,
    identity: options,
    finished: secrets.clientFinished,
  });
  const payload = sealHandshakeRecord(secrets.clientTraffic, recordNumbers.authentication, clientAuth);
  const application = deriveApplicationSecrets(secrets.handshake, transcriptHash(...before, clientAuth));
  secrets.handshake.wipe();
  secrets.serverFinished.wipe();
  secrets.clientFinished.wipe();
  wipeTrafficKeys(secrets.clientTraffic);
  return {
    state: {
      kind: "await_ready",
      peer,
      secrets: application,
      serverHandshakeTraffic: secrets.serverTraffic,
    },
    payload,
  };
}

/**
 * @param record `ready` under the server's application key, or an alert under its handshake key
 * @throws {ChannelError} `PEER_ALERT` when the server refused, and others
 */
export function onReady(state: AwaitReady, record: Uint8Array): Established {
  const { peer, secrets, serverHandshakeTraffic } = state;
  const keys = deriveTrafficKeys(secrets.serverTraffic);
  const ready = openHandshakeRecord(keys, 0, record);
  wipeTrafficKeys(keys);
  if (ready === undefined) {
    const refusal = openHandshakeRecord(serverHandshakeTraffic, recordNumbers.serverAlert, record);
    const alert = refusal && parseAlert(refusal);
    throw alert === undefined ? badRecord() : peerAlert(alert);
  }
  decodeReady(ready);
  wipeTrafficKeys(serverHandshakeTraffic);
  const records = new RecordLayer(
    { secret: secrets.clientTraffic },
    { secret: secrets.serverTraffic, used: record.length },
  );
  return { peer, records, exporter: secrets.exporter.bytes };
}
