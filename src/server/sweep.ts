import { StoreError } from "../store/storeError.ts";
import { describeError } from "./describeError.ts";
import { retention } from "./serverLimits.ts";
import type { Services } from "./services.ts";
import type { Tickets } from "./tickets.ts";

const dayMs = 86_400_000;

/** What has to be done now and then: nothing that is missed is missed for long. */
export async function sweep(
  { store, sessions, retentionDays, now, log, meter }: Services,
  tickets: Tickets,
): Promise<void> {
  try {
    await tickets.extend(
      [...sessions.all()].flatMap(({ ticket }) => (ticket === undefined ? [] : [ticket.hash])),
    );
    const conversationMs = retentionDays === undefined ? {} : { conversationMs: retentionDays * dayMs };
    const { expiredConversations: count } = await store.sweep({
      nowMs: now(),
      ...retention,
      ...conversationMs,
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
