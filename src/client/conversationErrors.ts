import { visible } from "../base/visible.ts";
import { ClientError } from "./clientError.ts";

export function conversationClosed(): ClientError {
  return new ClientError("CONVERSATION_CLOSED", "one of the two has left this conversation");
}

export function conversationLeft(): ClientError {
  return new ClientError("CONVERSATION_CLOSED", "you have left this conversation");
}

/** @param evidence the file with both signatures */
export function conversationStopped(evidence: string): ClientError {
  return new ClientError(
    "CONVERSATION_STOPPED",
    `the server has signed two different logs of this conversation, which is over therefore; both signatures are in ${evidence}`,
  );
}

/** @param home the server that `create` names @param isElsewhere whether the client is connected to another one */
export function conversationLost(home: string, isElsewhere: boolean): ClientError {
  return new ClientError(
    "CONVERSATION_LOST",
    isElsewhere
      ? `this conversation is not kept on this server, but on ${visible(home)}`
      : "the server has lost this conversation: its database is another one than it was",
  );
}

export function conversationReplaced(): ClientError {
  return new ClientError(
    "CONVERSATION_REPLACED",
    "another conversation with the same person has taken the place of this one",
  );
}

/** @param keptDays how long the server keeps one, as it says; `null`: it does not say @param evidence the folder */
export function conversationExpired(keptDays: number | null, evidence: string): ClientError {
  const rule =
    keptDays === null
      ? "the server has deleted this conversation, in which nothing was said for long"
      : `the server keeps conversations for ${keptDays} ${keptDays === 1 ? "day" : "days"} after their last entry, and this one is over`;
  return new ClientError("CONVERSATION_EXPIRED", `${rule}; its evidence stays in ${evidence}`);
}

/** Whether the server says that it has let the conversation expire that was asked for. */
export function isExpiry(error: unknown): error is ClientError {
  return error instanceof ClientError && error.refusal === "EXPIRED";
}

/** Whether the conversation can't go on because of what the server did or has lost. */
export function isServerFault({ code }: ClientError): boolean {
  return code === "SERVER_MISBEHAVED" || code === "CONVERSATION_STOPPED" || code === "CONVERSATION_LOST";
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
