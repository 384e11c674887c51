import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes } from "../../../src/base/bytes.ts";
import { mergeSignedData } from "../../../src/pki/cms/mergeSignedData.ts";
import { decodeSignedData } from "../../../src/pki/cms/signedData.ts";
import { PkiError, type PkiErrorCode } from "../../../src/pki/pkiError.ts";
import { type DerNode, readTree, writeTree } from "./derTree.ts";
import { makeParties, type Parties } from "./parties.ts";
import { countersignedBy, signedBy } from "./signing.ts";
import { verifyWhole } from "./verifyWhole.ts";

let parties: Parties;
/** Two signers, three counter signatures, an intermediate and the root. */
let file: Uint8Array;

beforeAll(() => {
  parties = makeParties();
  const { alice, bob, ca, dave, intermediate, server } = parties;
  file = mergeSignedData(signedBy(alice), signedBy(dave, intermediate, ca));
  file = countersignedBy(file, alice, server);
  file = countersignedBy(file, dave, server);
  file = countersignedBy(file, alice, bob);
});
afterAll(() => parties.remove());

/** @returns how the change was noticed, `undefined` when it was not. Errors that are no PkiError are passed on. */
function noticed(changed: Uint8Array): PkiErrorCode | "UNCOVERED" | undefined {
  try {
    return verifyWhole(changed, parties).length > 0 ? "UNCOVERED" : undefined;
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    return error.code;
  }
}

/** Nodes of a tree with those above them. */
function nodesOf(node: DerNode): DerNode[] {
  return [node, ...node.children.flatMap(nodesOf)];
}

describe("a changed file", () => {
  test("is noticed for a change of any one byte", () => {
    expect(noticed(file)).toBeUndefined();
    const unnoticed: number[] = [];
    const codes = new Set<string>();
    for (let offset = 0; offset < file.length; offset++) {
      const changed = file.with(offset, (file[offset] ?? 0) ^ (1 << (offset % 8)));
      const code = noticed(changed);
      if (code === undefined) unnoticed.push(offset);
      else codes.add(code);
    }
    expect(unnoticed).toEqual([]);
    // The changes reached every floor: encoding, signers, counter signatures, paths and coverage.
    for (const code of [
      "DER_MALFORMED",
      "CMS_SIGNER_MISMATCH",
      "CMS_SIGNATURE_INVALID",
      "CMS_COUNTERSIGNATURE_INVALID",
      "SIGNATURE_INVALID",
      "UNCOVERED",
    ])
      expect(codes).toContain(code);
  }, 120_000);

  test("is noticed for a byte left out, put in or doubled", () => {
    for (let offset = 0; offset < file.length; offset += 7) {
      const [before, after] = [file.subarray(0, offset), file.subarray(offset)];
      expect(noticed(concatBytes(before, after.subarray(1)))).toBeDefined();
      expect(noticed(concatBytes(before, Uint8Array.of(0), after))).toBeDefined();
      expect(noticed(concatBytes(before, after.subarray(0, 1), after))).toBeDefined();
    }
  }, 60_000);

  test("is refused when it is cut short anywhere", () => {
    for (let length = 0; length < file.length; length++) {
      const cut = file.subarray(0, length);
      expect(() => decodeSignedData(cut)).toThrow(PkiError);
    }
  });

  test("never makes anything but a PkiError, whatever the bytes", () => {
    const patch = fc.record({
      offset: fc.nat({ max: file.length - 1 }),
      remove: fc.nat({ max: 64 }),
      insert: fc.uint8Array({ maxLength: 64 }),
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => noticed(bytes) !== undefined),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.array(patch, { minLength: 1, maxLength: 4 }), (patches) => {
        let bytes = file;
        for (const { offset, remove, insert } of patches)
          bytes = concatBytes(bytes.subarray(0, offset), insert, bytes.subarray(offset + remove));
        expect(noticed(bytes) !== undefined).toBe(!Buffer.from(bytes).equals(file));
      }),
      { numRuns: 500 },
    );
  }, 60_000);

  test("never makes anything but a PkiError, whatever is done to its structure", () => {
    const positions = nodesOf(readTree(file)).length;
    const operation = fc.record({
      position: fc.nat({ max: positions - 1 }),
      from: fc.nat({ max: positions - 1 }),
      kind: fc.constantFrom("remove", "replace", "append", "retag", "reverse", "empty"),
      tag: fc.constantFrom(0x02, 0x04, 0x05, 0x06, 0x17, 0x30, 0x31, 0x80, 0xa0, 0xa1, 0xa3),
    });
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 3 }), (operations) => {
        const tree = readTree(file);
        for (const { position, from, kind, tag } of operations) {
          const nodes = nodesOf(tree);
          const node = nodes[position % nodes.length] ?? tree;
          const source = structuredClone(nodes[from % nodes.length] ?? tree);
          if (kind === "remove") node.children.pop();
          else if (kind === "replace") Object.assign(node, source);
          else if (kind === "append") node.children.push(source);
          else if (kind === "retag") node.tag = tag;
          else if (kind === "reverse") node.children.reverse();
          else node.content = new Uint8Array();
        }
        const bytes = writeTree(tree);
        if (!Buffer.from(bytes).equals(file)) noticed(bytes);
      }),
      { numRuns: 1500 },
    );
  }, 60_000);
});
