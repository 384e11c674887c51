import { beforeEach, describe, expect, test } from "bun:test";
import type { Entry } from "../../src/log/entry.ts";
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

  describe("renew", () => {
    const renew = (by: Device, gone: Device, row: RosterRow) =>
      log.membership(by, { action: "renew", roster: withRows(without(log.state.roster, gone), row) });
    const successor = () => ({ ...bob2.row(), device: bob.row().device });

    test("puts a new certificate of the person in the place of the old one, with the same device", () => {
      const state = log.post(renew(bob2, bob, successor()));
      expect(state.senders.get(bob.fingerprint)).toMatchObject({ inRoster: false });
      expect(state.senders.get(bob2.fingerprint)).toMatchObject({
        inRoster: true,
        admittedIndex: 1,
        lastSeqno: 1,
      });
      expect(state.admins).toEqual(["bob"]);
      refused(log.message(bob), "UNKNOWN_SENDER");
      log.post(log.message(bob2, { seqno: 2 }));
    });
    test("works when the old certificate has expired", async () => {
      const next = await organisation.user("dave");
      log.now = dave.certificate.notAfterMs + 1000;
      refused(log.message(dave), "CERTIFICATE_INVALID");
      log.post(renew(next, dave, { ...next.row(), device: dave.row().device }));
    });
    test("refuses another device, another row, and more than one row", () => {
      refused(renew(bob2, bob, bob2.row()), "BAD_BODY");
      refused(renew(bob2, carol, { ...bob2.row(), device: carol.row().device }), "FORBIDDEN");
      refused(
        log.membership(bob2, { action: "renew", roster: withRows(log.state.roster, bob2.row()) }),
        "BAD_BODY",
      );
      refused(
        log.membership(bob2, {
          action: "renew",
          roster: withRows(without(log.state.roster, bob, carol), successor()),
        }),
        "BAD_BODY",
      );
    });
    test("refuses a member that takes over the device of another of its rows", () => {
      log.post(log.membership(bob, { action: "add", roster: withRows(log.state.roster, bob2.row()) }));
      refused(renew(bob2, bob2, { ...bob2.row(), device: digest("x") }), "BAD_BODY");
      const rows = withRows(without(log.state.roster, bob, bob2), successor());
      refused(log.membership(bob2, { action: "renew", roster: rows }), "BAD_BODY");
    });
    test("refuses a signer who is not the successor", () => {
      refused(renew(bob, bob, successor()), "BAD_BODY");
      refused(renew(alice, bob, successor()), "BAD_BODY");
    });
    test("refuses another CA's certificate of the same names", async () => {
      const impostor = await other.user("bob");
      refused(renew(impostor, bob, { ...impostor.row(), device: bob.row().device }), "FORBIDDEN");
    });
    test("refuses a certificate of other names than it claims", async () => {
      const mallory = await organisation.user("mallory");
      const claim = { ...mallory.row(), username: "bob", email: "bob@example.org", device: bob.row().device };
      refused(renew(mallory, bob, claim), "CERTIFICATE_INVALID");
    });
    test("refuses who is not in the roster", async () => {
      const erin = await organisation.user("erin");
      refused(renew(erin, carol, { ...erin.row(), device: carol.row().device }), "UNKNOWN_SENDER");
    });
  });

  describe("rejoin", () => {
    const rejoin = (by: Device, rows: RosterRow[]) => log.membership(by, { action: "rejoin", roster: rows });

    test("gives the sender's certificate a new device", () => {
      const state = log.post(rejoin(bob, withRows(without(log.state.roster, bob), bob.row("restored"))));
      expect(state.roster).toContainEqual(bob.row("restored"));
      expect(state.senders.get(bob.fingerprint)).toMatchObject({ admittedIndex: 0, lastSeqno: 1 });
      log.post(log.message(bob, { seqno: 2 }));
    });
    test("brings a person's new device in, beside the old one or in its place", () => {
      expect(log.judge(rejoin(bob2, withRows(log.state.roster, bob2.row()))).roster.length).toBe(5);
      expect(log.post(rejoin(bob2, withRows(without(log.state.roster, bob), bob2.row()))).roster.length).toBe(
        4,
      );
      log.post(log.message(bob2));
    });
    test("lets a removed device of a member come back, counting on", () => {
      log.post(rejoin(bob2, withRows(log.state.roster, bob2.row())));
      log.post(log.membership(alice, { action: "remove", roster: without(log.state.roster, bob2) }));
      const rows = withRows(log.state.roster, bob2.row("again"));
      refused(log.membership(bob2, { action: "rejoin", roster: rows }, { seqno: 1 }), "REPLAY");
      log.post(log.membership(bob2, { action: "rejoin", roster: rows }, { seqno: 2 }));
    });
    test("refuses the roster as it was, a device that was there, and more than the sender's rows", () => {
      const rows = log.state.roster;
      refused(rejoin(bob, [...rows]), "BAD_BODY");
      refused(
        rejoin(bob2, withRows(without(rows, bob), { ...bob2.row(), device: bob.row().device })),
        "BAD_BODY",
      );
      refused(rejoin(bob2, withRows(without(rows, bob), bob2.row(), alice2.row())), "BAD_BODY");
      refused(rejoin(bob, withRows(without(rows, bob, carol), bob.row("x"))), "BAD_BODY");
      refused(rejoin(bob, withRows(without(rows, bob), bob.row("x"), bob2.row())), "BAD_BODY");
      refused(rejoin(bob2, withRows(without(rows, bob, carol), bob2.row())), "BAD_BODY");
      refused(rejoin(bob, without(rows, bob)), "BAD_BODY");
    });
    test("refuses to evict somebody else, or to act on another's row", () => {
      const rows = log.state.roster;
      refused(rejoin(bob2, withRows(without(rows, carol), bob2.row())), "FORBIDDEN");
      refused(rejoin(bob, withRows(without(rows, carol), carol.row("x"))), "BAD_BODY");
    });
    test("refuses strangers, and another CA's certificate of a member's names", async () => {
      const [erin, impostor] = [await organisation.user("erin"), await other.user("bob")];
      refused(rejoin(erin, withRows(log.state.roster, erin.row())), "UNKNOWN_SENDER");
      refused(rejoin(impostor, withRows(log.state.roster, impostor.row())), "FORBIDDEN");
    });
  });
});
