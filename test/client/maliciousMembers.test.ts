import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { encodeHex, type Hex, isHex } from "../../src/base/hex.ts";
import { rosterOf } from "../../src/client/groupFollower.ts";
import { Vault } from "../../src/client/vault.ts";
import { encodeRecord, numberedKey, outgoingSchema } from "../../src/client/vaultRecords.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { encodeDisclosure } from "../../src/evidence/disclosure.ts";
import { addMembers, createGroup, type PendingCommit } from "../../src/group/conversationGroup.ts";
import { createDevice } from "../../src/group/device.ts";
import { decodeGroupInfo } from "../../src/group/mlsMessage.ts";
import { encodeAcknowledgeBody, encodeCreateBody, type RosterRow } from "../../src/log/bodies.ts";
import { type Entry, formatEntry } from "../../src/log/entry.ts";
import type { ServerMessage } from "../../src/wire/sessionMessages.ts";
import { forgeGroupInfo, spoilPath } from "../group/forge.ts";
import { newDevice, newKeyPackage } from "../server/testServer.ts";
import { findingsOf, Trio } from "./trio.ts";

let trio: Trio;
beforeAll(async () => {
  trio = await Trio.meet();
});
afterAll(() => trio.dispose());

function indexOf(answer: ServerMessage): number {
  if (answer.type !== "accepted") throw new Error(`answered with ${JSON.stringify(answer)}`);
  return answer.index;
}

describe("words of a member", () => {
  const attacks: [string, () => Promise<ServerMessage>][] = [
    ["that are not those it committed to", () => trio.mallory.say("shown", { committed: "kept back" })],
    ["in a ciphertext that nobody can open", () => trio.mallory.say("shown", { ct: systemRandom(92) })],
    ["that are no text", () => trio.mallory.say(Uint8Array.of(0xff, 0xfe, 0x41))],
    [
      "that are another's commitment and ciphertext",
      async () => {
        await trio.alice.client.send(trio.conversation, "by alice");
        await trio.mallory.sync();
        const { entry } = trio.entries().at(-1) ?? {};
        if (entry === undefined) throw new Error("alice wrote nothing");
        return trio.mallory.say("", { ct: entry.ct, commitment: entry.commitment });
      },
    ],
  ];
  for (const [what, attack] of attacks)
    test(`${what} are shown by nobody and disputed by everybody, before anything else`, async () => {
      await trio.begin();
      const index = indexOf(await attack());
      await trio.warned("DISPUTED");
      await trio.talk();
      for (const party of trio.honest) {
        const { username } = party.person;
        expect(trio.of(party, "message").filter(({ from }) => from === "mallory")).toEqual([]);
        expect(trio.firstWordOn(index, username)).toBe("disputed");
      }
      // Its chain has moved on all the same.
      await trio.mallory.sync();
      await trio.mallory.say("and this can be read");
      await trio.bob.until(() => trio.bob.texts.includes("and this can be read"));
      const report = await trio.verify();
      expect(report.verdict).toBe("valid");
      const says = "says that it could not open this message, or that it is not what its author committed to";
      expect(findingsOf(report, "DISPUTED").sort()).toEqual(
        ["alice", "bob"].map((who) => `line ${index + 1}: ${who} ${says}`),
      );
    });

  test("that nobody can open, sixty of them, are disputed in a few entries, and none is left out", async () => {
    await trio.begin();
    const indexes: number[] = [];
    for (let i = 0; i < 60; i++)
      indexes.push(indexOf(await trio.mallory.say("shown", { ct: systemRandom(92) })));
    await trio.warned("DISPUTED", 60);
    await trio.talk();
    const acknowledged = trio.entries().filter(({ body }) => body.kind === "acknowledge");
    expect(acknowledged.length).toBeLessThanOrEqual(2 * 15);
    for (const index of indexes)
      for (const who of ["alice", "bob"]) expect(trio.firstWordOn(index, who)).toBe("disputed");
  });

  test("are disputed also by an acknowledgement that waited unsigned when they came", async () => {
    const { alice, mallory } = trio;
    await trio.begin();
    alice.client.close();
    const index = indexOf(await mallory.say("shown", { ct: systemRandom(92) }));
    // As when the connection was lost in the turn that it was made in.
    const vault = Vault.open({ file: alice.vaultFile, key: alice.person.key, random: systemRandom });
    const batch = vault.batch();
    const content = encodeAcknowledgeBody({ disputed: [0], unprocessable: [] });
    const waiting = { kind: "acknowledge" as const, content, opening: null, seqno: null, line: null };
    batch.write("outgoing", numberedKey(trio.conversation, 1), encodeRecord(outgoingSchema, waiting));
    vault.commit(batch);
    vault.close();
    await alice.login();
    await alice.until(() => trio.entries().some(({ who, index: at }) => who === "alice" && at > index));
    expect(trio.firstWordOn(index, "alice")).toBe("disputed");
    await trio.talk();
  });

  test("can be proven against their author only as it committed to them, and against nobody else", async () => {
    const { alice, mallory } = trio;
    await trio.begin();
    await alice.client.send(trio.conversation, "by alice");
    await mallory.sync();
    const { entry } = trio.entries()[1] ?? {};
    if (entry === undefined) throw new Error("alice wrote nothing");
    const { line, opening } = mallory.sealed("shown", { committed: "kept back" });
    const lied = indexOf(await mallory.postLine(line));
    const copied = indexOf(await mallory.say("", { ct: entry.ct, commitment: entry.commitment }));
    await trio.warned("DISPUTED", 2);
    await trio.talk();
    await alice.client.disclose(trio.conversation, [{ from: 1, to: 1 }]);
    const folder = alice.folderOf(trio.conversation);
    const disclosed = readFileSync(join(folder, "disclosure.json"), "utf8");
    const alices = disclosed.match(/"opening":"([0-9a-f]{64})"/)?.[1];
    const [mine, hers] = [encodeHex(opening), alices];
    if (hers === undefined || !isHex(hers, 32)) throw new Error("alice disclosed nothing");
    rmSync(join(folder, "disclosure.json"));
    const shown = async (index: number, one: { opening: Hex; plaintext: string }) => {
      const report = await trio.verify([
        encodeDisclosure({ conversation: trio.conversation, entries: [{ index, ...one }] }),
      ]);
      const { verdict, words } = report;
      return {
        verdict,
        words: words.map(({ username, text, disputedBy }) => [username, text, ...disputedBy]),
      };
    };
    // What it committed to is its own claim, and the others have disputed it in time.
    expect(await shown(lied, { opening: mine, plaintext: "kept back" })).toEqual({
      verdict: "valid",
      words: [["mallory", "kept back", "alice", "bob"]],
    });
    expect((await shown(lied, { opening: mine, plaintext: "shown" })).verdict).toBe("invalid");
    // Neither whose commitment it copied, nor itself by what it copied.
    expect((await shown(1, { opening: hers, plaintext: "by mallory" })).verdict).toBe("invalid");
    expect((await shown(copied, { opening: hers, plaintext: "by alice" })).verdict).toBe("invalid");
    expect((await shown(1, { opening: mine, plaintext: "kept back" })).verdict).toBe("invalid");
    expect(await shown(1, { opening: hers, plaintext: "by alice" })).toEqual({
      verdict: "valid",
      words: [["alice", "by alice"]],
    });
  });
});

const wrongKey = (made: PendingCommit) => forged(made, (tree) => tree, true);
const wrongTree = (made: PendingCommit) =>
  forged(made, (tree) => tree.map((node) => (node?.nodeType === "parent" ? undefined : node)), false);

/** With a GroupInfo that its maker has changed and signed again. */
async function forged(
  made: PendingCommit,
  change: Parameters<typeof forgeGroupInfo>[2],
  hasOtherKey: boolean,
): Promise<PendingCommit> {
  const { mallory } = trio;
  // Anybody's X-Wing key will do.
  const other = await createGroup({ ...groupOptions(), keyPackages: await mallory.packagesOf("bob") });
  const key = hasOtherKey ? decodeGroupInfo(other.groupInfo).externalPublicKey : undefined;
  const groupInfo = await forgeGroupInfo(made.groupInfo, mallory.member, change, key);
  return { ...made, groupInfo };
}

function groupOptions() {
  const { device, conversation } = trio.mallory;
  return { device, conversation, judge: () => undefined, random: systemRandom, nowMs: Date.now() };
}

describe("a change of keys by a member", () => {
  /** `by`: who says so in the evidence. `answers`: the commits that it takes to go on. */
  const attacks: [string, { attack: () => Promise<ServerMessage>; by: string[]; answers: string[] }][] = [
    [
      "that nobody can follow",
      {
        attack: async () => trio.mallory.commit(await spoilPath(trio.mallory.member, 0)),
        by: ["alice", "bob"],
        answers: ["rejoin by alice", "rejoin by bob"],
      },
    ],
    [
      "that only some can follow",
      {
        attack: async () => trio.mallory.commit(await spoilPath(trio.mallory.member, 1)),
        by: ["bob"],
        answers: ["rejoin by bob"],
      },
    ],
    [
      "with a GroupInfo by which nobody could come in",
      {
        attack: () => trio.mallory.update(wrongKey),
        by: ["alice", "bob"],
        answers: ["update by alice", "update by bob"],
      },
    ],
    [
      "with a GroupInfo of another tree",
      {
        attack: () => trio.mallory.update(wrongTree),
        by: ["alice", "bob"],
        answers: ["update by alice", "update by bob"],
      },
    ],
  ];
  for (const [what, { attack, by, answers }] of attacks)
    test(`${what} is told by ${by.join(" and ")}, who go on`, async () => {
      await trio.begin();
      expect(indexOf(await attack())).toBe(1);
      await trio.warned("UNPROCESSABLE", 1, by);
      await trio.changed(answers);
      await trio.talk();
      for (const who of by) expect(trio.firstWordOn(1, who)).toBe("unprocessable");
      // Whoever writes to somebody that has no keys is told.
      const told = trio.of(trio.alice, "warning").filter(({ code }) => code === "NOT_READ");
      expect(told.map(({ message }) => message)).toEqual([
        "bob says that it can't follow entry 1: until it is back it may read nothing",
      ]);
      expect(trio.commits().sort()).toEqual([...answers, "update by mallory"].sort());
      const report = await trio.verify();
      expect(report.verdict).toBe("valid");
      const rejoined = (who: string) => {
        const at = trio.entries().find((one) => {
          return one.who === who && one.body.kind === "membership" && one.body.body.action === "rejoin";
        });
        return at === undefined
          ? ""
          : `; until it came back, in line ${at.index + 1}, it could read no messages`;
      };
      expect(findingsOf(report, "UNPROCESSABLE").sort()).toEqual(
        by.map(
          (who) =>
            `line 2: ${who} says that this change of keys by mallory is not good for it, or for who comes in by it${rejoined(who)}`,
        ),
      );
    });

  test("with a GroupInfo by which nobody could come in costs no words: those behind it are read", async () => {
    await trio.begin();
    for (const { link } of trio.honest) link.hold("to client");
    await trio.mallory.update(wrongKey);
    expect(await trio.mallory.say("behind it")).toMatchObject({ type: "accepted" });
    for (const { link } of trio.honest) link.release();
    await trio.warned("UNPROCESSABLE");
    await trio.talk();
    for (const { texts } of trio.honest) expect(texts).toContain("behind it");
    expect(trio.of(trio.alice, "warning").map(({ code }) => code)).not.toContain("UNREADABLE");
  });

  const invitations: [string, (made: PendingCommit) => Promise<PendingCommit>, string][] = [
    [
      "into another group",
      async (made) => {
        const [alices, bobs] = [await trio.mallory.packagesOf("alice"), await trio.mallory.packagesOf("bob")];
        const { welcome } = await createGroup({ ...groupOptions(), keyPackages: [...alices, ...bobs] });
        return { ...made, welcome };
      },
      "rejoin",
    ],
    ["into a group that nobody else could come into", wrongKey, "update"],
  ];
  for (const [what, change, answer] of invitations)
    test(`that invites ${what} is told by those it invites, who go on`, async () => {
      await trio.mallory.begin(trio.honest, {}, change);
      await trio.warned("UNPROCESSABLE");
      await trio.changed([`${answer} by alice`, `${answer} by bob`]);
      await trio.talk();
      for (const who of ["alice", "bob"]) expect(trio.firstWordOn(0, who)).toBe("unprocessable");
      expect(trio.commits().sort()).toEqual([`${answer} by alice`, `${answer} by bob`]);
      const report = await trio.verify();
      expect(report.verdict).toBe("valid");
      expect(findingsOf(report, "UNPROCESSABLE")).toHaveLength(2);
    });

  test("that invites by key packages which were used before lets them in all the same", async () => {
    const [alices, bobs] = [await trio.mallory.packagesOf("alice"), await trio.mallory.packagesOf("bob")];
    const again = () => createGroup({ ...groupOptions(), keyPackages: [...alices, ...bobs] });
    await trio.mallory.begin(trio.honest, {}, again);
    await trio.changed(["create by mallory"]);
    await trio.talk();
    expect(trio.commits()).toEqual([]);
    await trio.mallory.begin(trio.honest, {}, again);
    await trio.changed(["rejoin by alice", "rejoin by bob"]);
    await trio.talk();
    expect(trio.commits().sort()).toEqual(["rejoin by alice", "rejoin by bob"]);
    expect(findingsOf(await trio.verify(), "UNPROCESSABLE")).toEqual([]);
  });

  test("that nobody can follow, again after each answer, is answered once each time", async () => {
    await trio.begin();
    for (let round = 1; round <= 3; round++) {
      await trio.mallory.sync();
      indexOf(await trio.mallory.commit(await spoilPath(trio.mallory.member, 0)));
      await trio.changed(["rejoin by alice", "rejoin by bob"], round);
    }
    await trio.talk();
    expect(trio.commits().filter((one) => one.startsWith("rejoin"))).toHaveLength(6);
  });

  test("that nobody can follow, again as soon as somebody answers, is answered at a bounded rate, and then they go on", async () => {
    await trio.begin();
    let spoilt = 0;
    const startMs = performance.now();
    while (performance.now() - startMs < 2_500) {
      await trio.mallory.sync();
      // Not before the last one was answered.
      if (spoilt > 0 && trio.mallory.isLast) await Bun.sleep(10);
      else if ((await trio.mallory.commit(await spoilPath(trio.mallory.member, 0))).type === "accepted")
        spoilt++;
    }
    const refilled = Math.ceil((performance.now() - startMs) / 5_000);
    const answers = trio.commits().filter((one) => one.startsWith("rejoin"));
    expect(answers.length).toBeLessThanOrEqual(2 * (8 + refilled));
    await trio.changed(["update by mallory"], spoilt);
    for (const party of trio.honest)
      await party.until(() => {
        const changes = trio.of(party, "membership").map(({ action, by }) => `${action} by ${by}`);
        const since = changes.slice(changes.lastIndexOf("update by mallory"));
        return since.includes("rejoin by alice") && since.includes("rejoin by bob");
      });
    await trio.talk();
  }, 60_000);

  test("that nobody can follow holds up no words that are on their way", async () => {
    const { alice, mallory } = trio;
    await trio.begin();
    alice.link.hold("to client");
    indexOf(await mallory.commit(await spoilPath(mallory.member, 0)));
    const sent = alice.client.send(trio.conversation, "on its way");
    await trio.bob.until(() => trio.of(trio.bob, "membership").some(({ action }) => action === "rejoin"));
    alice.link.release();
    await sent;
    await trio.warned("UNPROCESSABLE");
    expect(trio.firstWordOn(1, "alice")).toBe("unprocessable");
  }, 60_000);
});

test("who disputes what it has signed for is shown to have done so late, and proven words stay proven", async () => {
  const { alice, mallory } = trio;
  await trio.begin();
  const id = trio.conversation;
  await alice.client.send(id, "never said, says mallory");
  await mallory.sync();
  await mallory.say("I have read this");
  const disputed = encodeAcknowledgeBody({ disputed: [0, 1], unprocessable: [0, 1] });
  expect(await mallory.post("acknowledge", { ct: disputed })).toMatchObject({ type: "accepted" });
  await trio.talk();
  await alice.client.disclose(id, [{ from: 1, to: 1 }]);
  const report = await trio.verify();
  expect(report.verdict).toBe("valid");
  expect(report.words).toMatchObject([
    { username: "alice", text: "never said, says mallory", disputedBy: ["mallory"] },
  ]);
  expect(findingsOf(report, "DISPUTED")).toEqual([
    "line 1: mallory disputes this entry, which is no message: that means nothing",
    "line 2: mallory says that it could not open this message, or that it is not what its author committed to; it had signed for it before, and did not say so then",
  ]);
  expect(findingsOf(report, "UNPROCESSABLE")).toEqual([
    "line 1: mallory says that this change of keys by mallory is not good for it, or for who comes in by it",
    "line 2: mallory says that it could not apply this entry, which changes no keys: that means nothing",
  ]);
});

describe("the server refuses a member", () => {
  /** Posts each of these and expects its code; nothing has changed then, and all three go on. */
  async function refuses(attempts: readonly (readonly [string, () => Promise<ServerMessage>, string])[]) {
    const { mallory } = trio;
    const { size } = mallory;
    const answers: string[] = [];
    for (const [what, attempt] of attempts) {
      const answer = await attempt();
      answers.push(`${what}: ${answer.type === "refused" ? answer.code : answer.type}`);
    }
    expect(answers).toEqual(attempts.map(([what, , code]) => `${what}: ${code}`));
    await mallory.sync();
    expect(mallory.size).toBe(size);
    await mallory.say("and on");
    await trio.bob.until(() => trio.bob.texts.includes("and on"));
    await trio.talk();
  }

  test("entries in another's name, out of their place, or of another log", async () => {
    const { mallory, alice } = trio;
    await trio.begin();
    const elsewhere = mallory.log;
    await mallory.say("in another conversation");
    const foreign = formatEntry(mallory.log.sign(mallory.person, "message", { seqno: 2 }));
    await trio.begin();
    await alice.client.send(trio.conversation, "by alice");
    await mallory.sync();
    await mallory.say("mine");
    const [, alices, mine] = trio.entries();
    if (alices === undefined || mine === undefined) throw new Error("nothing was said");
    const { state } = mallory.log;
    const view = (size: number, root: Hex) => mallory.say("x", { view: { size, root } });
    const moved = (over: Partial<Entry>) =>
      mallory.postLine(formatEntry({ ...mine.entry, seqno: 3, ...over }));
    await refuses([
      ["alice's line", () => mallory.postLine(formatEntry(alices.entry)), "UNKNOWN_SENDER"],
      [
        "alice's name",
        () => mallory.say("x", { sender: alice.person.certificate.fingerprint }),
        "UNKNOWN_SENDER",
      ],
      ["a seqno again, with other words", () => mallory.say("x", { seqno: 2 }), "REPLAY"],
      ["a gap", () => mallory.say("x", { seqno: 4 }), "GAP"],
      ["far from the server's clock", () => mallory.say("x", { ts: Date.now() - 360_000 }), "CLOCK"],
      ["far ahead of it", () => mallory.say("x", { ts: Number.MAX_SAFE_INTEGER }), "CLOCK"],
      ["an epoch that is over", () => mallory.say("x", { epoch: 0 }), "STALE_EPOCH"],
      ["an epoch to come", () => mallory.say("x", { epoch: Number.MAX_SAFE_INTEGER }), "STALE_EPOCH"],
      ["a view that goes back", () => view(1, mallory.log.rootAt(1)), "BAD_VIEW"],
      ["a view of another log", () => view(2, elsewhere.rootAt(2)), "BAD_VIEW"],
      ["a view of what is to come", () => view(state.size + 1, state.root), "BAD_VIEW"],
      ["a view without end", () => view(Number.MAX_SAFE_INTEGER, state.root), "BAD_VIEW"],
      ["a good entry of another conversation", () => mallory.postLine(foreign), "REPLAY"],
      ["it moved here", () => moved({ conversation: mallory.conversation }), "BAD_SIGNATURE"],
      ["other ciphertext under the signature", () => moved({ ct: systemRandom(92) }), "BAD_SIGNATURE"],
      [
        "a dispute about what is to come",
        () =>
          mallory.post("acknowledge", {
            ct: encodeAcknowledgeBody({ disputed: [state.size], unprocessable: [] }),
          }),
        "BAD_BODY",
      ],
      [
        "an absurd dispute",
        () =>
          mallory.post("acknowledge", {
            ct: encodeAcknowledgeBody({ disputed: [], unprocessable: [Number.MAX_SAFE_INTEGER] }),
          }),
        "BAD_BODY",
      ],
    ]);
  });

  test("rosters with people in them who did not agree, or who are not who they seem", async () => {
    const { mallory, server } = trio;
    const carol = await server.person("carol");
    const carols = await server.register(carol);
    await trio.begin();
    mallory.log.knows(carol);
    const add = async (keyPackage: Uint8Array, rows = (row: RosterRow) => row) => {
      const made = await addMembers({
        ...{ state: mallory.state, device: mallory.device, keyPackages: [keyPackage] },
        ...{ judge: () => undefined, random: systemRandom, nowMs: Date.now() },
      });
      return mallory.commit(made, { action: "add", roster: rosterOf(made.roster).map(rows) });
    };
    // A device of mallory's making, with its signature under carol's certificate.
    const { certificate, chain, username } = carol;
    const own = newDevice(mallory.person.issued);
    const identity = { ...own.identity, chain, fingerprint: certificate.fingerprint };
    const ghost = await newKeyPackage({ ...own, identity });
    const expired = createDevice({
      ...{ chain, key: carol.key, seed32: systemRandom(32), expiresMs: Date.now() - 1 },
    });
    const late = await newKeyPackage(expired);
    const good = await newKeyPackage(carol.device);
    const named = (other: string) => (row: RosterRow) =>
      row.username === username ? { ...row, username: other } : row;
    const title = (text: string) => mallory.log.line(mallory.person, "create", { ct: createOf(text) });
    const createOf = (text: string) =>
      encodeCreateBody({
        ...{ kind: "group", title: text, admins: [], roster: mallory.log.state.roster, crl: null },
        server: { name: "localhost", fingerprint: server.identity.certificate.fingerprint },
        ...{ commit: noBlob, welcome: noBlob, group: noBlob },
      });
    await refuses([
      ["a device that carol's key did not sign for", () => add(ghost.publicPackage), "BAD_BODY"],
      ["a device that carol signed for until now", () => add(late.publicPackage), "BAD_BODY"],
      ["carol under another name", () => add(good.publicPackage, named("carl")), "CERTIFICATE_INVALID"],
      ["with a capital letter", () => add(good.publicPackage, named("Carol")), "BAD_BODY"],
      ["with a letter that looks the same", () => add(good.publicPackage, named("c\u0430rol")), "BAD_BODY"],
      ["with a space that nobody sees", () => add(good.publicPackage, named("carol\u200b")), "BAD_BODY"],
      ["a second create", () => mallory.postLine(title("again")), "FORBIDDEN"],
    ]);
    carols.close();
  });

  test("who has left, or who was put out", async () => {
    const { mallory, alice } = trio;
    await trio.begin();
    await mallory.say("before");
    const { line } = mallory.sealed("after");
    expect(indexOf(await mallory.post("leave"))).toBe(2);
    expect(await mallory.postLine(line)).toMatchObject({ type: "refused", code: "CLOSED" });
    // Somebody has to speak for the one who left to be put out.
    await alice.client.send(trio.conversation, "without mallory");
    await trio.bob.until(() => trio.bob.texts.includes("without mallory"));
    await trio.talk();
    expect(await mallory.postLine(line)).toMatchObject({ type: "refused", code: "UNKNOWN_SENDER" });
    expect((await trio.verify()).verdict).toBe("valid");
  });
});

test("an entry of a hundred KiB ends its sender's connection and nothing else", async () => {
  const { mallory } = trio;
  await trio.begin();
  const { ended } = mallory.client;
  await mallory.say("x", { ct: systemRandom(28 + 64 * 1600) }).catch(() => undefined);
  expect(await ended).toBe("decode_error");
  await trio.talk();
});

const noBlob = encodeHex(new Uint8Array(32));

test("words that are on their way when a member is revoked go behind the removal", async () => {
  const revoking = await Trio.meet();
  const { alice, bob, mallory, server } = revoking;
  try {
    await revoking.begin();
    for (const { link } of revoking.honest) link.hold("to client");
    const { certificate } = mallory.person;
    server.running.replaceCrl(server.authority.crl([{ certificate, atMs: Date.now() - 1000 }]).der);
    const sent = alice.client.send(revoking.conversation, "on its way");
    // Refused, and the list is there, before either has arrived.
    await Bun.sleep(300);
    for (const { link } of revoking.honest) link.release();
    await sent;
    await alice.client.send(revoking.conversation, "behind it");
    await bob.until(() => bob.texts.includes("behind it"));
    expect(bob.texts).toEqual(["on its way", "behind it"]);
    expect(alice.of("error")).toEqual([]);
    await alice.until(() => revoking.commits().length === 1);
    expect(revoking.commits()[0]).toStartWith("remove by");
  } finally {
    await revoking.dispose();
  }
});
