import { expect, test } from "bun:test";
import { concatBytes } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import { decodeChains, decodeOpening, encodeChains, encodeOpening } from "../../src/client/vaultRecords.ts";

const unusable = { name: "ClientError", code: "VAULT_UNUSABLE" };
const fill = (byte: number, length = 32) => new Uint8Array(length).fill(byte);
const row = encodeChains(new Map([[encodeHex(fill(1)), fill(2)]]));

test("decodeChains() reads what encodeChains() wrote", () => {
  const chains = new Map([1, 2, 3].map((byte) => [encodeHex(fill(byte)), fill(byte + 9)]));
  expect(decodeChains(encodeChains(chains))).toEqual(chains);
  expect(decodeChains(new Uint8Array(0)).size).toBe(0);
});

test("decodeChains() refuses a part of a row", () => {
  for (const length of [1, 32, 63])
    expect(() => decodeChains(row.subarray(0, length))).toThrow(expect.objectContaining(unusable));
  expect(() => decodeChains(concatBytes(row, fill(0, 1)))).toThrow(expect.objectContaining(unusable));
});

test("decodeChains() refuses two rows for one member", () => {
  expect(() => decodeChains(concatBytes(row, row))).toThrow(expect.objectContaining(unusable));
});

test("decodeOpening() reads what encodeOpening() wrote and refuses what is shorter than an opening", () => {
  expect(decodeOpening(encodeOpening(fill(1), fill(2, 5)))).toEqual({
    opening: fill(1),
    plaintext: fill(2, 5),
  });
  expect(() => decodeOpening(fill(1, 31))).toThrow(expect.objectContaining(unusable));
});
