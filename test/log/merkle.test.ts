import { expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes, encodeUint32 } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { appendLeaf, emptyFrontier, emptyRoot, type Frontier, rootOf } from "../../src/log/merkle.ts";

/** MTH as RFC 9162 §2.1.1 defines it, over leaf hashes: slow, and another way than the frontier. */
function definedRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves;
  if (first === undefined) return sha256(new Uint8Array(0));
  if (leaves.length === 1) return first;
  let k = 1;
  while (2 * k < leaves.length) k *= 2;
  return sha256(concatBytes(Uint8Array.of(1), definedRoot(leaves.slice(0, k)), definedRoot(leaves.slice(k))));
}

const leaf = (i: number) => sha256(encodeUint32(i));

test("rootOf() of the empty tree is SHA-256 of nothing", () => {
  expect(encodeHex(rootOf(emptyFrontier))).toBe(emptyRoot);
  expect(emptyRoot as string).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

test("rootOf() agrees with the definition of RFC 9162 for every size up to 130", () => {
  const leaves: Uint8Array[] = [];
  let frontier: Frontier = emptyFrontier;
  for (let i = 0; i < 130; i++) {
    leaves.push(leaf(i));
    frontier = appendLeaf(frontier, leaf(i));
    expect(frontier.size).toBe(i + 1);
    expect(encodeHex(rootOf(frontier))).toBe(encodeHex(definedRoot(leaves)));
  }
});

test("a frontier holds one peak for each 1 in the binary form of its size", () => {
  let frontier: Frontier = emptyFrontier;
  for (let size = 1; size <= 300; size++) {
    frontier = appendLeaf(frontier, leaf(size));
    expect(frontier.peaks.length).toBe(size.toString(2).replaceAll("0", "").length);
  }
});

test("appendLeaf() leaves the frontier that it was given as it was", () => {
  fc.assert(
    fc.property(fc.nat(70), fc.nat(20), (before, after) => {
      let frontier: Frontier = emptyFrontier;
      for (let i = 0; i < before; i++) frontier = appendLeaf(frontier, leaf(i));
      const root = encodeHex(rootOf(frontier));
      let grown = frontier;
      for (let i = 0; i < after; i++) grown = appendLeaf(grown, leaf(1000 + i));
      expect(encodeHex(rootOf(frontier))).toBe(root);
      expect(frontier.size).toBe(before);
    }),
    { numRuns: 30 },
  );
});
