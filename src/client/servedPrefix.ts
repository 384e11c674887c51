import { encodeHex, type Hex } from "../base/hex.ts";
import { leafHash, parseEntry } from "../log/entry.ts";
import { appendLeaf, emptyFrontier, type Frontier, rootOf } from "../log/merkle.ts";
import { maxEntriesPerAnswer, type WireCheckpoint } from "../wire/sessionMessages.ts";
import type { Connection } from "./connection.ts";

/**
 * What the server says the first `size` entries are now. To be asked when entries that it sent can't stand behind those that
 * the client has: either they are bad, or the server has another log than before. Entries alone prove nothing against it, so they
 * are followed to the end that it signs.
 *
 * @returns the root, and the checkpoint over a log that begins so; `undefined` when the server has fewer entries, or sends
 *   others than it signs
 * @throws {LogError} a line is no entry; what `request` throws
 */
export async function servedPrefix(
  connection: Connection,
  conversation: Hex,
  size: number,
): Promise<{ root: Hex; checkpoint: WireCheckpoint } | undefined> {
  let frontier: Frontier = emptyFrontier;
  let root: Hex | undefined;
  let signed: WireCheckpoint | undefined;
  while (frontier.size < (signed?.size ?? size)) {
    const { entries, checkpoint } = await connection.request({
      type: "fetch_entries",
      conversation,
      from: frontier.size,
      limit: maxEntriesPerAnswer,
    });
    // Of a log that grows meanwhile the first signature is as good as any.
    signed ??= checkpoint;
    if (entries.length === 0 || signed.size < size) return undefined;
    for (const { at, line } of entries.slice(0, signed.size - frontier.size)) {
      frontier = appendLeaf(frontier, leafHash(parseEntry(line), at));
      if (frontier.size === size) root = encodeHex(rootOf(frontier));
    }
  }
  if (root === undefined || signed?.root !== encodeHex(rootOf(frontier))) return undefined;
  return { root, checkpoint: signed };
}
