import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeBase64 } from "../../src/base/base64.ts";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import {
  maxConsistencyPath,
  proveConsistency,
  verifyConsistency,
} from "../../src/evidence/consistencyProof.ts";
import { DigestList } from "../../src/evidence/digestList.ts";
import { appendLeaf, emptyFrontier, rootOf } from "../../src/log/merkle.ts";
import { announceMissingVectors, vectorsFolder } from "../vectors/vectorsFolder.ts";

const most = 70;
const leaves = new DigestList();
const roots: Uint8Array[] = [rootOf(emptyFrontier)];
let frontier = emptyFrontier;
for (let i = 0; i < most; i++) {
  const leaf = sha256(encodeUtf8(`leaf ${i}`));
  leaves.append(leaf);
  frontier = appendLeaf(frontier, leaf);
  roots.push(rootOf(frontier));
}
const head = (size: number) => ({ size, root: roots[size] ?? new Uint8Array(0) });

describe("verifyConsistency()", () => {
  test("accepts what proveConsistency() made, for every pair of sizes", () => {
    for (let size = 1; size <= most; size++)
      for (let first = 1; first <= size; first++) {
        const path = proveConsistency(leaves, first, size);
        expect([first, size, verifyConsistency(head(first), head(size), path)]).toEqual([first, size, true]);
        expect(path.length).toBeLessThanOrEqual(Math.ceil(Math.log2(size)) + 1);
      }
  });

  test("rejects another root, another size, and a path that is changed, longer or shorter", () => {
    for (const [first, size] of [
      [1, 2],
      [3, 7],
      [4, 8],
      [6, 8],
      [33, 70],
      [64, 70],
    ] as const) {
      const path = proveConsistency(leaves, first, size);
      const other = sha256(encodeUtf8("other"));
      const bad: boolean[] = [
        verifyConsistency({ size: first, root: other }, head(size), path),
        verifyConsistency(head(first), { size, root: other }, path),
        verifyConsistency(head(size), head(first), path),
        verifyConsistency(head(first), head(size), path.slice(0, -1)),
        verifyConsistency(head(first), head(size), path.slice(1)),
        verifyConsistency(head(first), head(size), [...path, other]),
        ...path.map((_, i) => verifyConsistency(head(first), head(size), path.with(i, other))),
      ];
      expect([first, size, bad.some(Boolean)]).toEqual([first, size, false]);
    }
    expect(verifyConsistency(head(0), head(5), [])).toBe(false);
    const endless = Array.from({ length: maxConsistencyPath + 1 }, () => sha256(encodeUtf8("x")));
    expect(verifyConsistency(head(3), { size: Number.MAX_SAFE_INTEGER, root: head(5).root }, endless)).toBe(
      false,
    );
  });
});

if (vectorsFolder === undefined) announceMissingVectors("consistency proofs of transparency-dev/merkle");

interface Vector {
  readonly size1: number;
  readonly size2: number;
  readonly root1: string;
  readonly root2: string;
  readonly proof: readonly string[] | null;
  readonly desc: string;
  readonly wantErr: boolean;
}

describe.skipIf(vectorsFolder === undefined)("transparency-dev/merkle", () => {
  test("verifyConsistency() accepts and rejects what the reference does", () => {
    const folder = join(vectorsFolder ?? "", "merkle/testdata/consistency");
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".json"),
    );
    const wrong: string[] = [];
    let [good, bad] = [0, 0];
    for (const name of files) {
      const vector = JSON.parse(readFileSync(join(folder, name), "utf8")) as Vector;
      const { size1, size2, root1, root2, proof, wantErr } = vector;
      // In a log every size is at least 1; the reference says of an empty tree that everything continues it.
      if (size1 === 0) continue;
      const accepted = verifyConsistency(
        { size: size1, root: decodeBase64(root1) ?? new Uint8Array(0) },
        { size: size2, root: decodeBase64(root2) ?? new Uint8Array(0) },
        (proof ?? []).map((hash) => decodeBase64(hash) ?? new Uint8Array(0)),
      );
      if (accepted === wantErr) wrong.push(`${name}: ${vector.desc}`);
      if (wantErr) bad++;
      else good++;
    }
    expect(wrong).toEqual([]);
    expect(good).toBeGreaterThanOrEqual(5);
    expect(bad).toBeGreaterThanOrEqual(50);
  });
});
