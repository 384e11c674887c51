import { encodeJson } from "../base/schema.ts";
import { type AlertCode, alertSchema } from "../wire/handshakeMessages.ts";
import { WireError } from "../wire/wireError.ts";
import { ChannelError, type ChannelErrorCode } from "./channelError.ts";

/**
 * What the peer is told about each failure; `null`: nothing, because it ended the channel itself or is gone. Everything
 * that depends on a secret is the one `decrypt_error`.
 */
const alertOfCode: Readonly<Record<ChannelErrorCode, AlertCode | null>> = {
  MALFORMED: "decode_error",
  UNEXPECTED_MESSAGE: "unexpected_message",
  UNSUPPORTED_VERSION: "unsupported_version",
  RECORD_OVERFLOW: "record_overflow",
  BAD_KEY_SHARE: "handshake_failure",
  BAD_RECORD: "decrypt_error",
  BAD_SIGNATURE: "decrypt_error",
  BAD_MAC: "decrypt_error",
  BAD_CERTIFICATE: "bad_certificate",
  CERTIFICATE_EXPIRED: "certificate_expired",
  CERTIFICATE_REVOKED: "certificate_revoked",
  UNKNOWN_CA: "unknown_ca",
  KEY_EXHAUSTED: "unexpected_message",
  PEER_ALERT: null,
  CLOSED: null,
  MESSAGE_TOO_LONG: "internal_error",
  TIMEOUT: "timeout",
  TOO_MANY_CONNECTIONS: "too_many_connections",
  REPLACED: "replaced",
  ACCOUNT_DISABLED: "account_disabled",
  PASSWORD_RESET: "password_reset",
  SHUTTING_DOWN: "shutting_down",
  INTERNAL: "internal_error",
};

/** @returns the alert to send for whatever ended the channel, or `undefined` when none is to be sent */
export function alertFor(error: unknown): AlertCode | undefined {
  if (error instanceof ChannelError) return alertOfCode[error.code] ?? undefined;
  if (error instanceof WireError) return error.code === "FRAME_TOO_LONG" ? "record_overflow" : "decode_error";
  return "internal_error";
}

/** @returns the alert's JSON text: a payload by itself while there are no keys, else the content of a record */
export function encodeAlert(code: AlertCode): Uint8Array {
  return encodeJson(alertSchema, { type: "alert", code });
}
