import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeUtf8, encodeUtf8 } from "../../src/base/bytes.ts";
import { EvidenceError } from "../../src/evidence/evidenceError.ts";
import { buildStatement, maxStatementBytes, parseStatement } from "../../src/evidence/receiptStatement.ts";
import { formatTranscriptLine, verifyTranscript } from "../../src/log/transcript.ts";
import { codeOf } from "../log/codeOf.ts";
import { Conversation, digest, roster } from "../log/conversation.ts";
import { certificatesOf, type Device, Organisation } from "../log/organisation.ts";

let certificateAt: ReturnType<typeof certificatesOf>;
let alice: Device;
let bob: Device;
let carol: Device;
let server: Device;
let log: Conversation;

beforeAll(async () => {
  const organisation = await Organisation.create();
  certificateAt = certificatesOf(organisation);
  [alice, bob, carol] = [
    await organisation.user("alice"),
    await organisation.user("bob"),
    await organisation.user("carol"),
  ];
  server = await organisation.server("chat.example.org");
});
beforeEach(() => {
  log = new Conversation(certificateAt);
  const rows = roster(alice.row(), bob.row(), carol.row());
  log.post(log.create(alice, server, { kind: "group", title: "Team", roster: rows }));
  log.post(log.message(alice));
  log.post(log.membership(alice, { action: "remove", roster: roster(alice.row(), carol.row()) }));
  log.post(log.message(alice));
});

const sha256 = digest("transcript");
const text = (bytes: Uint8Array) => decodeUtf8(bytes) ?? "";
const source = () => text(buildStatement({ state: log.state, sha256 }));
const refused = (statement: string) =>
  expect(codeOf(() => parseStatement(encodeUtf8(statement)))).toBe("STATEMENT_MALFORMED");

test("buildStatement() writes the bytes of the specification, with everybody who was ever in the roster", () => {
  const { state } = log;
  const member = (device: Device, name: string, first: number, last: number) =>
    `{"username":"${name}","email":"${name}@example.org","fingerprint":"${device.fingerprint}","first_seq":${first},"last_seq":${last}}`;
  expect(source()).toBe(
    `{"type":"receipt","version":2,"conversation":"${log.id}",` +
      `"server":{"name":"chat.example.org","fingerprint":"${server.fingerprint}"},` +
      `"members":[${member(alice, "alice", 1, 4)},${member(bob, "bob", 0, 0)},${member(carol, "carol", 0, 0)}],` +
      `"size":4,"root":"${state.root}","transcript_sha256":"${sha256}","from":${log.lines[0]?.at},"to":${log.lines[3]?.at}}\n`,
  );
});

test("whoever holds the prefix rebuilds the same bytes", async () => {
  const lines = log.lines.map(formatTranscriptLine);
  const [short, whole] = [
    await verifyTranscript(lines.slice(0, 3), { certificateAt }),
    await verifyTranscript(lines, { certificateAt, prefixSizes: [3] }),
  ];
  const prefix = whole.prefixes.get(3);
  if (prefix === undefined) throw new Error("no prefix");
  expect(buildStatement(prefix)).toEqual(buildStatement(short));
  expect(buildStatement(whole)).not.toEqual(buildStatement(short));
  expect(parseStatement(buildStatement(whole))).toMatchObject({
    size: 4,
    root: log.state.root,
    transcript_sha256: whole.sha256,
  });
});

describe("parseStatement()", () => {
  test("reads back what buildStatement() wrote", () => {
    const statement = parseStatement(encodeUtf8(source()));
    expect(statement.members.map(({ username, last_seq }) => [username, last_seq])).toEqual([
      ["alice", 4],
      ["bob", 0],
      ["carol", 0],
    ]);
    expect(statement.from).toBeLessThan(statement.to);
  });

  const members = (change: (members: string[]) => string[]) => (statement: string) =>
    statement.replace(
      /"members":\[(.*?)\]/,
      (_, list) => `"members":[${change(list.split(/(?<=\}),/)).join(",")}]`,
    );
  const faults: [string, (statement: string) => string][] = [
    ["an empty file", () => ""],
    ["a lone line end", () => "\n"],
    ["no line end", (s) => s.trimEnd()],
    ["a second line end", (s) => `${s}\n`],
    ["a carriage return", (s) => s.replace("\n", "\r\n")],
    ["white space", (s) => s.replace(":2", ": 2")],
    ["another type", (s) => s.replace('"receipt"', '"invoice"')],
    ["another version", (s) => s.replace('"version":2', '"version":1')],
    ["an unknown field", (s) => s.replace("}\n", ',"x":1}\n')],
    ["a missing field", (s) => s.replace('"size":4,', "")],
    ["a size of 0", (s) => s.replace('"size":4', '"size":0')],
    ["from after to", (s) => s.replace(/"from":\d+/, '"from":9007199254740991')],
    ["one member", members(([first = ""]) => [first])],
    ["members in another order", members(([a = "", b = "", ...rest]) => [b, a, ...rest])],
    ["a member twice", members(([a = "", ...rest]) => [a, a, ...rest])],
    ["a first_seq of 0 with words", (s) => s.replace('"first_seq":1', '"first_seq":0')],
    ["a first_seq of 1 without words", (s) => s.replace('"first_seq":0', '"first_seq":1')],
    ["a first_seq of 2", (s) => s.replace('"first_seq":1', '"first_seq":2')],
    ["more than the limit", (s) => s.replace('"version":2', `"version":2${" ".repeat(maxStatementBytes)}`)],
  ];
  for (const [name, change] of faults)
    test(`refuses ${name}`, () => {
      const changed = change(source());
      expect(changed).not.toBe(source());
      refused(changed);
    });

  test("notices a change of any one byte: a refusal or another statement", () => {
    const bytes = encodeUtf8(source());
    const whole = parseStatement(bytes);
    for (let position = 0; position < bytes.length; position++) {
      const changed = bytes.slice();
      changed[position] = (changed[position] ?? 0) ^ (1 + (position % 7));
      const code = codeOf(() => expect(parseStatement(changed)).not.toEqual(whole));
      expect(code === undefined || code === "STATEMENT_MALFORMED").toBe(true);
    }
  });
  test("throws nothing but its own error, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(codeOf(() => parseStatement(bytes))).toBe("STATEMENT_MALFORMED");
      }),
      { numRuns: 200 },
    );
  });
  test("keeps the cause", () => {
    try {
      parseStatement(new Uint8Array(0));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(EvidenceError);
      expect(error instanceof Error && error.cause).toBeInstanceOf(Error);
    }
  });
});
