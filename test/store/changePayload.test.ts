import { describe, expect, test } from "bun:test";
import type { Hex } from "../../src/base/hex.ts";
import type { Change } from "../../src/store/changeFeed.ts";
import { formatChange, parseChange } from "../../src/store/changePayload.ts";
import { randomHex } from "./certificateRecord.ts";

const conversation: Hex = randomHex(16);
const changes: readonly Change[] = [
  { kind: "log", conversation, from: 0, size: 1, members: true },
  { kind: "log", conversation, from: 41, size: 42, members: false },
  { kind: "receipt", conversation, size: 7 },
  { kind: "account", account: 0 },
  { kind: "crl" },
  { kind: "delivered", conversation, member: randomHex(32), size: 3 },
];

describe("parseChange()", () => {
  test("reads what formatChange() writes", () => {
    for (const change of changes) expect(parseChange(formatChange(change))).toEqual(change);
  });

  test("refuses whatever else somebody notifies", () => {
    const bad = [
      ...["", "log", "LOG", "rubbish log 00", "account", "account x", "account 1 2", "account -1", "crl 1"],
      ...["", " 0", " 0 x", " 1 1", " 2 1", " 00 1", " 0 1.5", " 0 9007199254740993", " 0 1 others"].map(
        (fields) => `log ${conversation}${fields}`,
      ),
      `log ${conversation.toUpperCase()}A 0 1`,
      `log ${conversation.slice(2)} 0 1`,
      `log ${conversation} 0 1 members members`,
      `receipt ${conversation}`,
      `receipt ${conversation} 0`,
      `receipt ${conversation} 1 2`,
      `delivered ${conversation} ${conversation} 1`,
      `delivered ${conversation} ${conversation}${conversation} 0`,
    ];
    for (const text of bad) expect([text, parseChange(text)]).toEqual([text, undefined]);
  });
});
