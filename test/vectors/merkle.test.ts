import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeBase64 } from "../../src/base/base64.ts";
import { concatBytes } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { appendLeaf, emptyFrontier, type Frontier, rootOf } from "../../src/log/merkle.ts";
import { announceMissingVectors, vectorsFolder } from "./vectorsFolder.ts";

/** The leaves of the reference tree of transparency-dev/merkle: every proof in its data is about its first n ≤ 8. */
const referenceLeaves = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
];
const leafHashes = referenceLeaves.map((leaf) =>
  sha256(concatBytes(Uint8Array.of(0), Uint8Array.fromHex(leaf))),
);
const rootAt = (size: number) =>
  encodeBase64(rootOf(leafHashes.slice(0, size).reduce<Frontier>(appendLeaf, emptyFrontier)));

interface Consistency {
  size1: number;
  size2: number;
  root1: string;
  root2: string;
}
interface Inclusion {
  leafIdx: number;
  treeSize: number;
  root: string;
  leafHash: string;
}

function happyPaths<T>(folder: string, family: "consistency" | "inclusion"): [string, T][] {
  const root = join(folder, "merkle/testdata", family);
  return readdirSync(root)
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [name, JSON.parse(readFileSync(join(root, name, "happy-path.json"), "utf8")) as T]);
}

if (vectorsFolder === undefined) announceMissingVectors("Merkle tree roots of transparency-dev/merkle");

describe.skipIf(vectorsFolder === undefined)("transparency-dev/merkle", () => {
  const folder = vectorsFolder ?? "";

  test("rootOf() gives both roots of every good consistency proof", () => {
    const cases = happyPaths<Consistency>(folder, "consistency");
    expect(cases.length).toBeGreaterThanOrEqual(5);
    for (const [name, { size1, size2, root1, root2 }] of cases) {
      expect(`${name}: ${rootAt(size1)}`).toBe(`${name}: ${root1}`);
      expect(`${name}: ${rootAt(size2)}`).toBe(`${name}: ${root2}`);
    }
  });

  test("rootOf() gives the root of every good inclusion proof, whose leaf is the reference leaf", () => {
    const cases = happyPaths<Inclusion>(folder, "inclusion");
    expect(cases.length).toBeGreaterThanOrEqual(5);
    for (const [name, { leafIdx, treeSize, root, leafHash }] of cases) {
      expect(`${name}: ${rootAt(treeSize)}`).toBe(`${name}: ${root}`);
      expect(encodeBase64(leafHashes[leafIdx] ?? new Uint8Array(0))).toBe(leafHash);
    }
  });
});
