import { equalBytes } from "../base/bytes.ts";
import { appendLeaf, emptyFrontier, nodeHash, rootOf } from "../log/merkle.ts";
import type { DigestList } from "./digestList.ts";

/** Most hashes in a proof: a tree of at most 2^53 leaves has that many levels, and one more for the smaller tree. */
export const maxConsistencyPath = 54;

/** The root of the first `size` leaves of a tree. */
export interface TreeHead {
  readonly size: number;
  /** 32 bytes */
  readonly root: Uint8Array;
}

/**
 * Shows that the tree of the first `size` leaves begins with the tree of the first `first` (RFC 9162 §2.1.4.1).
 *
 * @param leaves leaf hashes, at least `size` of them
 * @param first 1 … `size`
 * @returns the path; empty when the sizes are the same
 */
export function proveConsistency(leaves: DigestList, first: number, size: number): readonly Uint8Array[] {
  const path: Uint8Array[] = [];
  let [start, end, isComplete, wanted] = [0, size, true, first];
  // SUBPROOF(m, D_n, b), walked from the root down; the path lists the deepest hash first.
  while (wanted !== end - start) {
    const middle = start + largestPowerBelow(end - start);
    if (wanted <= middle - start) {
      path.push(subtree(leaves, middle, end));
      end = middle;
    } else {
      path.push(subtree(leaves, start, middle));
      wanted -= middle - start;
      start = middle;
      isComplete = false;
    }
  }
  if (!isComplete) path.push(subtree(leaves, start, end));
  return path.reverse();
}

/** RFC 9162 §2.1.4.2. @returns whether a tree with the root `second` begins with one that has the root `first` */
export function verifyConsistency(first: TreeHead, second: TreeHead, path: readonly Uint8Array[]): boolean {
  if (first.size < 1 || first.size > second.size || path.length > maxConsistencyPath) return false;
  if (first.size === second.size) return path.length === 0 && equalBytes(first.root, second.root);
  const hashes = isPowerOfTwo(first.size) ? [first.root, ...path] : path;
  const [start, ...rest] = hashes;
  if (start === undefined) return false;
  // No bit operators: sizes go beyond 32 bits.
  let [fn, sn] = [first.size - 1, second.size - 1];
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  let [fr, sr] = [start, start];
  for (const hash of rest) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(hash, fr);
      sr = nodeHash(hash, sr);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else sr = nodeHash(sr, hash);
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equalBytes(fr, first.root) && equalBytes(sr, second.root);
}

function subtree(leaves: DigestList, start: number, end: number): Uint8Array {
  let frontier = emptyFrontier;
  for (let index = start; index < end; index++) {
    const leaf = leaves.at(index);
    if (leaf === undefined) throw new RangeError(`no leaf ${index}`);
    frontier = appendLeaf(frontier, leaf);
  }
  return rootOf(frontier);
}

/** The largest power of two below `n`, which is at least 2. */
function largestPowerBelow(n: number): number {
  let power = 1;
  while (2 * power < n) power *= 2;
  return power;
}

function isPowerOfTwo(n: number): boolean {
  let rest = n;
  while (rest % 2 === 0) rest /= 2;
  return rest === 1;
}

function half(n: number): number {
  return Math.floor(n / 2);
}
