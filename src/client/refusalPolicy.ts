import { askedDelayMs } from "./askedDelay.ts";
import type { ClientError } from "./clientError.ts";
import type { OutgoingItem } from "./outbox.ts";
import { isServerTrouble } from "./serverRest.ts";

/** Longest wait that is sat out; what has to wait longer goes with the next connection, ms. */
const longestWaitMs = 60_000;

/** What becomes of an own entry that the server refused. */
export type Verdict =
  | "wait"
  | "post again"
  | "sign again"
  | "upload again"
  | "drop"
  | "exists"
  | "later"
  | "rest";

/**
 * Decides once the client has caught up with the log, so that what a refusal was about may have passed. A seqno that was
 * signed for words stays theirs: a message is never dropped unless its conversation is closed for good.
 */
export function judgeRefusal({ kind }: OutgoingItem, error: ClientError): Verdict {
  const { refusal } = error;
  switch (refusal) {
    case "TRY_LATER":
      // Whoever begins a conversation is there to be told.
      return kind !== "create" && (askedDelayMs(error) ?? 0) <= longestWaitMs ? "wait" : "later";
    case "CONVERSATION_EXISTS":
      return kind === "create" ? "exists" : "later";
    case "GAP":
    case "REPLAY":
      return "post again";
    case "REKEY_NEEDED":
      // The list that says so may be here by now, or the removal in the log: what is due goes first then.
      return "post again";
    case "STALE_EPOCH":
    case "BAD_VIEW":
      return kind === "membership" ? "drop" : "sign again";
    case "BAD_BLOB":
      return "upload again";
    case "CLOSED":
      return kind === "create" ? "later" : "drop";
    case "BAD_BODY":
    case "FORBIDDEN":
      // Nothing is ever signed behind an own commit, so its seqno is free again.
      return kind === "membership" ? "drop" : "later";
    default:
      return isServerTrouble(error) ? "rest" : "later";
  }
}
