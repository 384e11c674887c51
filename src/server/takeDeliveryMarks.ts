import type { Hex } from "../base/hex.ts";
import type { DeliveredChange } from "../store/changeFeed.ts";
import { type DeliveryMark, maxMarksPerAnswer } from "../wire/deliveryMessages.ts";
import type { Request, ServerMessage } from "../wire/sessionMessages.ts";
import { tryLater } from "./refusal.ts";
import type { Services } from "./services.ts";
import type { Member, SessionRegistry } from "./sessionRegistry.ts";

/**
 * Tells the other members who are online how far this one says to have received, and tells this one the same of them. What
 * is about no conversation of theirs, or goes beyond its log, is passed over.
 *
 * @throws {Refusal} `TRY_LATER`
 */
export async function takeDeliveryMarks(
  { id, marks }: Extract<Request, { type: "delivered" }>,
  { person, fingerprint }: Member,
  services: Pick<Services, "store" | "sessions" | "deliveryMarks" | "limits" | "now">,
): Promise<ServerMessage> {
  const { store, sessions, deliveryMarks, limits, now } = services;
  const waitMs = deliveryMarks.allow(person, marks.length, { ...limits.deliveryMarks, nowMs: now() });
  if (waitMs > 0) throw tryLater("too many delivery marks", waitMs);
  const others: DeliveryMark[] = [];
  const news: DeliveredChange[] = [];
  for (const { conversation, size } of marks) {
    const members = await store.log.members(conversation);
    if (!members.includes(person) || size > (await store.log.size(conversation))) continue;
    const mark: DeliveryMark = { conversation, member: fingerprint, size };
    if (deliveryMarks.note(mark)) {
      passOn(mark, members, person, sessions);
      news.push({ kind: "delivered", ...mark });
    }
    others.push(...deliveryMarks.of(conversation).filter(({ member }) => member !== fingerprint));
  }
  // A mark that gets lost is made good by the next one.
  if (news.length > 0) await store.changes?.tell(news).catch(() => undefined);
  return { type: "delivery_marks", id, marks: others.slice(0, maxMarksPerAnswer) };
}

/** A member has told another server. @throws {StoreError} */
export async function tellDeliveryMark(
  { conversation, member, size }: DeliveredChange,
  { store, sessions, deliveryMarks }: Pick<Services, "store" | "sessions" | "deliveryMarks">,
): Promise<void> {
  const mark: DeliveryMark = { conversation, member, size };
  if (!deliveryMarks.note(mark) || sessions.size === 0) return;
  // The other server has looked whether it is a member's, and of what the log holds.
  passOn(mark, await store.log.members(conversation), undefined, sessions);
}

function passOn(
  mark: DeliveryMark,
  members: readonly Hex[],
  sender: Hex | undefined,
  sessions: SessionRegistry,
): void {
  for (const person of members)
    if (person !== sender)
      for (const session of sessions.of(person)) session.send({ type: "delivered", ...mark });
}
