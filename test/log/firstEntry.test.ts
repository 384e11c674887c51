import { beforeEach, describe, expect, test } from "bun:test";
import { type Entry, signEntry } from "../../src/log/entry.ts";
import { emptyRoot } from "../../src/log/merkle.ts";
import { castOfThree } from "./cast.ts";
import { codeOf } from "./codeOf.ts";
import { Conversation, digest, roster } from "./conversation.ts";

const { other, certificateAt, alice, bob, carol, server } = await castOfThree();
let log: Conversation;

beforeEach(() => {
  log = new Conversation(certificateAt);
});

const create = (overrides = {}) =>
  log.create(alice, server, { roster: roster(alice.row(), bob.row()) }, overrides);

/** Asserts what the entry is refused with where the log stands now. */
function refused(entry: Entry, code: string, at = log.now): void {
  expect(codeOf(() => log.judge(entry, at))).toBe(code);
}

describe("the first entry", () => {
  test("create opens epoch 1 and admits its roster", () => {
    const state = log.post(create());
    expect(state).toMatchObject({ size: 1, epoch: 1, epochIndex: 0, closed: false, departed: [] });
    expect(state).toMatchObject({ kind: "direct", title: "", admins: [], firstAt: state.lastAt });
    expect(state.creator).toMatchObject({ username: "alice", email: "alice@example.org" });
    expect(state.roster).toEqual(roster(alice.row(), bob.row()));
    expect([...state.senders.values()].map(({ lastSeqno, inRoster }) => [lastSeqno, inRoster])).toEqual([
      [1, true],
      [0, true],
    ]);
  });

  test("a server whose operator is a member is in the roster under its first DNS name", () => {
    const state = log.post(log.create(alice, server, { roster: roster(alice.row(), server.row()) }));
    expect(state.roster.map(({ username, email }) => [username, email])).toEqual([
      ["alice", "alice@example.org"],
      ["chat.example.org", ""],
    ]);
    log.post(log.message(server));
  });

  test("create may name the server by any of its names", () => {
    for (const name of ["www.example.org", "192.0.2.1"])
      expect(
        log.judge(
          log.create(alice, server, {
            server: { name, fingerprint: server.fingerprint },
            roster: roster(alice.row(), bob.row()),
          }),
        ).server.name,
      ).toBe(name);
  });

  for (const kind of ["message", "acknowledge", "leave"] as const)
    test(`refuses ${kind} at the beginning`, () => {
      refused(log.sign(alice, kind), "UNKNOWN_SENDER");
    });

  test("refuses a creator who is not in the roster", () => {
    refused(log.create(carol, server, { roster: roster(alice.row(), bob.row()) }), "BAD_BODY");
  });
  test("refuses a seqno that is not 1", () => refused(create({ seqno: 2 }), "GAP"));
  test("refuses an epoch that is not 0", () => refused(create({ epoch: 1 }), "STALE_EPOCH"));
  test("refuses a view that is not that of the empty log", () => {
    refused(create({ view: { size: 1, root: emptyRoot } }), "BAD_VIEW");
    refused(create({ view: { size: 0, root: digest("x") } }), "BAD_VIEW");
  });
  test("refuses a clock that is off", () => refused(create({ ts: log.now + 300_001 }), "CLOCK"));
  test("refuses a signature by another key", () => {
    const { sig: _, ...unsigned } = create();
    refused(signEntry(unsigned, unsigned.ct, bob.key), "BAD_SIGNATURE");
  });
  test("refuses a roster with a certificate that is not at hand", () => {
    const row = { ...bob.row(), fingerprint: digest("no certificate") };
    refused(log.create(alice, server, { roster: roster(alice.row(), row) }), "CERTIFICATE_INVALID");
  });
  test("refuses another name or another email than the certificate's", () => {
    for (const lie of [{ username: "mallory" }, { email: "mallory@example.org" }]) {
      refused(
        log.create(alice, server, { roster: roster(alice.row(), { ...bob.row(), ...lie }) }),
        "CERTIFICATE_INVALID",
      );
      refused(
        log.create(alice, server, { roster: roster(bob.row(), { ...alice.row(), ...lie }) }),
        "CERTIFICATE_INVALID",
      );
    }
  });
  test("refuses a server as a member under another than its first name", () => {
    const row = { ...server.row(), username: "www.example.org" };
    refused(log.create(alice, server, { roster: roster(alice.row(), row) }), "CERTIFICATE_INVALID");
  });
  test("refuses one username under two CAs", async () => {
    const impostor = await other.user("bob");
    refused(
      log.create(alice, server, { roster: roster(alice.row(), bob.row(), impostor.row()) }),
      "FORBIDDEN",
    );
  });
  test("refuses a server of another name, and a person as the server", () => {
    const rows = roster(alice.row(), bob.row());
    const lies = [
      { name: "evil.example.org", fingerprint: server.fingerprint },
      { name: "chat.example.org", fingerprint: bob.fingerprint },
      { name: "chat.example.org", fingerprint: digest("no certificate") },
    ];
    for (const lie of lies)
      refused(log.create(alice, server, { server: lie, roster: rows }), "CERTIFICATE_INVALID");
  });
  test("refuses certificates that are not yet or no longer valid at `at`", () => {
    for (const days of [-1, 21]) {
      log.now += days * 86_400_000;
      refused(create(), "CERTIFICATE_INVALID");
      log.now -= days * 86_400_000;
    }
  });
});
