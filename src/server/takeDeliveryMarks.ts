import { type DeliveryMark, maxMarksPerAnswer } from "../wire/deliveryMessages.ts";
import type { Request, ServerMessage } from "../wire/sessionMessages.ts";
import { tryLater } from "./refusal.ts";
import type { Services } from "./services.ts";
import type { Member } from "./sessionRegistry.ts";

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
  for (const { conversation, size } of marks) {
    const members = await store.log.members(conversation);
    if (!members.includes(person) || size > (await store.log.size(conversation))) continue;
    const mark: DeliveryMark = { conversation, member: fingerprint, size };
    if (deliveryMarks.note(mark))
      for (const other of members)
        if (other !== person)
          for (const session of sessions.of(other)) session.send({ type: "delivered", ...mark });
    others.push(...deliveryMarks.of(conversation).filter(({ member }) => member !== fingerprint));
  }
  return { type: "delivery_marks", id, marks: others.slice(0, maxMarksPerAnswer) };
}
