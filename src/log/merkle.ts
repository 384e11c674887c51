import { concatBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { sha256 } from "../crypto/crypto.ts";

/**
 * The right edge of a Merkle tree (RFC 9162 §2.1): the roots of the perfect subtrees that its leaves fall into, largest
 * first, one for each 1 in the binary form of `size`. That is all it takes to append leaves and to compute roots.
 * A frontier never changes.
 */
export interface Frontier {
  /** Leaves in the tree. */
  readonly size: number;
  readonly peaks: readonly Uint8Array[];
}

export const emptyFrontier: Frontier = { size: 0, peaks: [] };

/** The root of the tree without leaves, SHA-256 of nothing, as the view of a `create` entry spells it. */
export const emptyRoot: Hex = encodeHex(sha256(new Uint8Array(0)));

/**
 * At most log2(size) hashes, fewer than two on average.
 *
 * @param leafHash 32 bytes
 * @returns the frontier with that leaf behind the others
 */
export function appendLeaf(frontier: Frontier, leafHash: Uint8Array): Frontier {
  const peaks = frontier.peaks.slice();
  let subtree = leafHash;
  // Each trailing 1 of the old size is a perfect subtree as large as the one that has just become complete.
  for (let rest = frontier.size; rest % 2 === 1; rest = (rest - 1) / 2) {
    const left = peaks.pop();
    if (left !== undefined) subtree = nodeHash(left, subtree);
  }
  peaks.push(subtree);
  return { size: frontier.size + 1, peaks };
}

/** At most log2(size) hashes. @returns 32 bytes */
export function rootOf({ peaks }: Frontier): Uint8Array {
  if (peaks.length === 0) return sha256(new Uint8Array(0));
  return peaks.reduceRight((right, left) => nodeHash(left, right));
}

const nodePrefix = Uint8Array.of(1);

/** @returns SHA-256(0x01 || left || right), RFC 9162 §2.1.1 */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concatBytes(nodePrefix, left, right));
}
