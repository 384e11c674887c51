import { StoreError } from "../store/storeError.ts";
import { describeError } from "./describeError.ts";
import { retention } from "./serverLimits.ts";
import type { Services } from "./services.ts";
import type { Tickets } from "./tickets.ts";

const dayMs = 86_400_000;

/** What has to be done now and then: nothing that is missed is missed for long. */
export async function sweep(services: Services, tickets: Tickets): Promise<void> {
  const { store, sessions, retentionDays, now, log, meter } = services;
  try {
    await tickets.extend(
      [...sessions.all()].flatMap(({ ticket }) => (ticket === undefined ? [] : [ticket.hash])),
    );
    const conversationMs = await retainedMs(services);
    const { expiredConversations: count } = await store.sweep({
      nowMs: now(),
      ...retention,
      ...(conversationMs === undefined ? {} : { conversationMs }),
    });
    if (count === 0) return;
    meter.expired(count);
    const what = count === 1 ? "1 conversation" : `${count} conversations`;
    log("INFO", `Deleted ${what} without an entry for more than ${retentionDays} days`);
  } catch (error) {
    // The server is stopping; whoever is next goes on with it.
    if (error instanceof StoreError && error.code === "CLOSED") return;
    log("WARNING", `Expired data could not be deleted: ${describeError(error)}`);
  }
}

/**
 * What a store lacks that was put back may be younger than all that it has of a conversation: that it was put back counts like
 * an entry in each, so that its members have as long to hand it back.
 *
 * @returns `undefined` while no conversation may expire
 */
async function retainedMs({
  store,
  retentionDays,
  now,
}: Pick<Services, "store" | "retentionDays" | "now">): Promise<number | undefined> {
  if (retentionDays === undefined) return undefined;
  const conversationMs = retentionDays * dayMs;
  const restored = await store.restoration.current();
  return restored !== undefined && now() - restored.atMs <= conversationMs ? undefined : conversationMs;
}
