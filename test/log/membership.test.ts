import { beforeEach, describe, expect, test } from "bun:test";
import type { Entry } from "../../src/log/entry.ts";
import { unprovenRemovals } from "../../src/log/membership.ts";
import type { RosterRow } from "../../src/log/roster.ts";
import { castOfGroup } from "./cast.ts";
import { codeOf } from "./codeOf.ts";
import { Conversation, digest, roster } from "./conversation.ts";
import type { Device } from "./organisation.ts";

const { organisation, other, certificateAt, alice, alice2, bob, bob2, carol, dave, server } =
  await castOfGroup();
let log: Conversation;

beforeEach(() => {
  log = new Conversation(certificateAt);
});

function refused(entry: Entry, code: string): void {
  expect(codeOf(() => log.judge(entry))).toBe(code);
}
const without = (rows: readonly RosterRow[], ...devices: Device[]) =>
  rows.filter((row) => !devices.some(({ fingerprint }) => row.fingerprint === fingerprint));
const withRows = (rows: readonly RosterRow[], ...more: RosterRow[]) => roster(...rows, ...more);

describe("a group of alice (creator), bob (admin), carol and dave", () => {
  beforeEach(() => {
    const rows = roster(alice.row(), bob.row(), carol.row(), dave.row());
    log.post(log.create(alice, server, { kind: "group", title: "Team", admins: ["bob"], roster: rows }));
  });

  test("each action opens an epoch and sets the roster", () => {
    const added = log.post(
      log.membership(carol, { action: "add", roster: withRows(log.state.roster, bob2.row()) }),
    );
    expect(added).toMatchObject({ epoch: 2, epochIndex: 1 });
    expect(added.roster.length).toBe(5);
    expect(added.senders.get(bob2.fingerprint)).toMatchObject({
      admittedIndex: 1,
      inRoster: true,
      lastSeqno: 0,
    });
    const removed = log.post(
      log.membership(bob, { action: "remove", roster: without(added.roster, carol, bob2) }),
    );
    expect(removed).toMatchObject({ epoch: 3, epochIndex: 2 });
    expect(removed.senders.get(carol.fingerprint)).toMatchObject({ inRoster: false, lastSeqno: 1 });
    expect(log.post(log.membership(dave, {}))).toMatchObject({
      epoch: 4,
      epochIndex: 3,
      roster: removed.roster,
    });
    refused(log.message(carol), "UNKNOWN_SENDER");
  });

  describe("add", () => {
    const add = (by: Device, rows: RosterRow[]) => log.membership(by, { action: "add", roster: rows });
    test("refuses a roster that adds nobody, or does more than add", () => {
      const { roster: rows } = log.state;
      refused(add(carol, [...rows]), "BAD_BODY");
      refused(add(carol, withRows(without(rows, dave), bob2.row())), "BAD_BODY");
      refused(add(carol, withRows(without(rows, bob), bob.row("other"), bob2.row())), "BAD_BODY");
    });
    test("refuses another name than the certificate's, and a certificate that is not at hand", () => {
      const { roster: rows } = log.state;
      refused(
        add(carol, withRows(rows, { ...bob2.row(), username: "bobby", email: "bobby@example.org" })),
        "CERTIFICATE_INVALID",
      );
      refused(add(carol, withRows(rows, { ...bob2.row(), fingerprint: digest("x") })), "CERTIFICATE_INVALID");
    });
    test("refuses a certificate that has expired at `at`", async () => {
      const brief = await organisation.user("erin", { days: 1 });
      log.now = brief.certificate.notAfterMs + 1000;
      refused(add(carol, withRows(log.state.roster, brief.row())), "CERTIFICATE_INVALID");
      log.now -= 1;
      log.post(add(carol, withRows(log.state.roster, brief.row())));
    });
    test("refuses another CA's certificate of the same person, and takes another CA's person of another name", async () => {
      refused(add(carol, withRows(log.state.roster, (await other.user("bob")).row())), "FORBIDDEN");
      log.post(add(carol, withRows(log.state.roster, (await other.user("erin")).row())));
    });
    test("refuses a view of the added device that ends before its admission", () => {
      const before = { size: log.state.size, root: log.state.root };
      log.post(add(carol, withRows(log.state.roster, bob2.row())));
      refused(log.acknowledge(bob2, {}, { view: before }), "BAD_VIEW");
      log.post(log.acknowledge(bob2));
    });
    test("judges the signature before it looks at the added certificates", () => {
      const entry = add(carol, withRows(log.state.roster, { ...bob2.row(), fingerprint: digest("x") }));
      refused({ ...entry, ts: entry.ts + 1 }, "BAD_SIGNATURE");
    });
  });

  describe("remove", () => {
    const remove = (by: Device, gone: Device[], body: { crl?: string; admins?: string[] } = {}) =>
      log.membership(by, { action: "remove", roster: without(log.state.roster, ...gone), ...body });
    test("is for the creator and the admins", () => {
      for (const by of [alice, bob]) expect(log.judge(remove(by, [carol])).roster.length).toBe(3);
      refused(remove(carol, [dave]), "FORBIDDEN");
      expect(log.judge(remove(bob, [alice])).roster.length).toBe(3);
    });
    test("refuses a roster that removes nobody, the signer, or does more than remove", () => {
      refused(remove(alice, []), "BAD_BODY");
      refused(remove(alice, [alice]), "BAD_BODY");
      refused(
        log.membership(alice, {
          action: "remove",
          roster: withRows(without(log.state.roster, carol), bob2.row()),
        }),
        "BAD_BODY",
      );
      refused(
        log.membership(alice, {
          action: "remove",
          roster: withRows(without(log.state.roster, carol, bob), bob.row("x")),
          admins: ["bob"],
        }),
        "BAD_BODY",
      );
    });
    test("lets any member take out whose certificate has expired", () => {
      refused(remove(carol, [dave]), "FORBIDDEN");
      log.now = dave.certificate.notAfterMs + 999;
      refused(remove(carol, [dave]), "FORBIDDEN");
      log.now += 1;
      refused(remove(carol, [dave, alice]), "FORBIDDEN");
      log.post(remove(carol, [dave]));
    });
    test("lets any member claim a revocation by naming a CRL, and unprovenRemovals() says which rows rest on it", () => {
      log.post(log.sign(dave, "leave"));
      const { state, now } = log;
      const gone = [bob.row(), dave.row()];
      expect(unprovenRemovals(state, carol.row(), gone, now)).toEqual([bob.row()]);
      expect(unprovenRemovals(state, alice.row(), gone, now)).toEqual([]);
      refused(remove(carol, [bob, dave], { admins: [] }), "FORBIDDEN");
      log.post(remove(carol, [bob, dave], { admins: [], crl: "7" }));
    });
    test("an admin who is removed is one no more, also after coming back", () => {
      log.post(remove(alice, [bob], { admins: [] }));
      log.post(log.membership(carol, { action: "add", roster: withRows(log.state.roster, bob.row("new")) }));
      refused(remove(bob, [carol]), "FORBIDDEN");
    });
    test("a creator's names under another CA inherit nothing", async () => {
      log.post(remove(bob, [alice]));
      const impostor = await other.user("alice");
      log.post(log.membership(carol, { action: "add", roster: withRows(log.state.roster, impostor.row()) }));
      refused(remove(impostor, [carol]), "FORBIDDEN");
      refused(log.membership(impostor, { admins: ["alice", "bob"] }), "FORBIDDEN");
      log.post(remove(bob, [impostor]));
      log.post(log.membership(carol, { action: "add", roster: withRows(log.state.roster, alice2.row()) }));
      log.post(remove(alice2, [carol]));
    });
  });

  describe("admins", () => {
    test("are named by the creator, with any action", () => {
      expect(log.post(log.membership(alice, { admins: ["bob", "carol"] })).admins).toEqual(["bob", "carol"]);
      expect(log.post(log.membership(alice, { admins: [] })).admins).toEqual([]);
    });
    test("refuses a change by anybody else, an admin too", () => {
      for (const by of [bob, carol])
        for (const admins of [[], ["carol"], ["bob", "carol"]])
          refused(log.membership(by, { admins }), "FORBIDDEN");
    });
    test("lose who is out with the last row, and keep who has another", () => {
      log.post(log.membership(carol, { action: "add", roster: withRows(log.state.roster, bob2.row()) }));
      const gone = (...devices: Device[]) => ({
        action: "remove" as const,
        roster: without(log.state.roster, ...devices),
      });
      refused(log.membership(bob2, { ...gone(bob), admins: [] }), "FORBIDDEN");
      log.post(log.membership(bob2, { ...gone(bob), admins: ["bob"] }));
      log.post(log.sign(bob2, "leave"));
      refused(log.membership(carol, { ...gone(bob2), admins: ["bob"] }), "BAD_BODY");
      expect(log.post(log.membership(carol, { ...gone(bob2), admins: [] })).admins).toEqual([]);
    });
  });

  test("update refuses every change of the roster", () => {
    const { roster: rows } = log.state;
    for (const changed of [
      without(rows, dave),
      withRows(rows, bob2.row()),
      withRows(without(rows, bob), bob.row("x")),
    ])
      refused(log.membership(alice, { action: "update", roster: changed }), "BAD_BODY");
  });
  test("no action changes a row's names", () => {
    const renamed = roster(...without(log.state.roster, carol), { ...carol.row(), email: "c@example.org" });
    for (const action of ["update", "add", "remove", "renew", "rejoin"] as const)
      refused(log.membership(carol, { action, roster: renamed }), "BAD_BODY");
  });
});

describe("a direct conversation", () => {
  beforeEach(() => {
    log.post(log.create(alice, server, { roster: roster(alice.row(), bob.row()) }));
  });

  test("takes in more devices of the two", () => {
    log.post(log.membership(bob, { action: "add", roster: withRows(log.state.roster, alice2.row()) }));
    log.post(log.membership(bob2, { action: "rejoin", roster: withRows(log.state.roster, bob2.row()) }));
    expect(log.state.roster.length).toBe(4);
  });
  test("refuses a third person and the loss of one of the two", () => {
    refused(
      log.membership(alice, { action: "add", roster: withRows(log.state.roster, carol.row()) }),
      "BAD_BODY",
    );
    refused(log.membership(alice, { action: "remove", crl: "1", roster: [alice.row()] }), "BAD_BODY");
  });
  test("refuses admins", () => refused(log.membership(alice, { admins: ["bob"] }), "BAD_BODY"));
  test("gives nobody the right to remove, not even its creator", () => {
    log.post(log.membership(bob, { action: "add", roster: withRows(log.state.roster, bob2.row()) }));
    const rows = without(log.state.roster, bob2);
    refused(log.membership(alice, { action: "remove", roster: rows }), "FORBIDDEN");
    log.post(log.membership(alice, { action: "remove", roster: rows, crl: "3" }));
  });
});
