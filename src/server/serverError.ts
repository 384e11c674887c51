import { CodedError } from "../base/codedError.ts";

/** Why a server can't start or go on. */
export type ServerErrorCode =
  | "PORT_IN_USE"
  | "ADDRESS_UNAVAILABLE"
  | "PORT_FORBIDDEN"
  | "LISTEN_FAILED"
  | "METRICS_UNAVAILABLE"
  | "KEY_MISMATCH"
  | "CERTIFICATE_EXPIRED"
  | "NOT_A_SERVER_CERTIFICATE"
  | "CERTIFICATE_REFUSED"
  | "CRL_REFUSED"
  | "CRL_EXPIRED"
  | "CRL_REQUIRED";

/** The server was given something that it can't serve with. The message says what to do. */
export class ServerError extends CodedError<ServerErrorCode> {
  override readonly name = "ServerError";
}
