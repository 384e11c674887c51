import type { Hex } from "../base/hex.ts";
import { Refusal } from "./refusal.ts";
import type { Services } from "./services.ts";

type MissingServices = Pick<Services, "store" | "retentionDays">;

/**
 * @returns what a request is refused with that is about a conversation of which the store shows its sender nothing: `NOT_FOUND`,
 *   equally whether there is none or the person is no member; `EXPIRED` to anybody where it was let expire, since what
 *   stays of it names no members, and an id of 128 random bits is known to them alone
 */
export async function missingConversation(services: MissingServices, conversation: Hex): Promise<Refusal> {
  return (
    (await expiredConversation(services, conversation)) ??
    new Refusal("NOT_FOUND", "there is no such conversation for you here")
  );
}

/** @returns `EXPIRED` where the conversation was let expire */
export async function expiredConversation(
  { store, retentionDays }: MissingServices,
  conversation: Hex,
): Promise<Refusal | undefined> {
  return (await store.log.expired(conversation)) === undefined ? undefined : hasExpired(retentionDays);
}

export function hasExpired(retentionDays: number | undefined): Refusal {
  return new Refusal(
    "EXPIRED",
    "this conversation had no entry for so long that the server has deleted it; its id begins no other",
    { detail: retentionDays === undefined ? "" : String(retentionDays) },
  );
}
