import { concatBytes, encodeUint32, encodeUtf8 } from "../base/bytes.ts";
import { crypto, sha256 } from "../crypto/crypto.ts";
import { type Label, labels } from "../crypto/labels.ts";
import { Secret } from "./secret.ts";

const hashBytes = 32;
const keyBytes = 32;
const ivBytes = 12;

const none = new Uint8Array(0);

/** AES-256-GCM key and the iv that record numbers are added to. */
export interface TrafficKeys {
  readonly key: Secret;
  readonly iv: Secret;
}

/** What both sides know after the two hello messages. */
export interface HandshakeSecrets {
  /** The root of the application secrets. */
  readonly handshake: Secret;
  readonly serverTraffic: TrafficKeys;
  readonly clientTraffic: TrafficKeys;
  readonly serverFinished: Secret;
  readonly clientFinished: Secret;
}

/** What both sides know after all four messages of the handshake. */
export interface ApplicationSecrets {
  readonly serverTraffic: Secret;
  readonly clientTraffic: Secret;
  /** For whatever has to be bound to this channel; no key of the channel can be computed from it. */
  readonly exporter: Secret;
}

/** @returns SHA-256 over the messages in order, each preceded by its length as a uint32: no two lists hash alike */
export function transcriptHash(...messages: readonly Uint8Array[]): Uint8Array {
  return sha256(concatBytes(...messages.flatMap((message) => [encodeUint32(message.length), message])));
}

/**
 * @param shares the two shared secrets, 32 bytes each; wiped
 * @param helloHash `transcriptHash(hello, server_hello)`
 */
export function deriveHandshakeSecrets(
  shares: { mlKem: Uint8Array; x25519: Uint8Array },
  helloHash: Uint8Array,
): HandshakeSecrets {
  const shared = concatBytes(shares.mlKem, shares.x25519);
  shares.mlKem.fill(0);
  shares.x25519.fill(0);
  const handshake = extract(labels.channelSalt, shared);
  shared.fill(0);
  return {
    handshake,
    serverTraffic: takeTrafficKeys(expand(handshake, labels.serverHandshakeTraffic, helloHash)),
    clientTraffic: takeTrafficKeys(expand(handshake, labels.clientHandshakeTraffic, helloHash)),
    serverFinished: expand(handshake, labels.serverFinished, helloHash),
    clientFinished: expand(handshake, labels.clientFinished, helloHash),
  };
}

/** @param fullHash `transcriptHash(hello, server_hello, server_auth, client_auth)` */
export function deriveApplicationSecrets(handshake: Secret, fullHash: Uint8Array): ApplicationSecrets {
  const application = extract(labels.applicationSalt, handshake.bytes);
  const secrets = {
    serverTraffic: expand(application, labels.serverApplicationTraffic, fullHash),
    clientTraffic: expand(application, labels.clientApplicationTraffic, fullHash),
    exporter: expand(application, labels.exporter, fullHash),
  };
  application.wipe();
  return secrets;
}

/** @returns key and iv of one traffic secret; the secret stays */
export function deriveTrafficKeys(traffic: Secret): TrafficKeys {
  return {
    key: expand(traffic, labels.trafficKey, none, keyBytes),
    iv: expand(traffic, labels.trafficIv, none, ivBytes),
  };
}

/** @returns the traffic secret that follows a `key_update`; the old one is wiped */
export function nextTrafficSecret(traffic: Secret): Secret {
  const next = expand(traffic, labels.trafficUpdate, none);
  traffic.wipe();
  return next;
}

export function wipeTrafficKeys(keys: TrafficKeys): void {
  keys.key.wipe();
  keys.iv.wipe();
}

export function wipeHandshakeSecrets(secrets: HandshakeSecrets): void {
  secrets.handshake.wipe();
  wipeTrafficKeys(secrets.serverTraffic);
  wipeTrafficKeys(secrets.clientTraffic);
  secrets.serverFinished.wipe();
  secrets.clientFinished.wipe();
}

export function wipeApplicationSecrets(secrets: ApplicationSecrets): void {
  secrets.serverTraffic.wipe();
  secrets.clientTraffic.wipe();
  secrets.exporter.wipe();
}

/** The salt is the hash of its label, so that both extractions have one of the hash's length (RFC 5869 §3.1). */
function extract(saltLabel: Label, inputKey: Uint8Array): Secret {
  return new Secret(crypto().hkdfExtract("sha256", sha256(encodeUtf8(saltLabel)), inputKey));
}

/** HKDF-Expand(secret, label || context, length). Under one secret all contexts are equally long, so no two infos are equal. */
function expand(secret: Secret, label: Label, context: Uint8Array, length: number = hashBytes): Secret {
  const info = concatBytes(encodeUtf8(label), context);
  return new Secret(crypto().hkdfExpand("sha256", secret.bytes, info, length));
}

/** Keys that are never updated: their secret isn't needed again. */
function takeTrafficKeys(traffic: Secret): TrafficKeys {
  const keys = deriveTrafficKeys(traffic);
  traffic.wipe();
  return keys;
}
