import type { Request, ServerMessage } from "../wire/sessionMessages.ts";
import { missingConversation } from "./missingConversation.ts";
import type { Services } from "./services.ts";
import type { Member } from "./sessionRegistry.ts";

/**
 * The two people of a direct conversation may begin another: one of them can't follow this one any more, and could not sign a
 * `leave` for a log that it does not believe. The log stays as it is. Asking again changes nothing.
 *
 * @throws {Refusal} as `missingConversation` says
 */
export async function releasePair(
  { id, conversation }: Extract<Request, { type: "release_pair" }>,
  { person }: Member,
  services: Pick<Services, "store" | "retentionDays">,
): Promise<ServerMessage> {
  const { log } = services.store;
  if (!(await log.members(conversation)).includes(person))
    throw await missingConversation(services, conversation);
  await log.releasePair(conversation);
  return { type: "pair_released", id, conversation };
}
