import { expect, test } from "bun:test";
import { systemRandom } from "../../src/crypto/systemRandom.ts";

test("systemRandom() gives as many bytes as asked for, also beyond what one call of the system gives", () => {
  for (const length of [0, 1, 32, 65_536, 65_537, 200_000]) expect(systemRandom(length)).toHaveLength(length);
  // Every part is filled: 64 bytes that are all zero come once in 2^512 tries.
  const long = systemRandom(200_000);
  for (let offset = 0; offset + 64 <= long.length; offset += 64)
    expect(long.subarray(offset, offset + 64).some((octet) => octet !== 0)).toBe(true);
});

test("systemRandom() gives something else each time", () => {
  const seen = new Set(Array.from({ length: 100 }, () => systemRandom(16).toHex()));
  expect(seen.size).toBe(100);
});
