import { expect, test } from "bun:test";
import { RootHistory } from "../../src/log/rootHistory.ts";
import { digest } from "./conversation.ts";

test("RootHistory gives back every root at its size, and nothing at any other", () => {
  const roots = new RootHistory();
  expect(roots.at(0)).toBeUndefined();
  expect(roots.at(1)).toBeUndefined();
  for (let size = 1; size <= 300; size++) roots.append(digest(`root ${size}`));
  expect(roots.size).toBe(300);
  for (let size = 1; size <= 300; size++) expect(roots.at(size)).toBe(digest(`root ${size}`));
  for (const size of [-1, 0, 0.5, 1.5, 301, Number.NaN, Number.POSITIVE_INFINITY])
    expect(roots.at(size)).toBeUndefined();
});
