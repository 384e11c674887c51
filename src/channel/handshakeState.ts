import type { MlKemSecretKey } from "../crypto/crypto.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { AlertCode } from "../wire/handshakeMessages.ts";
import { encodeAlert } from "./alerts.ts";
import { recordNumbers, sealHandshakeRecord } from "./handshakeRecord.ts";
import {
  type ApplicationSecrets,
  deriveTrafficKeys,
  type HandshakeSecrets,
  type TrafficKeys,
  wipeApplicationSecrets,
  wipeHandshakeSecrets,
  wipeTrafficKeys,
} from "./keySchedule.ts";
import type { RecordLayer } from "./recordLayer.ts";
import type { Secret } from "./secret.ts";

/*
 * One type per state. A state is good for one transition: when the function that takes it succeeds, what the next state
 * doesn't need has been wiped. When it throws, the state is as it was, so that `abortHandshake` can say why.
 */

/** The client has sent `hello`. */
export interface AwaitServerHello {
  readonly kind: "await_server_hello";
  readonly hello: Uint8Array;
  readonly x25519Secret: Secret;
  readonly mlKemSecretKey: MlKemSecretKey;
}

/** The client has the handshake keys. */
export interface AwaitServerAuth {
  readonly kind: "await_server_auth";
  readonly hello: Uint8Array;
  readonly serverHello: Uint8Array;
  readonly secrets: HandshakeSecrets;
}

/** The client has sent `client_auth` and knows the server, but not whether the server accepts. */
export interface AwaitReady {
  readonly kind: "await_ready";
  readonly peer: VerifiedCertificate;
  readonly secrets: ApplicationSecrets;
  /** A refusal comes under the handshake keys: the application keys exist only once both agree on four messages. */
  readonly serverHandshakeTraffic: TrafficKeys;
}

/** The server has sent `server_hello` and `server_auth`. */
export interface AwaitClientAuth {
  readonly kind: "await_client_auth";
  readonly hello: Uint8Array;
  readonly serverHello: Uint8Array;
  readonly serverAuth: Uint8Array;
  readonly secrets: HandshakeSecrets;
}

export type HandshakeState = AwaitServerHello | AwaitServerAuth | AwaitReady | AwaitClientAuth;

/** Both sides know each other and agree on every byte of the handshake. */
export interface Established {
  readonly peer: VerifiedCertificate;
  readonly records: RecordLayer;
  /** 32 bytes that only the two ends of this channel know. */
  readonly exporter: Uint8Array;
}

/**
 * Ends a handshake and wipes its secrets.
 *
 * @param state `undefined`: before the first state
 * @returns the payload that tells the peer why, under the keys that the peer expects next
 */
export function abortHandshake(state: HandshakeState | undefined, code: AlertCode): Uint8Array {
  const alert = encodeAlert(code);
  if (state === undefined) return alert;
  const payload = sealAlert(state, alert);
  wipeHandshake(state);
  return payload;
}

/** Ends a handshake without a word. */
export function wipeHandshake(state: HandshakeState): void {
  switch (state.kind) {
    case "await_server_hello":
      state.x25519Secret.wipe();
      break;
    case "await_server_auth":
    case "await_client_auth":
      wipeHandshakeSecrets(state.secrets);
      break;
    case "await_ready":
      wipeApplicationSecrets(state.secrets);
      wipeTrafficKeys(state.serverHandshakeTraffic);
  }
}

function sealAlert(state: HandshakeState, alert: Uint8Array): Uint8Array {
  switch (state.kind) {
    case "await_server_hello":
      return alert;
    case "await_server_auth":
      return sealHandshakeRecord(state.secrets.clientTraffic, recordNumbers.authentication, alert);
    case "await_ready": {
      // The server reads client_auth first; if it accepted, this is the first record of the channel.
      const keys = deriveTrafficKeys(state.secrets.clientTraffic);
      const record = sealHandshakeRecord(keys, 0, alert);
      wipeTrafficKeys(keys);
      return record;
    }
    case "await_client_auth":
      return sealHandshakeRecord(state.secrets.serverTraffic, recordNumbers.serverAlert, alert);
  }
}
