import { type Hex, isHex } from "../base/hex.ts";
import { servesAs } from "../log/memberIdentity.ts";
import { ClientError } from "./clientError.ts";
import type { Connection } from "./connection.ts";
import type { Conversation } from "./conversation.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { isConnectionTrouble } from "./conversationErrors.ts";
import { handBack } from "./handBack.ts";
import { isServerTrouble } from "./serverRest.ts";
import type { ConversationRecord } from "./vaultRecords.ts";

/**
 * A server that has fewer entries than it has signed for is given them back, and told when that was all: until it has
 * heard everybody it takes nothing new. What it refuses for good is told, and stops nothing else.
 *
 * @throws {ClientError} what passes with the next connection
 */
export async function returnLogs(
  context: ConversationContext,
  connection: Connection,
  logs: {
    readonly known: ReadonlyMap<Hex, ConversationRecord>;
    /** How many entries the server has of each; a conversation that it doesn't list has none. */
    readonly served: ReadonlyMap<Hex, number>;
    readonly load: (id: Hex) => Conversation;
    readonly onRefused: (error: unknown, id: Hex) => void;
  },
): Promise<void> {
  // One that has to wait for an earlier one of the two, of which the end has not come back yet, is tried again behind it.
  for (let due = [...logs.known]; due.length > 0; ) {
    const waiting: { readonly one: (typeof due)[number]; readonly error: unknown }[] = [];
    for (const one of due) {
      const [id, { checkpoint, contradiction }] = one;
      const servedSize = logs.served.get(id) ?? 0;
      if (checkpoint === null || contradiction !== null || servedSize >= checkpoint.size) continue;
      try {
        const conversation = logs.load(id);
        const home = conversation.state?.server.name;
        // Another server than the one that has signed for it has no business with it.
        if (home === undefined || !servesAs(connection.server.certificate, home)) continue;
        await handedBack(
          () => handBack(context, connection, { conversation, servedSize }),
          context,
          connection,
        );
      } catch (error) {
        if (isConnectionTrouble(error) || isServerTrouble(error)) throw error;
        if (earlierOne(error) === undefined) logs.onRefused(error, id);
        else waiting.push({ one, error });
      }
    }
    const isStuck = waiting.length === due.length;
    if (isStuck) for (const { one, error } of waiting) logs.onRefused(error, one[0]);
    due = isStuck ? [] : waiting.map(({ one }) => one);
  }
  await connection.request({ type: "logs_returned" });
}

/** @returns the conversation that the two have open there, if that is why another one is refused */
function earlierOne(error: unknown): Hex | undefined {
  const detail = error instanceof ClientError && error.refusal === "CONVERSATION_EXISTS" ? error.detail : "";
  return isHex(detail, 16) ? detail : undefined;
}

/**
 * Runs `hand`, if need be after the server was asked again to count an earlier conversation of the two no longer: it has
 * forgotten that, too, where this one has taken the other's place or the other had expired.
 */
async function handedBack(
  hand: () => Promise<void>,
  { vault }: ConversationContext,
  connection: Connection,
): Promise<void> {
  try {
    await hand();
  } catch (error) {
    const earlier = earlierOne(error);
    if (earlier === undefined) throw error;
    if ((vault.read("replaced", earlier) ?? vault.read("expired", earlier)) === undefined) throw error;
    await connection.request({ type: "release_pair", conversation: earlier });
    await hand();
  }
}
