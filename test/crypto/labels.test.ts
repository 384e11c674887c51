import { expect, test } from "bun:test";
import { labels } from "../../src/crypto/labels.ts";

test("no two purposes have the same label, and none holds a separator", () => {
  const all = Object.values(labels);
  expect(new Set(all).size).toBe(all.length);
  for (const label of all) expect(label).toMatch(/^[ -~]+$/);
});
