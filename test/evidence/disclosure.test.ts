import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeUtf8, encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex } from "../../src/base/hex.ts";
import {
  type Disclosure,
  encodeDisclosure,
  parseDisclosure,
  verifyDisclosed,
} from "../../src/evidence/disclosure.ts";
import type { Entry } from "../../src/log/entry.ts";
import { codeOf } from "../log/codeOf.ts";
import { Conversation, digest, opening, roster } from "../log/conversation.ts";
import { certificatesOf, Organisation } from "../log/organisation.ts";

let log: Conversation;
let disclosure: Disclosure;

beforeAll(async () => {
  const organisation = await Organisation.create();
  const [alice, bob] = [await organisation.user("alice"), await organisation.user("bob")];
  log = new Conversation(certificatesOf(organisation));
  log.post(
    log.create(alice, await organisation.server("chat.example.org"), {
      roster: roster(alice.row(), bob.row()),
    }),
  );
  log.post(log.message(alice));
  log.post(log.message(bob));
  disclosure = {
    conversation: log.id,
    entries: [{ index: 1, opening: encodeHex(opening), plaintext: "hello" }],
  };
});

const at = (index: number): Entry | undefined => log.lines[index]?.entry;

describe("verifyDisclosed()", () => {
  const words = { index: 1, opening: encodeHex(opening), plaintext: "hello" };
  const verify = (part: Partial<typeof words>, entry = at(1), conversation: string = log.id) =>
    codeOf(() => verifyDisclosed(conversation, { ...words, ...part }, entry));

  test("accepts the words that the author committed to", () => {
    expect(verify({})).toBeUndefined();
    expect(verify({ index: 2 }, at(2))).toBeUndefined();
  });
  test("rejects other words, down to one character or white space", () => {
    for (const plaintext of ["", "Hello", "hello ", "hello\n", "hellp", "hello\u0000"])
      expect(verify({ plaintext })).toBe("DISCLOSURE_MISMATCH");
  });
  test("rejects another opening", () => expect(verify({ opening: digest("x") })).toBe("DISCLOSURE_MISMATCH"));
  test("rejects the same words and opening for another's entry or another seqno", () => {
    const entry = at(1);
    if (entry === undefined) throw new Error("no entry");
    expect(verify({}, { ...entry, seqno: entry.seqno + 1 })).toBe("DISCLOSURE_MISMATCH");
    expect(verify({}, { ...entry, sender: digest("x") })).toBe("DISCLOSURE_MISMATCH");
  });
  test("rejects another conversation", () => {
    expect(verify({}, at(1), encodeHex(new Uint8Array(16)))).toBe("DISCLOSURE_WRONG_CONVERSATION");
  });
  test("rejects an entry that is no message, and one that is not there", () => {
    expect(verify({ index: 0 }, at(0))).toBe("DISCLOSURE_NOT_A_MESSAGE");
    expect(codeOf(() => verifyDisclosed(log.id, { ...words, index: 3 }, at(3)))).toBe(
      "DISCLOSURE_NO_SUCH_ENTRY",
    );
  });
});

test("openssl finds the same commitment", () => {
  const entry = at(1);
  if (entry === undefined) throw new Error("no entry");
  const { stdout } = Bun.spawnSync([
    "sh",
    "-euc",
    `printf 'securechat/2 commitment\\n%s\\n%s\\n%s\\n%s' ${entry.conversation} ${entry.sender} ${entry.seqno} hello |
      openssl dgst -sha256 -mac HMAC -macopt hexkey:${encodeHex(opening)}`,
  ]);
  expect(stdout.toString().trim().split("= ")[1]).toBe(entry.commitment);
});

describe("parseDisclosure()", () => {
  const source = () => decodeUtf8(encodeDisclosure(disclosure)) ?? "";

  test("reads back the line of the specification", () => {
    expect(source()).toBe(
      `{"conversation":"${log.id}","entries":[{"index":1,"opening":"${"5a".repeat(32)}","plaintext":"hello"}]}\n`,
    );
    expect(parseDisclosure(encodeUtf8(source()))).toEqual(disclosure);
  });
  test("keeps any text that is well-formed, up to 65536 bytes", () => {
    for (const plaintext of [
      "",
      "\u0000\u001b[2J",
      '"\\\n',
      "é🙂\u2028",
      "x".repeat(65_536),
      "é".repeat(32_768),
    ]) {
      const entries = [{ index: 1, opening: encodeHex(opening), plaintext }];
      expect(parseDisclosure(encodeDisclosure({ ...disclosure, entries })).entries).toEqual(entries);
    }
  });

  const faults: [string, (source: string) => string][] = [
    ["an empty file", () => ""],
    ["no line end", (s) => s.trimEnd()],
    ["a second line", (s) => s + s],
    ["no entries", (s) => s.replace(/\[.*\]/, "[]")],
    ["an entry twice", (s) => s.replace(/\[(.*)\]/, "[$1,$1]")],
    ["descending entries", (s) => s.replace(/\[(.*)\]/, (_, one) => `[${one},${one.replace(":1,", ":0,")}]`)],
    ["an unknown field", (s) => s.replace("}\n", ',"x":1}\n')],
    ["an opening of 31 bytes", (s) => s.replace("5a", "")],
    ["an opening in upper case", (s) => s.replace("5a", "5A")],
    ["a plaintext of 65537 bytes", (s) => s.replace("hello", "x".repeat(65_537))],
    ["a plaintext of 65538 bytes in fewer characters", (s) => s.replace("hello", "é".repeat(32_769))],
    ["a lone surrogate", (s) => s.replace("hello", "\\ud800")],
    ["an escape that isn't needed", (s) => s.replace("hello", "\\u0068ello")],
    ["a plaintext that is no text", (s) => s.replace('"hello"', "5")],
  ];
  for (const [name, change] of faults)
    test(`refuses ${name}`, () => {
      const changed = change(source());
      expect(changed).not.toBe(source());
      expect(codeOf(() => parseDisclosure(encodeUtf8(changed)))).toBe("DISCLOSURE_MALFORMED");
    });

  test("asks no parser about what is deeper or has more values than a disclosure", () => {
    const line = (json: string) => encodeUtf8(`${json}\n`);
    const around = `{"conversation":"${log.id}","entries":[`;
    for (const json of [
      "[".repeat(1000),
      `${around}${"{},".repeat(1024 * 1024)}{}]}`,
      `${around}${'"",'.repeat(6 * 1024 * 1024)}""]}`,
      `${around}{"index":[[0]],"opening":"","plaintext":""}]}`,
    ])
      expect(() => parseDisclosure(line(json))).toThrow("more values in it, or deeper ones");
    // Brackets and quotes in words are words.
    const entries = [{ index: 1, opening: encodeHex(opening), plaintext: '[[[[{"\\"{[[[\\' }];
    expect(parseDisclosure(encodeDisclosure({ ...disclosure, entries })).entries).toEqual(entries);
  });

  test("throws nothing but its own error, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(codeOf(() => parseDisclosure(bytes))).toBe("DISCLOSURE_MALFORMED");
      }),
      { numRuns: 200 },
    );
  });
});
