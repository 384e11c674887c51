import { visible } from "../base/visible.ts";
import { ClientError } from "./clientError.ts";

export function conversationClosed(): ClientError {
  return new ClientError("CONVERSATION_CLOSED", "one of the two has left this conversation");
}

export function conversationLeft(): ClientError {
  return new ClientError("CONVERSATION_CLOSED", "you have left this conversation");
}

export function conversationStopped(): ClientError {
  return new ClientError(
    "CONVERSATION_STOPPED",
    "the server has signed two different logs of this conversation",
  );
}

export function notConnected(): ClientError {
  return new ClientError(
    "NOT_CONNECTED",
    "there is no connection: what was written is kept and sent with the next one",
  );
}

/** Whether it passes with the next connection. */
export function isConnectionTrouble(error: unknown): boolean {
  if (!(error instanceof ClientError)) return false;
  return error.code === "CONNECTION_LOST" || error.code === "TIMEOUT" || error.code === "NOT_CONNECTED";
}

/** @returns what ends a conversation until it is read from the vault again; by default the server is to blame */
export function asConversationError(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  const why = error instanceof Error ? visible(error.message) : "";
  return new ClientError("SERVER_MISBEHAVED", `what the server sent can't stand: ${why}`, { cause: error });
}
