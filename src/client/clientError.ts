import { CodedError } from "../base/codedError.ts";
import type { RefusalCode } from "../wire/sessionMessages.ts";

export type ClientErrorCode =
  // the connection
  | "CONNECT_FAILED"
  | "SERVER_CERTIFICATE"
  | "HANDSHAKE_FAILED"
  | "CONNECTION_LOST"
  | "REPLACED"
  | "ACCOUNT_DISABLED"
  | "PASSWORD_RESET"
  | "NOT_CONNECTED"
  | "TIMEOUT"
  | "SERVER_MISBEHAVED"
  | "REFUSED"
  // the vault and the folders
  | "VAULT_IN_USE"
  | "VAULT_UNUSABLE"
  | "VAULT_WRONG_KEY"
  | "TRANSCRIPT_UNUSABLE"
  // people and conversations
  | "NO_SUCH_PERSON"
  | "CERTIFICATE_REFUSED"
  | "CRL_REFUSED"
  | "IDENTITY_CHANGED"
  | "NO_SUCH_CONVERSATION"
  | "CONVERSATION_STOPPED"
  | "CONVERSATION_LOST"
  | "CONVERSATION_REPLACED"
  | "NOT_STOPPED"
  | "CONVERSATION_CLOSED"
  | "TEXT_REFUSED"
  | "REKEY_NEEDED"
  | "NOT_INVITED"
  | "NOT_A_MEMBER"
  | "NO_HISTORY"
  | "BAD_RANGE"
  | "DISCLOSURE_NOT_WRITTEN"
  | "NOT_COUNTERSIGNED"
  | "BAD_RECEIPT";

/** Why the client could not do what it was asked. With `REFUSED`, `refusal` says what the server answered. */
export class ClientError extends CodedError<ClientErrorCode> {
  override readonly name = "ClientError";
  readonly refusal: RefusalCode | undefined;
  /** The detail of a refusal, as `sessionMessages.ts` gives it per code; controlled by the server. */
  readonly detail: string;

  constructor(
    code: ClientErrorCode,
    message: string,
    options: { cause?: unknown; refusal?: RefusalCode; detail?: string } = {},
  ) {
    super(code, message, options.cause === undefined ? undefined : { cause: options.cause });
    this.refusal = options.refusal;
    this.detail = options.detail ?? "";
  }
}
