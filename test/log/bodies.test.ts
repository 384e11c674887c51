import { describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import {
  type CreateBody,
  decodeAcknowledgeBody,
  decodeBody,
  decodeCreateBody,
  decodeMembershipBody,
  encodeAcknowledgeBody,
  encodeCreateBody,
  encodeLeaveBody,
  encodeMembershipBody,
  type MembershipBody,
  type RosterRow,
} from "../../src/log/bodies.ts";
import { compareRows } from "../../src/log/roster.ts";
import { codeOf } from "./codeOf.ts";

const digest = (name: string): Hex => encodeHex(sha256(encodeUtf8(name)));
const row = (username: string, device = `${username} 1`, email = `${username}@example.org`): RosterRow => ({
  username,
  email,
  fingerprint: digest(`certificate ${device}`),
  device: digest(`device ${device}`),
});
const sorted = (...rows: RosterRow[]) => rows.sort(compareRows);

const [alice, bob, carol] = [row("alice"), row("bob"), row("carol")];
const direct: CreateBody = {
  kind: "direct",
  title: "",
  server: { name: "chat.example.org", fingerprint: digest("server") },
  admins: [],
  roster: sorted(alice, bob),
  crl: null,
  commit: digest("commit"),
  welcome: digest("welcome"),
  group: digest("group"),
};
const group: CreateBody = {
  ...direct,
  kind: "group",
  title: "Team",
  admins: ["bob"],
  roster: sorted(alice, bob, carol),
};
const update: MembershipBody = {
  action: "update",
  admins: ["bob"],
  roster: group.roster,
  crl: "17",
  commit: digest("commit"),
  welcome: null,
  group: digest("group"),
};
const add: MembershipBody = { ...update, action: "add", welcome: digest("welcome") };

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const refuses = (decode: (ct: Uint8Array) => unknown, source: string) =>
  expect(codeOf(() => decode(encodeUtf8(source)))).toBe("BAD_BODY");

describe("decodeCreateBody()", () => {
  test("reads back a direct conversation and a group, and the bytes have the order of the specification", () => {
    expect(decodeCreateBody(encodeCreateBody(direct))).toEqual(direct);
    expect(decodeCreateBody(encodeCreateBody(group))).toEqual(group);
    expect(text(encodeCreateBody(direct))).toBe(
      `{"kind":"direct","title":"","server":{"name":"chat.example.org","fingerprint":"${digest("server")}"},"admins":[],` +
        `"roster":[${direct.roster
          .map(
            (r) =>
              `{"username":"${r.username}","email":"${r.email}","fingerprint":"${r.fingerprint}","device":"${r.device}"}`,
          )
          .join(
            ",",
          )}],"crl":null,"commit":"${digest("commit")}","welcome":"${digest("welcome")}","group":"${digest("group")}"}`,
    );
  });

  test("accepts several devices of a person, a server as a member, and the longest title", () => {
    const server = { ...row("chat.example.org"), email: "" };
    for (const body of [
      { ...direct, roster: sorted(alice, bob, row("alice", "alice 2")) },
      { ...direct, roster: sorted(alice, server) },
      { ...direct, roster: sorted(alice, { ...row("127.0.0.1"), email: "" }) },
      { ...direct, roster: sorted(alice, { ...row("::1"), email: "" }) },
      { ...group, title: "é".repeat(64) },
      {
        ...group,
        roster: Array.from({ length: 256 }, (_, i) => row(`u${i}`, `${i}`, "")).sort(compareRows),
        admins: [],
      },
    ])
      expect(decodeCreateBody(encodeCreateBody(body))).toEqual(body);
  });

  const faults: [string, Partial<CreateBody>, CreateBody?][] = [
    ["a direct conversation with a title", { title: "x" }],
    ["a direct conversation with admins", { admins: ["bob"] }],
    ["a direct conversation of three", { roster: group.roster }],
    ["a direct conversation with oneself", { roster: sorted(alice, row("alice", "alice 2")) }],
    ["a group without a title", { title: "" }, group],
    ["a title of 129 bytes", { title: `${"é".repeat(64)}x` }, group],
    ["a single device", { roster: [alice], admins: [] }, group],
    ["an empty roster", { roster: [], admins: [] }, group],
    [
      "257 rows",
      {
        roster: Array.from({ length: 257 }, (_, i) => row(`u${i}`, `${i}`, "")).sort(compareRows),
        admins: [],
      },
      group,
    ],
    ["a roster that is not in order", { roster: [bob, alice] }],
    ["a row twice", { roster: [alice, alice, bob] }],
    ["a certificate twice", { roster: sorted(alice, { ...bob, fingerprint: alice.fingerprint }) }],
    ["a device twice", { roster: sorted(alice, { ...bob, device: alice.device }) }],
    [
      "a username with two emails",
      { roster: sorted(alice, bob, row("alice", "alice 2", "x@example.org")) },
      group,
    ],
    ["an email with two usernames", { roster: sorted(alice, bob, row("carol", "c", alice.email)) }, group],
    ["admins that are not in order", { admins: ["carol", "bob"] }, group],
    ["an admin twice", { admins: ["bob", "bob"] }, group],
    ["an admin who is not in the roster", { admins: ["dave"] }, group],
    ["a username in upper case", { roster: [{ ...alice, username: "Alice" }, bob] }],
    ["an email with a space", { roster: [{ ...alice, email: "a @example.org" }, bob] }],
    ["a server's name in upper case", { server: { ...direct.server, name: "Chat.example.org" } }],
    ["a server without a name", { server: { ...direct.server, name: "" } }],
    ["a CRL number with a leading zero", { crl: "01" }],
    ["a CRL number of 50 digits", { crl: "1".repeat(50) }],
    ["a negative CRL number", { crl: "-1" }],
  ];
  for (const [name, part, base = direct] of faults)
    test(`refuses ${name}`, () => refuses(decodeCreateBody, text(encodeCreateBody({ ...base, ...part }))));

  test("refuses what is not the canonical form", () => {
    const source = text(encodeCreateBody(direct));
    for (const other of [
      "",
      "null",
      "[]",
      "{}",
      ` ${source}`,
      `${source}\n`,
      source.replace('"crl":null,', ""),
      source.replace("{", '{"x":1,'),
      source.replace('"crl":null', '"crl":null,"crl":null'),
    ])
      refuses(decodeCreateBody, other);
    expect(codeOf(() => decodeCreateBody(Uint8Array.of(0x7b, 0xff, 0x7d)))).toBe("BAD_BODY");
  });

  test("refuses more than 65536 bytes", () => {
    const long = {
      ...group,
      admins: [],
      roster: Array.from({ length: 256 }, (_, i) => row(`u${i}`, `${i}`, `u${i}@${"x".repeat(200)}`)).sort(
        compareRows,
      ),
    };
    expect(encodeCreateBody(long).length).toBeGreaterThan(65_536);
    refuses(decodeCreateBody, text(encodeCreateBody(long)));
  });
});

describe("decodeMembershipBody()", () => {
  test("reads back what was written, fields in the order of the specification", () => {
    for (const body of [update, add]) expect(decodeMembershipBody(encodeMembershipBody(body))).toEqual(body);
    expect(Object.keys(JSON.parse(text(encodeMembershipBody(add))))).toEqual([
      "action",
      "admins",
      "roster",
      "crl",
      "commit",
      "welcome",
      "group",
    ]);
  });

  test("refuses a welcome with anything but add, and add without one", () => {
    refuses(decodeMembershipBody, text(encodeMembershipBody({ ...update, welcome: digest("welcome") })));
    refuses(decodeMembershipBody, text(encodeMembershipBody({ ...add, welcome: null })));
  });

  test("refuses an unknown action and a roster that is not in order", () => {
    refuses(decodeMembershipBody, text(encodeMembershipBody(update)).replace('"update"', '"ban"'));
    refuses(
      decodeMembershipBody,
      text(encodeMembershipBody({ ...update, roster: [...update.roster].reverse() })),
    );
  });
});

describe("decodeAcknowledgeBody()", () => {
  test("reads back empty and ascending lists", () => {
    for (const body of [
      { disputed: [], unprocessable: [] },
      { disputed: [0, 3, 4], unprocessable: [7] },
    ])
      expect(decodeAcknowledgeBody(encodeAcknowledgeBody(body))).toEqual(body);
    expect(text(encodeAcknowledgeBody({ disputed: [1], unprocessable: [] }))).toBe(
      '{"disputed":[1],"unprocessable":[]}',
    );
  });

  for (const source of [
    '{"disputed":[2,1],"unprocessable":[]}',
    '{"disputed":[1,1],"unprocessable":[]}',
    '{"disputed":[],"unprocessable":[5,5]}',
    '{"disputed":[-1],"unprocessable":[]}',
    '{"disputed":[1.5],"unprocessable":[]}',
    '{"disputed":["1"],"unprocessable":[]}',
    '{"unprocessable":[],"disputed":[]}',
    '{"disputed":[]}',
  ])
    test(`refuses ${source}`, () => refuses(decodeAcknowledgeBody, source));
});

describe("decodeBody()", () => {
  test("goes by the kind of the entry and leaves a ciphertext alone", () => {
    expect(decodeBody({ kind: "message", ct: Uint8Array.of(1) })).toEqual({ kind: "message" });
    expect(decodeBody({ kind: "leave", ct: encodeLeaveBody() })).toEqual({ kind: "leave", body: {} });
    expect(decodeBody({ kind: "create", ct: encodeCreateBody(group) })).toEqual({
      kind: "create",
      body: group,
    });
    expect(decodeBody({ kind: "membership", ct: encodeMembershipBody(add) })).toEqual({
      kind: "membership",
      body: add,
    });
  });

  test("refuses the body of another kind, and a leave with words", () => {
    expect(codeOf(() => decodeBody({ kind: "leave", ct: encodeCreateBody(group) }))).toBe("BAD_BODY");
    expect(codeOf(() => decodeBody({ kind: "create", ct: encodeLeaveBody() }))).toBe("BAD_BODY");
    expect(codeOf(() => decodeBody({ kind: "leave", ct: encodeUtf8('{"why":"bye"}') }))).toBe("BAD_BODY");
  });
});
