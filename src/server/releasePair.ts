import type { Request, ServerMessage } from "../wire/sessionMessages.ts";
import { noSuchConversation } from "./directory.ts";
import type { Services } from "./services.ts";
import type { Member } from "./sessionRegistry.ts";

/**
 * The two people of a direct conversation may begin another: one of them can't follow this one any more, and could not sign a
 * `leave` for a log that it does not believe. The log stays as it is. Asking again changes nothing.
 *
 * @throws {Refusal} `NOT_FOUND`, equally whether there is no such conversation or the person is no member
 */
export async function releasePair(
  { id, conversation }: Extract<Request, { type: "release_pair" }>,
  { person }: Member,
  { store }: Pick<Services, "store">,
): Promise<ServerMessage> {
  if (!(await store.log.members(conversation)).includes(person)) throw noSuchConversation();
  await store.log.releasePair(conversation);
  return { type: "pair_released", id, conversation };
}
