import { type Hex, isHex } from "../base/hex.ts";
import { ClientError } from "./clientError.ts";
import type { Connection } from "./connection.ts";
import type { Conversation } from "./conversation.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { isExpiry } from "./conversationErrors.ts";
import type { ConversationShelf } from "./directConversations.ts";
import { returnLogs } from "./returnLogs.ts";
import { readToldSize } from "./toldMark.ts";

/** Conversations that catch up at a time. */
const maxCatchingUp = 8;

/**
 * What follows a login: the server is asked which conversations it has, given back what it lacks, and every conversation that
 * is behind, or has something to say, catches up. Those that it doesn't list may have expired: that is asked last.
 *
 * @throws {ClientError} what passes with the next connection; `SERVER_MISBEHAVED` its list does not go on
 */
export async function catchUp(
  context: ConversationContext,
  connection: Connection,
  conversations: {
    readonly shelf: ConversationShelf & { readonly awake: Iterable<Conversation> };
    /** Those whose device is due for a fresh path. */
    readonly duePaths: () => readonly Hex[];
    /** The server has been given back what it lacked. */
    readonly onReturned: () => void;
    readonly follow: (id: Hex) => Promise<void>;
    readonly onTrouble: (error: unknown, id: Hex) => void;
  },
): Promise<void> {
  const { shelf, onTrouble } = conversations;
  const isOver = (id: Hex) => shelf.isReplaced(id) || shelf.isExpired(id);
  const known = shelf.records();
  const due = new Set<Hex>([...shelf.awake].map(({ id }) => id));
  const served = new Map<Hex, number>();
  for (const row of context.vault.list("outgoing")) {
    const id = row.key.slice(0, row.key.indexOf("/"));
    if (isHex(id, 16)) due.add(id);
  }
  for (const [id, { contradiction, receipt_size, receipt_complete, size }] of known) {
    const isUncountersigned = receipt_size > 0 && !receipt_complete;
    const toldSize = context.keepHistory ? readToldSize(context.vault, id) : undefined;
    if (contradiction === null && (isUncountersigned || (toldSize ?? size) < size)) due.add(id);
  }
  for (const id of conversations.duePaths()) due.add(id);
  for (let after: Hex | null = null, more = true; more; ) {
    const answer: { conversations: readonly { conversation: Hex; size: number }[]; more: boolean } =
      await connection.request({ type: "list_conversations", after });
    for (const { conversation, size } of answer.conversations) {
      served.set(conversation, size);
      const record = known.get(conversation);
      if (record?.contradiction === null ? record.size !== size : record === undefined) due.add(conversation);
    }
    const last = answer.conversations.at(-1)?.conversation;
    if (answer.more && (last === undefined || (after !== null && last <= after)))
      throw new ClientError("SERVER_MISBEHAVED", "the server's list of conversations does not go on");
    more = answer.more;
    after = last ?? null;
  }
  for (const collection of ["replaced", "expired"] as const)
    for (const { key } of context.vault.list(collection)) if (isHex(key, 16)) due.delete(key);
  await returnLogs(context, connection, {
    known: new Map([...known].filter(([id]) => !shelf.isExpired(id))),
    served,
    load: (id) => shelf.load(id),
    onRefused: (error, id) => {
      if (isExpiry(error)) shelf.load(id).expire(error);
      else onTrouble(error, id);
    },
  });
  conversations.onReturned();
  for (const { id } of shelf.awake) if (!isOver(id)) due.add(id);
  await atATime(due, (id) => conversations.follow(id));
  const missing = [...known].flatMap(([id, { size, closed, contradiction }]) =>
    size === 0 || closed || contradiction !== null || served.has(id) || isOver(id) ? [] : [id],
  );
  await atATime(missing, async (id) => {
    try {
      await askWhetherExpired(connection, id, shelf);
    } catch (error) {
      onTrouble(error, id);
    }
  });
}

/** Of one that the server does not list. What else it may say to that is told when the conversation is used. */
async function askWhetherExpired(connection: Connection, id: Hex, shelf: ConversationShelf): Promise<void> {
  await connection
    .request({ type: "fetch_entries", conversation: id, from: 0, limit: 1 })
    .catch((error: unknown) => {
      if (isExpiry(error)) shelf.load(id).expire(error);
    });
}

/** Does `work` for each, some at a time. */
async function atATime(ids: Iterable<Hex>, work: (id: Hex) => Promise<void>): Promise<void> {
  const queue = [...ids];
  const worker = async () => {
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) await work(id);
  };
  await Promise.all(Array.from({ length: maxCatchingUp }, worker));
}
