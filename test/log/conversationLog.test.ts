import { beforeEach, describe, expect, test } from "bun:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { decodeEcdsaSignature, encodeEcdsaSignature } from "../../src/crypto/ecdsaSignature.ts";
import { checkClock, type LogState, maxClockDifferenceMs, nextSeqno } from "../../src/log/conversationLog.ts";
import { type Entry, type EntryKind, signEntry, signedBytes } from "../../src/log/entry.ts";
import { emptyRoot } from "../../src/log/merkle.ts";
import { castOfThree } from "./cast.ts";
import { codeOf } from "./codeOf.ts";
import { Conversation, digest, roster } from "./conversation.ts";

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

describe("every later entry", () => {
  beforeEach(() => {
    log.post(create());
    log.post(log.message(alice));
    log.post(log.message(bob));
  });

  test("messages, acknowledgements and a leave of both are accepted in turn", () => {
    log.post(log.acknowledge(alice, { disputed: [2] }));
    log.post(log.message(bob));
    const state = log.post(log.sign(alice, "leave"));
    expect(state.size).toBe(6);
    expect(nextSeqno(state, alice.fingerprint)).toBe(5);
    expect(nextSeqno(state, bob.fingerprint)).toBe(3);
    expect(nextSeqno(state, carol.fingerprint)).toBe(1);
  });

  test("refuses an entry of another conversation", () =>
    refused(log.message(alice, { conversation: digest("x") }), "MALFORMED"));
  test("refuses a stranger, whatever it sends", () => {
    const kinds: EntryKind[] = ["message", "acknowledge", "leave"];
    for (const kind of kinds)
      for (const part of [{}, { seqno: 9 }, { epoch: 7 }, { ts: 0 }, { view: { size: 99, root: emptyRoot } }])
        refused(log.sign(carol, kind, part), "UNKNOWN_SENDER");
    refused(log.create(carol, server, { roster: roster(alice.row(), carol.row()) }), "UNKNOWN_SENDER");
    for (const action of ["add", "remove", "update", "renew", "rejoin"] as const)
      refused(
        log.membership(carol, { action, roster: roster(alice.row(), bob.row(), carol.row()) }),
        "UNKNOWN_SENDER",
      );
  });
  test("refuses a second create", () => refused(create(), "FORBIDDEN"));
  test("refuses a body that is none", () =>
    refused(log.sign(alice, "leave", { ct: encodeUtf8("{} ") }), "BAD_BODY"));

  test("refuses a seqno that was used, and one that leaves a gap, for each sender alone", () => {
    for (const seqno of [1, 2]) refused(log.message(alice, { seqno }), "REPLAY");
    refused(log.message(alice, { seqno: 4 }), "GAP");
    refused(log.message(bob, { seqno: 1 }), "REPLAY");
    refused(log.message(bob, { seqno: 3 }), "GAP");
    log.post(log.message(alice, { seqno: 3 }));
    log.post(log.message(bob, { seqno: 2 }));
  });
  test("refuses an entry of the log as a replay", () => {
    for (const { entry } of log.lines.slice(1)) refused(entry, "REPLAY");
  });

  test("refuses a receive time before that of the entry in front, and accepts the same one", () => {
    const { lastAt } = log.state;
    refused(log.message(alice), "TIME_ORDER", lastAt - 1);
    log.post(log.message(alice, { ts: lastAt }), lastAt);
  });

  test("accepts a clock that is five minutes off and refuses one millisecond more", () => {
    for (const sign of [1, -1]) {
      refused(log.message(alice, { ts: log.now + sign * (maxClockDifferenceMs + 1) }), "CLOCK");
      log.post(log.message(alice, { ts: log.now + sign * maxClockDifferenceMs }));
    }
    expect(() => checkClock(0, 400_000)).toThrow("400000 ms behind");
    expect(() => checkClock(400_000, 0)).toThrow("400000 ms ahead");
  });

  test("refuses another epoch than the present one for message and membership", () => {
    for (const epoch of [0, 2]) {
      refused(log.message(alice, { epoch }), "STALE_EPOCH");
      refused(log.membership(alice, {}, { epoch }), "STALE_EPOCH");
    }
  });
  test("accepts an epoch that has passed for acknowledge and leave, and refuses one to come", () => {
    log.post(log.membership(bob, {}));
    expect(log.state.epoch).toBe(2);
    refused(log.acknowledge(alice, {}, { epoch: 3 }), "STALE_EPOCH");
    refused(log.acknowledge(alice, {}, { epoch: 0 }), "STALE_EPOCH");
    refused(log.message(alice, { epoch: 1 }), "STALE_EPOCH");
    log.post(log.acknowledge(alice, { unprocessable: [3] }, { epoch: 1 }));
    log.post(log.sign(alice, "leave", { epoch: 1 }));
  });

  test("accepts any earlier prefix that the sender's last view lies in", () => {
    const { rootAt } = log.context;
    const view = { size: 2, root: rootAt(2) ?? emptyRoot };
    log.post(log.message(bob, { view }));
    log.post(log.message(bob, { view }));
    refused(log.message(bob, { view: { size: 1, root: rootAt(1) ?? emptyRoot } }), "BAD_VIEW");
  });
  test("refuses a view of nothing, one beyond the log, and one with another root", () => {
    const { root, size } = log.state;
    refused(log.message(alice, { view: { size: 0, root: emptyRoot } }), "BAD_VIEW");
    refused(log.message(alice, { view: { size: size + 1, root } }), "BAD_VIEW");
    refused(log.message(alice, { view: { size, root: digest("x") } }), "BAD_VIEW");
    refused(log.message(alice, { view: { size: size - 1, root } }), "BAD_VIEW");
    const entry = log.message(alice, { view: { size: size - 1, root } });
    expect(codeOf(() => log.judge(entry, log.now, { rootAt: () => undefined }))).toBe("BAD_VIEW");
  });
  test("refuses a view that ends before the epoch began, for message and membership only", () => {
    const before = { size: log.state.size, root: log.state.root };
    log.post(log.membership(bob, {}));
    refused(log.message(alice, { view: before }), "BAD_VIEW");
    refused(log.membership(alice, {}, { view: before }), "BAD_VIEW");
    log.post(log.acknowledge(alice, {}, { view: before }));
  });

  test("refuses an acknowledgement of what the sender had not seen", () => {
    const { size } = log.state;
    refused(log.acknowledge(alice, { disputed: [size] }), "BAD_BODY");
    refused(log.acknowledge(alice, { unprocessable: [0, size] }), "BAD_BODY");
    log.post(log.acknowledge(alice, { disputed: [size - 1] }));
  });

  test("refuses a sender whose certificate has expired at `at`", () => {
    log.now += 21 * 86_400_000;
    refused(log.message(alice), "CERTIFICATE_INVALID");
  });
  test("refuses a certificate that the context confuses with another", () => {
    const confused = (_: unknown, at: number) => log.context.certificateAt(bob.fingerprint, at);
    expect(codeOf(() => log.judge(log.message(alice), log.now, { certificateAt: confused }))).toBe(
      "CERTIFICATE_INVALID",
    );
  });

  test("refuses a signature over anything but the signed bytes", () => {
    const entry = log.message(alice);
    const changes: Partial<Entry>[] = [
      { ts: entry.ts + 1 },
      { commitment: digest("other words") },
      { ct: new Uint8Array(92) },
      { sig: Uint8Array.of(0x30, 0) },
    ];
    for (const change of changes) refused({ ...entry, ...change }, "BAD_SIGNATURE");
    const { sig: _, ...unsigned } = entry;
    refused(signEntry(unsigned, entry.ct, bob.key), "BAD_SIGNATURE");
    log.post(entry);
  });
  test("refuses an ECDSA signature with a high S", () => {
    const entry = log.message(alice);
    const signature = decodeEcdsaSignature(entry.sig, "p256");
    if (signature === undefined) throw new Error("not a signature");
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const s = Uint8Array.fromHex((order - BigInt(`0x${signature.s.toHex()}`)).toString(16).padStart(64, "0"));
    const high = { ...entry, sig: encodeEcdsaSignature({ r: signature.r, s }) };
    expect(
      alice.certificate.publicKey.verify("ecdsa-p256-sha256", signedBytes(entry, entry.ct), high.sig),
    ).toBe(true);
    refused(high, "BAD_SIGNATURE");
  });

  test("a signature is not checked again only where the caller says that it made it itself", () => {
    const entry = { ...log.message(alice), sig: log.message(bob).sig };
    refused(entry, "BAD_SIGNATURE");
    expect(codeOf(() => log.judge(entry, log.now, { isOwnSignature: false }))).toBe("BAD_SIGNATURE");
    expect(log.judge(entry, log.now, { isOwnSignature: true }).size).toBe(4);
  });

  test("a refused entry changes nothing: the honest one with the same seqno is accepted", () => {
    const before = structuredClone({ ...log.state });
    const entry = log.message(alice);
    refused({ ...entry, ts: entry.ts + 1 }, "BAD_SIGNATURE");
    refused(log.message(alice, { seqno: 4 }), "GAP");
    refused(log.membership(alice, { roster: [] }), "BAD_BODY");
    expect(structuredClone({ ...log.state })).toEqual(before);
    log.post(entry);
  });
  test("verifyEntry() leaves the state that it was given as it was", () => {
    const before: LogState = log.state;
    const copy = structuredClone({ ...before });
    for (const entry of [
      log.message(alice),
      log.membership(bob, {}),
      log.sign(bob, "leave"),
      log.acknowledge(alice),
    ])
      expect(log.judge(entry)).not.toBe(before);
    expect(structuredClone({ ...before })).toEqual(copy);
  });
});

describe("which refusal comes first", () => {
  beforeEach(() => {
    log.post(create());
    log.post(log.message(bob));
  });
  // Each entry has the fault of its line and all faults below it.
  const steps: [string, (all: Partial<Entry>) => Partial<Entry>][] = [
    ["BAD_SIGNATURE", (all) => all],
    ["BAD_VIEW", (all) => ({ ...all, view: { size: 99, root: emptyRoot } })],
    ["STALE_EPOCH", (all) => ({ ...all, epoch: 5 })],
    ["CLOCK", (all) => ({ ...all, ts: 0 })],
    ["GAP", (all) => ({ ...all, seqno: 50 })],
  ];
  test("the order is that of the specification", () => {
    let faults: Partial<Entry> = {};
    for (const [code, add] of steps) {
      faults = add(faults);
      refused({ ...log.message(alice, faults), sig: Uint8Array.of(0) }, code);
    }
    refused({ ...log.message(alice, { ...faults, seqno: 1 }), sig: Uint8Array.of(0) }, "REPLAY", 0);
    refused(log.message(alice, { epoch: 5, ts: 0 }), "TIME_ORDER", 0);
    refused(log.message(carol, faults), "UNKNOWN_SENDER", 0);
    refused(log.message(carol, { ...faults, conversation: digest("x") }), "MALFORMED", 0);
  });
  test("closed comes before the seqno", () => {
    log.post(log.sign(bob, "leave"));
    refused(log.message(alice, { seqno: 50 }), "CLOSED");
    refused(log.message(bob, { seqno: 50 }), "CLOSED");
    refused(log.message(carol, { seqno: 50 }), "UNKNOWN_SENDER");
  });
});

test("RSA and Ed25519 devices write entries too, each checked with its own scheme", async () => {
  const [rsa, edwards] = [
    await organisation.user("rita", { keyType: "rsa2048" }),
    await organisation.user("edda", { keyType: "ed25519" }),
  ];
  log.post(log.create(rsa, server, { roster: roster(rsa.row(), edwards.row()) }));
  log.post(log.message(edwards));
  const { sig: _, ...unsigned } = log.message(edwards);
  refused(signEntry(unsigned, unsigned.ct, rsa.key), "BAD_SIGNATURE");
  refused({ ...log.message(rsa), sig: new Uint8Array(256) }, "BAD_SIGNATURE");
});
