import { describe, expect, test } from "bun:test";
import { alertFor } from "../../src/channel/alerts.ts";
import { ChannelError, type ChannelErrorCode } from "../../src/channel/channelError.ts";
import type { AlertCode } from "../../src/wire/handshakeMessages.ts";
import { WireError } from "../../src/wire/wireError.ts";

describe("alertFor()", () => {
  test("has an alert or silence for every code, and one for all secrets", () => {
    const expected: Readonly<Record<ChannelErrorCode, AlertCode | undefined>> = {
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
      PEER_ALERT: undefined,
      CLOSED: undefined,
      MESSAGE_TOO_LONG: "internal_error",
      TIMEOUT: "timeout",
      TOO_MANY_CONNECTIONS: "too_many_connections",
      REPLACED: "replaced",
      ACCOUNT_DISABLED: "account_disabled",
      PASSWORD_RESET: "password_reset",
      SHUTTING_DOWN: "shutting_down",
      INTERNAL: "internal_error",
    };
    for (const [code, alert] of Object.entries(expected))
      expect(alertFor(new ChannelError(code as ChannelErrorCode, ""))).toBe(alert);
    expect(alertFor(new WireError("FRAME_TOO_LONG", ""))).toBe("record_overflow");
    expect(alertFor(new WireError("MESSAGE_MALFORMED", ""))).toBe("decode_error");
    expect(alertFor(new Error("anything"))).toBe("internal_error");
    expect(alertFor(undefined)).toBe("internal_error");
  });
});
