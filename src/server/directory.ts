import type { Request, ServerMessage } from "../wire/sessionMessages.ts";
import { checkpointFor } from "./checkpoints.ts";
import { maxLineBytesPerMessage } from "./delivery.ts";
import { missingConversation } from "./missingConversation.ts";
import type { Services } from "./services.ts";
import type { Member } from "./sessionRegistry.ts";

const maxConversationsPerAnswer = 256;
/** A third more as base64: below the longest frame. */
const maxChainBytesPerMessage = 180 * 1024;

type Requested<T extends Request["type"]> = Extract<Request, { type: T }>;

/**
 * Those of the certificates that the person may see, as many as fit; the others are left out, known or not. Who misses one
 * of many asks for it again.
 */
export async function fetchCertificates(
  { id, fingerprints }: Requested<"fetch_certificates">,
  { person }: Member,
  { store }: Pick<Services, "store">,
): Promise<ServerMessage> {
  const found = await store.accounts.certificatesVisibleTo(person, fingerprints);
  const chains: (readonly Uint8Array[])[] = [];
  let bytes = 0;
  for (const { chain } of found) {
    for (const der of chain) bytes += der.length;
    if (chains.length > 0 && bytes > maxChainBytesPerMessage) break;
    chains.push(chain);
  }
  return { type: "certificates", id, chains };
}

/** The conversations that the person sees something of, by ascending id after `after`. */
export async function listConversations(
  { id, after }: Requested<"list_conversations">,
  { person }: Member,
  { store }: Pick<Services, "store">,
): Promise<ServerMessage> {
  const found = await store.log.conversationsOf({
    person,
    after: after ?? undefined,
    limit: maxConversationsPerAnswer + 1,
  });
  return {
    type: "conversations",
    id,
    conversations: found.slice(0, maxConversationsPerAnswer),
    more: found.length > maxConversationsPerAnswer,
  };
}

/**
 * Entries from `from` on, as many as asked for and fit, and a checkpoint that covers them.
 *
 * @throws {Refusal} as `missingConversation` says
 */
export async function fetchEntries(
  { id, conversation, from, limit }: Requested<"fetch_entries">,
  { person }: Member,
  services: Pick<Services, "store" | "identity" | "now" | "retentionDays">,
): Promise<Extract<ServerMessage, { type: "entries" }>> {
  const { log } = services.store;
  const visibleSize = await log.visibleSize(conversation, person);
  if (visibleSize === 0) throw await missingConversation(services, conversation);
  const records =
    from >= visibleSize
      ? []
      : await log.entries({
          conversation,
          from,
          limit: Math.min(limit, visibleSize - from),
          maxBytes: maxLineBytesPerMessage,
        });
  const checkpoint = await checkpointFor(services, conversation, visibleSize);
  if (checkpoint === undefined) throw await missingConversation(services, conversation);
  const entries = records.map(({ at, line }) => ({ at, line }));
  return { type: "entries", id, conversation, from, entries, checkpoint };
}
