import { ChannelError } from "../channel/channelError.ts";
import type { AlertCode } from "../wire/handshakeMessages.ts";
import { ClientError } from "./clientError.ts";

const certificateAlerts: readonly AlertCode[] = [
  "bad_certificate",
  "certificate_expired",
  "certificate_revoked",
  "unknown_ca",
];

/** What the server's last word means. @param alert of a server that is authenticated */
export function asAlertError(alert: AlertCode): ClientError {
  if (alert === "replaced")
    return new ClientError("REPLACED", "another connection with this account has taken over");
  if (alert === "account_disabled")
    return new ClientError(
      "ACCOUNT_DISABLED",
      "the server's operator has disabled this account; what was not sent is kept",
    );
  if (alert === "password_reset")
    return new ClientError(
      "PASSWORD_RESET",
      "the server's operator has reset the password of this account: log in again with the one-time password that you were given",
    );
  if (certificateAlerts.includes(alert))
    return new ClientError(
      "CERTIFICATE_REFUSED",
      `the server refuses your certificate (${alert}): ${adviceFor(alert)}`,
    );
  return new ClientError("CONNECTION_LOST", `the server ended the session: ${alert}`);
}

function adviceFor(alert: AlertCode): string {
  switch (alert) {
    case "certificate_revoked":
      return "it is revoked, ask your CA for a new one";
    case "certificate_expired":
      return 'it has expired, have it renewed ("securechat issue --renew")';
    case "unknown_ca":
      return "it is not from the server's CA";
    default:
      return "ask the server's operator";
  }
}

/**
 * Why there is no connection.
 *
 * @param context.refusal what the own side had against the server's certificate, if anything
 * @param context.isServerKnown its certificate was accepted: alerts from then on come under its keys, those before from anybody
 */
export function asHandshakeError(
  error: unknown,
  { refusal, isServerKnown }: { refusal: unknown; isServerKnown: boolean },
): ClientError {
  if (error instanceof ClientError) return error;
  if (refusal !== undefined)
    return new ClientError(
      "SERVER_CERTIFICATE",
      `the server's certificate is refused: ${messageOf(refusal)}`,
      {
        cause: refusal,
      },
    );
  if (error instanceof ChannelError && error.code === "TIMEOUT")
    return new ClientError("TIMEOUT", error.message, { cause: error });
  const alert = error instanceof ChannelError ? error.alert : undefined;
  if (isServerKnown && alert !== undefined && certificateAlerts.includes(alert)) return asAlertError(alert);
  return new ClientError("HANDSHAKE_FAILED", `the key exchange failed: ${messageOf(error)}`, {
    cause: error,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}
