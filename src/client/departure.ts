import type { LogState } from "../log/logState.ts";
import { isSamePerson } from "../log/roster.ts";
import type { ClientError } from "./clientError.ts";
import { conversationClosed, conversationLeft } from "./conversationErrors.ts";
import type { Self } from "./devices.ts";
import type { OutgoingItem } from "./outbox.ts";

/** Whether the own person has left, here or on another device: then nothing of it can stand any more. */
export function hasLeft(state: LogState | undefined, self: Self): boolean {
  return state?.departed.some((row) => isSamePerson(row, self)) === true;
}

/** @returns why nothing new can be sent, if the own person or the other one of two has left or is about to */
export function departureOf(
  state: LogState | undefined,
  self: Self,
  waiting: readonly OutgoingItem[],
): ClientError | undefined {
  if (hasLeft(state, self) || waiting.some(({ kind }) => kind === "leave")) return conversationLeft();
  return state?.closed ? conversationClosed() : undefined;
}
