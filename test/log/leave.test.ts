import { beforeEach, describe, expect, test } from "bun:test";
import type { Entry } from "../../src/log/entry.ts";
import { rowsToRemove } from "../../src/log/rekey.ts";
import { castOfThree } from "./cast.ts";
import { codeOf } from "./codeOf.ts";
import { Conversation, roster } from "./conversation.ts";
import type { Device } from "./organisation.ts";

const { organisation, certificateAt, alice, bob, carol, server } = await castOfThree();
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

describe("leave", () => {
  test("closes a direct conversation to everything but the other's acknowledge", () => {
    log.post(create());
    const state = log.post(log.sign(bob, "leave"));
    expect(state).toMatchObject({ closed: true, departed: [bob.row()] });
    refused(log.message(alice), "CLOSED");
    refused(log.sign(alice, "leave"), "CLOSED");
    refused(log.membership(alice, {}), "CLOSED");
    refused(log.acknowledge(bob), "CLOSED");
    expect(log.post(log.acknowledge(alice)).closed).toBe(true);
  });

  test("in a group bars messages until the person's devices are removed, which any member may do", async () => {
    const second = await organisation.user("bob");
    const rows = roster(alice.row(), bob.row(), second.row(), carol.row());
    log.post(log.create(alice, server, { kind: "group", title: "Team", roster: rows }));
    const left = log.post(log.sign(bob, "leave"));
    expect(left.closed).toBe(false);
    expect(left.departed).toEqual(roster(bob.row(), second.row()));
    expect(rowsToRemove(left, { nowMs: log.now, isRevoked: () => false })).toEqual(left.departed);

    refused(log.message(carol), "REKEY_NEEDED");
    log.post(log.acknowledge(carol));
    for (const device of [bob, second]) {
      refused(log.acknowledge(device), "CLOSED");
      refused(log.membership(device, {}), "CLOSED");
    }
    const third = await organisation.user("bob");
    refused(log.membership(third, { action: "rejoin", roster: roster(...rows, third.row()) }), "CLOSED");

    log.post(
      log.membership(carol, { action: "remove", roster: roster(alice.row(), second.row(), carol.row()) }),
    );
    refused(log.message(carol), "REKEY_NEEDED");
    const removed = log.post(
      log.membership(carol, { action: "remove", roster: roster(alice.row(), carol.row()) }),
    );
    expect(removed.departed).toEqual([]);
    log.post(log.message(carol));
    refused(log.message(bob), "UNKNOWN_SENDER");

    // Who was removed may be added again, and goes on counting.
    const back = log.post(
      log.membership(alice, { action: "add", roster: roster(alice.row(), bob.row("new"), carol.row()) }),
    );
    expect(back.departed).toEqual([]);
    refused(log.message(bob, { seqno: 1 }), "REPLAY");
    log.post(log.message(bob, { seqno: 2 }));
  });
});

test("rowsToRemove() names who left, expired or is revoked", async () => {
  const brief = await organisation.user("dave", { days: 1 });
  log.post(
    log.create(alice, server, {
      kind: "group",
      title: "Team",
      roster: roster(alice.row(), bob.row(), carol.row(), brief.row()),
    }),
  );
  const state = log.post(log.sign(carol, "leave"));
  const names = (nowMs: number, revoked?: Device) =>
    rowsToRemove(state, { nowMs, isRevoked: (fingerprint) => fingerprint === revoked?.fingerprint }).map(
      (row) => row.username,
    );
  const { notAfterMs } = brief.certificate;
  expect(names(log.now)).toEqual(["carol"]);
  expect(names(log.now, bob)).toEqual(["bob", "carol"]);
  expect(names(notAfterMs + 999)).toEqual(["carol"]);
  expect(names(notAfterMs + 1000)).toEqual(["carol", "dave"]);
});
