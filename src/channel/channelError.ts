import { CodedError } from "../base/codedError.ts";
import type { AlertCode } from "../wire/handshakeMessages.ts";

export type ChannelErrorCode =
  /** Not canonical JSON, a field missing or wrong, a record without content. */
  | "MALFORMED"
  /** A well-formed message or content type that has no place in this state. */
  | "UNEXPECTED_MESSAGE"
  | "UNSUPPORTED_VERSION"
  /** A payload longer than its state allows. */
  | "RECORD_OVERFLOW"
  /** X25519 gives zero, or the ML-KEM key fails its check. */
  | "BAD_KEY_SHARE"
  /** A record that the keys of its place don't open: altered, replayed, reordered, dropped or foreign. */
  | "BAD_RECORD"
  | "BAD_SIGNATURE"
  | "BAD_MAC"
  | "BAD_CERTIFICATE"
  | "CERTIFICATE_EXPIRED"
  | "CERTIFICATE_REVOKED"
  | "UNKNOWN_CA"
  /** The peer went on under a key that it had to update. */
  | "KEY_EXHAUSTED"
  /** The peer ended the channel; `alert` says why. */
  | "PEER_ALERT"
  /** Used after it had ended, or the transport has. */
  | "CLOSED"
  /** Own message over the limit; nothing was sent. */
  | "MESSAGE_TOO_LONG"
  /** The owner of the transport ends the channel; its `read` rejects with one of these. */
  | "TIMEOUT"
  | "TOO_MANY_CONNECTIONS"
  | "REPLACED"
  | "ACCOUNT_DISABLED"
  | "PASSWORD_RESET"
  | "SHUTTING_DOWN"
  /** The fault is on this side: own certificate, key, revocation list or callback. */
  | "INTERNAL";

/** The channel was not made, or it ended. */
export class ChannelError extends CodedError<ChannelErrorCode> {
  override readonly name = "ChannelError";
  /** With `PEER_ALERT`: what the peer said. Before the peer is authenticated, anybody on the network can say it. */
  readonly alert: AlertCode | undefined;

  constructor(code: ChannelErrorCode, message: string, options: { cause?: unknown; alert?: AlertCode } = {}) {
    super(code, message, "cause" in options ? { cause: options.cause } : {});
    this.alert = options.alert;
  }
}
