import { decodeUtf8 } from "../base/bytes.ts";
import { decodeJson, encodeJson, type Schema, SchemaError } from "../base/schema.ts";
import { maxHandshakeFrameBytes } from "../wire/frame.ts";
import {
  type AlertCode,
  alertSchema,
  helloSchema,
  protocolVersion,
  readySchema,
  serverHelloSchema,
} from "../wire/handshakeMessages.ts";
import { ChannelError } from "./channelError.ts";

/** `{"type":"ready"}` */
export const readyMessage = encodeJson(readySchema, { type: "ready" });

/** Longest alert, with room to spare; anything longer is not looked at as one. */
const maxAlertBytes = 64;

const versioned: readonly string[] = ["hello", "server_hello"];

/**
 * Reads one message of the channel itself. The peer, or before encryption anybody on the network, controls every byte.
 * What is looked at, in this order: length, JSON, type, version of a hello, everything else. So a peer of another
 * version is told so, whatever its messages look like otherwise.
 *
 * @param expected the one type that the state allows; an alert is understood in every state
 * @throws {ChannelError} `RECORD_OVERFLOW`, `MALFORMED`, `UNEXPECTED_MESSAGE`, `UNSUPPORTED_VERSION`, `PEER_ALERT`
 */
export function decodeControlMessage<T>(expected: string, schema: Schema<T>, bytes: Uint8Array): T {
  if (bytes.length > maxHandshakeFrameBytes)
    throw new ChannelError(
      "RECORD_OVERFLOW",
      `message of ${bytes.length} bytes, at most ${maxHandshakeFrameBytes} are allowed here`,
    );
  const { type, version } = peek(bytes);
  if (type === "alert") throw peerAlert(strictly(alertSchema, bytes, maxAlertBytes).code);
  if (type !== expected)
    throw new ChannelError("UNEXPECTED_MESSAGE", `the peer sent another message than ${expected}`);
  if (versioned.includes(type) && Number.isSafeInteger(version) && version !== protocolVersion)
    throw new ChannelError(
      "UNSUPPORTED_VERSION",
      `the peer speaks protocol version ${String(version)}, this side only ${protocolVersion}`,
    );
  return strictly(schema, bytes, maxHandshakeFrameBytes);
}

export const decodeHello = (payload: Uint8Array) => decodeControlMessage("hello", helloSchema, payload);

export const decodeServerHello = (payload: Uint8Array) =>
  decodeControlMessage("server_hello", serverHelloSchema, payload);

export const decodeReady = (content: Uint8Array) => decodeControlMessage("ready", readySchema, content);

/** @returns the code of an alert, or `undefined` when `bytes` are none in canonical form */
export function parseAlert(bytes: Uint8Array): AlertCode | undefined {
  if (bytes.length > maxAlertBytes) return undefined;
  try {
    return decodeJson(alertSchema, bytes, maxAlertBytes).code;
  } catch {
    return undefined;
  }
}

/** @returns the error that stands for an alert of the peer */
export function peerAlert(alert: AlertCode): ChannelError {
  return new ChannelError("PEER_ALERT", `the peer ended the channel: ${alert}`, { alert });
}

function strictly<T>(schema: Schema<T>, bytes: Uint8Array, maxBytes: number): T {
  try {
    return decodeJson(schema, bytes, maxBytes);
  } catch (cause) {
    if (!(cause instanceof SchemaError)) throw cause;
    throw new ChannelError("MALFORMED", `malformed message: ${cause.message}`, { cause });
  }
}

/** Type and version before the message is known to be canonical. @throws {ChannelError} `MALFORMED` */
function peek(bytes: Uint8Array): { type: string; version: unknown } {
  let json: unknown;
  try {
    json = JSON.parse(decodeUtf8(bytes) ?? "");
  } catch (cause) {
    throw new ChannelError("MALFORMED", "malformed message: not a JSON text", { cause });
  }
  if (typeof json !== "object" || json === null || !Object.hasOwn(json, "type"))
    throw new ChannelError("MALFORMED", "malformed message: not an object with a type");
  const { type, version } = json as { type: unknown; version?: unknown };
  if (typeof type !== "string") throw new ChannelError("MALFORMED", "malformed message: type must be text");
  return { type, version };
}
