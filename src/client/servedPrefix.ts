import { encodeHex, type Hex } from "../base/hex.ts";
import { leafHash, parseEntry } from "../log/entry.ts";
import { appendLeaf, emptyFrontier, rootOf } from "../log/merkle.ts";
import { maxEntriesPerAnswer, type WireCheckpoint } from "../wire/sessionMessages.ts";
import type { Connection } from "./connection.ts";

/**
 * What the server says the first `size` entries are now, and its newest checkpoint. To be asked when entries that it sent
 * can't stand behind those that the client has: either they are bad, or the server has another log than before.
 *
 * @returns the root, `undefined` when the server has fewer entries
 * @throws {LogError} a line is no entry; what `request` throws
 */
export async function servedPrefix(
  connection: Connection,
  conversation: Hex,
  size: number,
): Promise<{ root: Hex | undefined; checkpoint: WireCheckpoint }> {
  let frontier = emptyFrontier;
  for (;;) {
    const from = frontier.size;
    const limit = Math.min(maxEntriesPerAnswer, Math.max(1, size - from));
    const { entries, checkpoint } = await connection.request({
      type: "fetch_entries",
      conversation,
      from,
      limit,
    });
    for (const { at, line } of entries) frontier = appendLeaf(frontier, leafHash(parseEntry(line), at));
    if (frontier.size >= size) return { root: encodeHex(rootOf(frontier)), checkpoint };
    if (entries.length === 0) return { root: undefined, checkpoint };
  }
}
