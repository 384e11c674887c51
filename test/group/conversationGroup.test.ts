import { beforeAll, describe, expect, test } from "bun:test";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import {
  addMembers,
  applyCommit,
  createGroup,
  exportChains,
  inspectCommit,
  inspectGroupInfo,
  inspectState,
  inspectWelcome,
  rejoinGroup,
  removeMembers,
  updatePath,
  verifyGroupInfoOf,
} from "../../src/group/conversationGroup.ts";
import { deviceId } from "../../src/group/device.ts";
import { decodeState } from "../../src/group/groupState.ts";
import { createKeyPackage, inspectKeyPackage } from "../../src/group/keyPackage.ts";
import {
  type Authority,
  codeOf,
  Member,
  makeAuthority,
  newConversation,
  newDevice,
  newKeyPackage,
  nowMs,
  random,
  TestGroup,
  viewOf,
} from "./testGroup.ts";

let authority: Authority;
const names = ["alice", "bob", "carol", "dave", "erin"];
const members: Member[] = [];

beforeAll(async () => {
  authority = await makeAuthority();
  for (const name of names) members.push(new Member(name, await authority.issue(name)));
});

/** Fresh clients of the same people, so that tests share nothing but certificates. */
function people(count: number): Member[] {
  return members.slice(0, count).map(({ name, identity }) => new Member(name, identity));
}

async function groupOf(count: number): Promise<{ group: TestGroup; people: Member[] }> {
  const group = new TestGroup(authority.judge);
  const [creator, ...others] = people(count);
  if (creator === undefined) throw new Error("a group has a creator");
  await group.create(creator, others);
  return { group, people: [...group.members] };
}

async function pair() {
  const { group, people } = await groupOf(2);
  const [alice, bob] = people;
  if (alice === undefined || bob === undefined) throw new Error("a pair has two");
  return { group, alice, bob };
}

async function trio() {
  const { group, people } = await groupOf(3);
  const [alice, bob, carol] = people;
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error("a trio has three");
  return { group, alice, bob, carol };
}

async function expectAgreement(group: TestGroup): Promise<void> {
  expect(new Set(await group.agreement()).size).toBe(1);
}

describe("a group of two", () => {
  test("agrees on epoch 1 and on a chain for each", async () => {
    const { group, alice, bob } = await pair();
    await expectAgreement(group);
    const { chains } = await exportChains(bob.bytes);
    expect([...chains.keys()]).toEqual([alice.fingerprint, bob.fingerprint]);
    expect(new Set([...chains.values()].map(encodeHex)).size).toBe(2);
    const summary = inspectState(bob.bytes);
    expect(summary.epoch).toBe(1);
    expect(summary.conversation).toBe(group.conversation);
    expect(summary.own.device).toBe(deviceId(bob.device.identity.devicePublicKey));
    expect(group.entry.roster.map(({ device }) => device)).toEqual(
      summary.roster.map(({ device }) => device),
    );
  });

  test("agrees on new chains after each update, by either", async () => {
    const { group, alice, bob } = await pair();
    const seen = new Set<string>();
    for (const member of [alice, bob, bob, alice]) {
      seen.add(await viewOf(alice.bytes));
      await group.update(member);
      await expectAgreement(group);
    }
    seen.add(await viewOf(alice.bytes));
    expect(seen.size).toBe(5);
    expect(inspectState(alice.bytes).epoch).toBe(5);
  });

  test("goes on after one of them came back with a new device key", async () => {
    const { group, alice, bob } = await pair();
    await group.rejoin(bob);
    await expectAgreement(group);
    await group.rejoin(alice);
    await expectAgreement(group);
    await group.update(bob);
    await expectAgreement(group);
    expect(group.entry.roster).toHaveLength(2);
  });

  test("takes certificates that an intermediate CA issued, with their chain in the leaf", async () => {
    const below = await makeAuthority({ intermediate: true });
    const group = new TestGroup(below.judge);
    const [alice, bob] = [new Member("a", await below.issue("a")), new Member("b", await below.issue("b"))];
    await group.create(alice, [bob]);
    await group.update(bob);
    await expectAgreement(group);
    expect(group.entry.roster.map(({ identity }) => identity.chain.length)).toEqual([2, 2]);
  });

  test("takes certificates with RSA and Ed25519 keys", async () => {
    const group = new TestGroup(authority.judge);
    const rsa = new Member("rita", await authority.issue("rita", "rsa2048"));
    const ed = new Member("eddy", await authority.issue("eddy", "ed25519"));
    await group.create(rsa, [ed]);
    await group.update(ed);
    await expectAgreement(group);
  });
});

describe("a larger group", () => {
  test("agrees through adds, updates, removes and rejoins", async () => {
    const { group, alice, bob, carol } = await trio();
    const [, , , dave, erin] = people(5);
    if (dave === undefined || erin === undefined) throw new Error("there are five");
    await group.add(bob, [dave, erin]);
    await expectAgreement(group);
    await group.update(carol);
    await group.remove(erin, [alice, bob]);
    await expectAgreement(group);
    await group.rejoin(dave);
    await group.add(dave, [alice]);
    await group.update(alice);
    await expectAgreement(group);
    const roster = group.entry.roster.map(({ identity }) => identity.fingerprint);
    const expected = [carol, dave, erin, alice].map(({ fingerprint }) => fingerprint);
    expect([...roster].sort()).toEqual([...expected].sort());
  });

  test("lets somebody join by the last-resort package several times, in several groups", async () => {
    const [alice, bob] = people(2);
    if (alice === undefined || bob === undefined) throw new Error("there are two");
    const lastResort = await newKeyPackage(bob.device, true);
    for (let n = 0; n < 2; n++) {
      const group = new TestGroup(authority.judge);
      const pending = await createGroup({
        ...{ conversation: group.conversation, device: alice.device, judge: authority.judge, random, nowMs },
        keyPackages: [lastResort.publicPackage],
      });
      const entry = { ...pending, sender: alice.fingerprint, conversation: group.conversation };
      expect(await viewOf(await group.join(bob, lastResort, entry))).toBe(await viewOf(pending.nextState));
    }
  });

  test("can shrink to its last member and grow again", async () => {
    const { group, alice, bob, carol } = await trio();
    await group.remove(alice, [bob, carol]);
    await group.update(alice);
    await group.add(alice, people(2).slice(1));
    await expectAgreement(group);
  });
});

describe("applyCommit()", () => {
  test("tells a removed member so, and it can't follow the group from any state it had", async () => {
    const { group, alice, bob, carol } = await trio();
    const before = bob.bytes;
    const pending = await removeMembers({ ...group.of(alice), fingerprints: [bob.fingerprint] });
    expect(await codeOf(() => group.apply(bob, pending.commit, alice.fingerprint))).toBe("REMOVED");
    group.members.splice(group.members.indexOf(bob), 1);
    await group.accept(alice, pending);
    await group.update(carol);
    const { commit } = group.entry;
    const follow = applyCommit({ state: before, commit, sender: carol.fingerprint, judge: authority.judge });
    expect(await codeOf(() => follow)).toBe("WRONG_EPOCH");
    const mine = await exportChains(before);
    const theirs = await exportChains(alice.bytes);
    for (const [fingerprint, chain] of theirs.chains)
      expect(encodeHex(mine.chains.get(fingerprint) ?? new Uint8Array(0))).not.toBe(encodeHex(chain));
    await expectAgreement(group);
  });

  test("does not believe a removal that is not signed as it should be", async () => {
    const { group, alice, bob } = await trio();
    const { commit } = await removeMembers({ ...group.of(alice), fingerprints: [bob.fingerprint] });
    for (const fromEnd of [1, 70, 140]) {
      // the membership tag, the confirmation tag, the signature
      const changed = commit.slice();
      changed[commit.length - fromEnd] = (changed[commit.length - fromEnd] ?? 0) ^ 1;
      expect(await codeOf(() => group.apply(bob, changed, alice.fingerprint))).toBe("INVALID");
    }
    expect(await codeOf(() => group.apply(bob, commit, alice.fingerprint))).toBe("REMOVED");
  });

  test("tells a removed member so when somebody is added into its place by the same person", async () => {
    const { group, alice, bob, carol } = await trio();
    await group.remove(alice, [bob]);
    const again = new Member("bob", bob.identity);
    await group.add(carol, [again]);
    await expectAgreement(group);
  });

  test("rejects an own commit, a commit of a past epoch, of another group and by another signer", async () => {
    const { group, alice, bob, carol } = await trio();
    const pending = await updatePath(group.of(alice));
    expect(await codeOf(() => group.apply(alice, pending.commit, alice.fingerprint))).toBe("OWN_COMMIT");
    expect(await codeOf(() => group.apply(bob, pending.commit, carol.fingerprint))).toBe("WRONG_SENDER");
    expect(await codeOf(() => group.apply(bob, pending.commit, bob.fingerprint))).toBe("WRONG_SENDER");
    await group.accept(alice, pending);
    expect(await codeOf(() => group.apply(bob, pending.commit, alice.fingerprint))).toBe("WRONG_EPOCH");
    const other = await trio();
    const foreign = await updatePath(other.group.of(other.alice));
    expect(await codeOf(() => group.apply(bob, foreign.commit, alice.fingerprint))).toBe(
      "WRONG_CONVERSATION",
    );
  });

  test("leaves the state as it was, whatever it ends with", async () => {
    const { group, alice, bob } = await pair();
    const before = encodeHex(bob.bytes);
    const pending = await updatePath(group.of(alice));
    await group.apply(bob, pending.commit, alice.fingerprint);
    await codeOf(() => group.apply(bob, pending.commit, bob.fingerprint));
    await exportChains(bob.bytes);
    await updatePath(group.of(bob));
    expect(encodeHex(bob.bytes)).toBe(before);
  });

  test("settles a race: the loser throws its commit away, applies the winner's and does its own again", async () => {
    const { group, alice, bob, carol } = await trio();
    const won = await updatePath(group.of(bob));
    const lost = await removeMembers({ ...group.of(alice), fingerprints: [carol.fingerprint] });
    expect(lost.epoch).toBe(won.epoch);
    await group.accept(bob, won);
    await expectAgreement(group);
    expect(await codeOf(() => group.apply(bob, lost.commit, alice.fingerprint))).toBe("WRONG_EPOCH");
    await group.remove(alice, [carol]);
    await expectAgreement(group);
  });

  test("adopts the stored state of an own commit after a restart", async () => {
    const { group, alice, bob } = await pair();
    const pending = await updatePath(group.of(alice));
    const stored = pending.nextState.slice(); // what a vault gives back
    bob.state = await group.apply(bob, pending.commit, alice.fingerprint);
    expect(await viewOf(stored)).toBe(await viewOf(bob.bytes));
  });
});

describe("renewals", () => {
  test("put another certificate of the same device key into the own leaf", async () => {
    const { group, alice, bob } = await pair();
    const renewed = await authority.issue("alice");
    const device = newDevice(renewed, { seed32: alice.device.seed });
    const pending = await updatePath({ ...group.of(alice), device });
    const apply = (sender: Hex, predecessor?: Hex) =>
      applyCommit({
        ...{ state: bob.bytes, commit: pending.commit, sender, judge: authority.judge },
        ...(predecessor === undefined ? {} : { predecessor }),
      });
    expect(await codeOf(() => apply(alice.fingerprint))).toBe("WRONG_SENDER");
    expect(await codeOf(() => apply(renewed.fingerprint))).toBe("WRONG_SENDER");
    expect(await codeOf(() => apply(renewed.fingerprint, bob.fingerprint))).toBe("WRONG_SENDER");
    const state = await apply(renewed.fingerprint, alice.fingerprint);
    expect(await viewOf(state)).toBe(await viewOf(pending.nextState));
    expect(inspectState(state).roster.map(({ identity }) => identity.fingerprint)).toEqual([
      renewed.fingerprint,
      bob.fingerprint,
    ]);
  });

  test("put a later expiry of the device key into the own leaf", async () => {
    const { group, alice, bob } = await pair();
    const device = newDevice(alice.identity, { seed32: alice.device.seed, expiresMs: nowMs + 1e11 });
    const pending = await updatePath({ ...group.of(alice), device });
    bob.state = await group.apply(bob, pending.commit, alice.fingerprint);
    expect(inspectState(bob.bytes).roster[0]?.identity.expiresMs).toBe(nowMs + 1e11);
  });

  test("are judged by the one who makes them and by those who apply them", async () => {
    const { group, alice, bob } = await pair();
    const expired = newDevice(alice.identity, { seed32: alice.device.seed, expiresMs: nowMs - 1 });
    expect(await codeOf(() => updatePath({ ...group.of(alice), device: expired }))).toBe("DEVICE_REFUSED");
    const pending = await updatePath({ ...group.of(alice), device: expired, judge: () => undefined });
    expect(await codeOf(() => group.apply(bob, pending.commit, alice.fingerprint))).toBe("DEVICE_REFUSED");
  });

  test("updatePath() rejects a device with another key", async () => {
    const { group, alice } = await pair();
    const device = newDevice(alice.identity);
    expect(await codeOf(() => updatePath({ ...group.of(alice), device }))).toBe("WRONG_SENDER");
  });
});

describe("rejoinGroup()", () => {
  test("takes the place of a predecessor, and of nobody else", async () => {
    const { group, alice, bob } = await pair();
    const renewed = await authority.issue("alice");
    const device = newDevice(renewed);
    const { groupInfo } = group.entry;
    const common = { groupInfo, device, judge: authority.judge, random };
    const apply = (commit: Uint8Array, sender: Hex, predecessor?: Hex) =>
      applyCommit({
        ...{ state: bob.bytes, commit, sender, judge: authority.judge },
        ...(predecessor === undefined ? {} : { predecessor }),
      });
    const pending = await rejoinGroup({ ...common, predecessor: alice.fingerprint });
    expect(await codeOf(() => apply(pending.commit, renewed.fingerprint))).toBe("WRONG_SENDER");
    expect(await codeOf(() => apply(pending.commit, alice.fingerprint))).toBe("WRONG_SENDER");
    const state = await apply(pending.commit, renewed.fingerprint, alice.fingerprint);
    expect(await viewOf(state)).toBe(await viewOf(pending.nextState));
  });

  test("can't evict another member", async () => {
    const { group, alice, bob, carol } = await trio();
    const evicting = await rejoinGroup({
      ...{
        groupInfo: group.entry.groupInfo,
        device: newDevice(bob.identity),
        judge: authority.judge,
        random,
      },
      predecessor: carol.fingerprint,
    }).catch(() => undefined);
    // bob's own leaf would be there twice: the tree has one leaf for a certificate
    expect(evicting).toBeUndefined();
    const outsider = newDevice(await authority.issue("mallory"));
    const { commit } = await rejoinGroup({
      ...{ groupInfo: group.entry.groupInfo, device: outsider, judge: authority.judge, random },
      predecessor: carol.fingerprint,
    });
    for (const sender of [outsider.identity.fingerprint, bob.fingerprint, carol.fingerprint])
      expect(await codeOf(() => group.apply(alice, commit, sender))).toBe("WRONG_SENDER");
  });

  test("adds one more device of a person under a certificate of its own, without a remove", async () => {
    const { group, alice, bob } = await pair();
    const phone = new Member("alice", await authority.issue("alice"));
    const pending = await rejoinGroup({
      ...{ groupInfo: group.entry.groupInfo, device: phone.device, judge: authority.judge, random },
    });
    await group.accept(phone, pending);
    group.members.push(phone);
    await expectAgreement(group);
    await group.update(alice);
    await group.update(bob);
    await expectAgreement(group);
    expect(inspectState(bob.bytes).roster).toHaveLength(3);
  });

  test("tells the old device of the same person that it is out", async () => {
    const { group, bob } = await pair();
    const pending = await rejoinGroup({
      ...{
        groupInfo: group.entry.groupInfo,
        device: newDevice(bob.identity),
        judge: authority.judge,
        random,
      },
    });
    expect(await codeOf(() => group.apply(bob, pending.commit, bob.fingerprint))).toBe("REMOVED");
  });

  test("by a device that the certificate did not sign does not make the old one delete its state", async () => {
    const { group, alice, bob } = await pair();
    const { seed, identity } = newDevice(alice.identity);
    const forged = {
      seed,
      identity: { ...newDevice(bob.identity).identity, devicePublicKey: identity.devicePublicKey },
    };
    const { commit } = await rejoinGroup({
      ...{ groupInfo: group.entry.groupInfo, device: forged, judge: authority.judge, random },
    });
    expect(await codeOf(() => group.apply(bob, commit, bob.fingerprint))).toBe("DEVICE_REFUSED");
    expect(await codeOf(() => group.apply(alice, commit, bob.fingerprint))).toBe("DEVICE_REFUSED");
  });

  test("rejects a predecessor without a leaf", async () => {
    const { group, bob } = await pair();
    const predecessor = (await authority.issue("nobody")).fingerprint;
    const rejoin = rejoinGroup({
      ...{
        groupInfo: group.entry.groupInfo,
        device: newDevice(bob.identity),
        judge: authority.judge,
        random,
      },
      predecessor,
    });
    expect(await codeOf(() => rejoin)).toBe("NOT_A_MEMBER");
  });

  test("asks the judge about every leaf that stays, and not about the one that goes", async () => {
    const { group, alice, bob, carol } = await trio();
    const asked: Hex[] = [];
    await rejoinGroup({
      ...{ groupInfo: group.entry.groupInfo, device: newDevice(bob.identity), random },
      judge: ({ fingerprint }) => asked.push(fingerprint),
    });
    expect(asked.sort()).toEqual([alice.fingerprint, carol.fingerprint].sort());
  });
});

describe("joinGroup()", () => {
  test("rejects blobs that don't belong together", async () => {
    const { group, alice, bob } = await pair();
    const carol = new Member("carol", (members[2] ?? bob).identity);
    const package1 = await newKeyPackage(carol.device);
    const package2 = await newKeyPackage(carol.device);
    const dave = await newKeyPackage(newDevice((members[3] ?? bob).identity));
    const add = async (...keyPackages: Uint8Array[]) => ({
      ...(await addMembers({ ...group.of(alice), keyPackages, nowMs })),
      sender: alice.fingerprint,
      conversation: group.conversation,
    });
    const entry = await add(package1.publicPackage);
    const fork = await add(package1.publicPackage, dave.publicPackage); // another commit of the same epoch
    const join = (change: object, pair = package1) =>
      codeOf(() => group.join(carol, pair, { ...entry, ...change }));
    expect(await join({})).toBe("accepted");
    expect(await join({ commit: fork.commit })).toBe("WRONG_COMMIT");
    expect(await join({ groupInfo: fork.groupInfo })).toBe("WRONG_COMMIT");
    expect(await join({ welcome: fork.welcome })).toBe("INVALID"); // of another tree
    const { welcome } = await addMembers({ ...group.of(bob), keyPackages: [package1.publicPackage], nowMs });
    expect(await join({ welcome })).toBe("WRONG_COMMIT"); // of the same tree, by another member
    expect(await join({ commit: fork.commit, groupInfo: fork.groupInfo })).toBe("INVALID"); // the welcome alone is left
    expect(await join({ epoch: entry.epoch + 1 })).toBe("WRONG_EPOCH");
    expect(await join({ groupInfo: group.entry.groupInfo })).toBe("WRONG_EPOCH");
    expect(await join({ commit: group.entry.commit })).toBe("WRONG_EPOCH");
    expect(await join({ conversation: newConversation() })).toBe("WRONG_CONVERSATION");
    const elsewhere = await pair();
    expect(await join({ commit: elsewhere.group.entry.commit })).toBe("WRONG_CONVERSATION");
    expect(await join({ groupInfo: elsewhere.group.entry.groupInfo })).toBe("WRONG_CONVERSATION");
    expect(await join({ sender: bob.fingerprint })).toBe("WRONG_SENDER");
    expect(await join({ sender: carol.fingerprint })).toBe("WRONG_SENDER");
    expect(await join({}, package2)).toBe("NOT_INVITED");
    expect(await join({}, { ...package1, privatePackage: package2.privatePackage })).toBe("INVALID");
    expect(await join({}, await newKeyPackage(bob.device))).toBe("WRONG_SENDER");
  });

  test("leaves it to the judge whether others with expired devices are in the way", async () => {
    const { group, alice } = await pair();
    const expired = newDevice(alice.identity, { seed32: alice.device.seed, expiresMs: nowMs - 1 });
    await (async () => {
      const pending = await updatePath({ ...group.of(alice), device: expired, judge: () => undefined });
      alice.state = pending.nextState;
    })();
    const carol = new Member("carol", (members[2] ?? alice).identity);
    const packagePair = await newKeyPackage(carol.device);
    const keyPackages = [packagePair.publicPackage];
    const pending = await addMembers({ ...group.of(alice), device: expired, keyPackages, nowMs });
    const entry = { ...pending, sender: alice.fingerprint, conversation: group.conversation };
    expect(await codeOf(() => group.join(carol, packagePair, entry))).toBe("DEVICE_REFUSED");
    const lenient = new TestGroup(() => undefined);
    expect(await codeOf(() => lenient.join(carol, packagePair, entry))).toBe("accepted");
  });

  test("asks the judge about each of the others once, and not about the own leaf", async () => {
    const { group, alice, bob } = await pair();
    const carol = new Member("carol", (members[2] ?? bob).identity);
    const asked: Hex[] = [];
    const packagePair = await newKeyPackage(carol.device);
    const keyPackages = [packagePair.publicPackage];
    const pending = await addMembers({ ...group.of(bob), keyPackages, nowMs });
    const entry = { ...pending, sender: bob.fingerprint, conversation: group.conversation };
    const joining = new TestGroup(({ fingerprint }) => asked.push(fingerprint));
    await joining.join(carol, packagePair, entry);
    expect(asked).toEqual([alice.fingerprint, bob.fingerprint]);
    expect(inspectWelcome(entry.welcome ?? new Uint8Array(0))).toEqual([packagePair.reference]);
  });
});

describe("key packages that the server substitutes", () => {
  const create = async (keyPackage: Uint8Array) => {
    const [alice] = people(1);
    if (alice === undefined) throw new Error("there is one");
    return codeOf(() =>
      createGroup({
        ...{ conversation: newConversation(), device: alice.device, judge: authority.judge, random, nowMs },
        keyPackages: [keyPackage],
      }),
    );
  };

  test("are rejected when another CA issued the certificate of the same name", async () => {
    const elsewhere = await makeAuthority();
    const device = newDevice(await elsewhere.issue("bob"));
    expect(await create((await newKeyPackage(device)).publicPackage)).toBe("DEVICE_REFUSED");
  });

  test("are rejected when the leaf key is not the one that the certificate signed", async () => {
    const [, bob] = people(2);
    if (bob === undefined) throw new Error("there are two");
    const seed = random(32);
    const forged = {
      seed,
      identity: {
        ...bob.device.identity,
        devicePublicKey: newDevice(bob.identity, { seed32: seed }).identity.devicePublicKey,
      },
    };
    const { publicPackage } = await newKeyPackage(forged);
    expect((await inspectKeyPackage(publicPackage)).identity.fingerprint).toBe(bob.fingerprint);
    expect(await create(publicPackage)).toBe("DEVICE_REFUSED");
  });

  test("are rejected when device key or lifetime have expired", async () => {
    const [, bob] = people(2);
    if (bob === undefined) throw new Error("there are two");
    const old = newDevice(bob.identity, { expiresMs: nowMs - 1 });
    expect(await create((await newKeyPackage(old)).publicPackage)).toBe("DEVICE_REFUSED");
    const lifetime = async (notBeforeMs: number, notAfterMs: number) => {
      const made = { device: bob.device, notBeforeMs, notAfterMs, lastResort: false, random };
      return create((await createKeyPackage(made)).publicPackage);
    };
    expect(await lifetime(nowMs - 2000, nowMs - 1000)).toBe("KEY_PACKAGE_EXPIRED");
    expect(await lifetime(nowMs + 1000, nowMs + 2000)).toBe("KEY_PACKAGE_EXPIRED");
    expect(await lifetime(nowMs, nowMs)).toBe("accepted");
  });

  test("are rejected by members who apply the commit, though the adder took them", async () => {
    const { group, alice, bob } = await pair();
    const device = newDevice(await (await makeAuthority()).issue("carol"));
    const keyPackages = [(await newKeyPackage(device)).publicPackage];
    const pending = await addMembers({ ...group.of(alice), keyPackages, nowMs, judge: () => undefined });
    expect(await codeOf(() => group.apply(bob, pending.commit, alice.fingerprint))).toBe("DEVICE_REFUSED");
  });

  test("are rejected for somebody who is in the group already", async () => {
    const { group, alice, bob } = await pair();
    for (const device of [bob.device, newDevice(bob.identity), newDevice(alice.identity)]) {
      const keyPackages = [(await newKeyPackage(device)).publicPackage];
      expect(await codeOf(() => addMembers({ ...group.of(alice), keyPackages, nowMs }))).toBe("INVALID");
    }
  });
});

describe("exportChains()", () => {
  test("wipes the exporter secret: the state gives its chains once, and works on", async () => {
    const { group, alice, bob } = await pair();
    const { state } = await exportChains(alice.bytes);
    expect(inspectState(alice.bytes).exportable).toBe(true);
    expect(inspectState(state).exportable).toBe(false);
    expect(await codeOf(() => exportChains(state))).toBe("EXPORTED");
    expect(state.length).toBeLessThan(alice.bytes.length);
    alice.state = state;
    await group.update(alice);
    await group.update(bob);
    await expectAgreement(group);
  });
});

describe("GroupInfo", () => {
  test("says what the server compares with the signed roster", async () => {
    const { group, alice, bob } = await pair();
    const summary = await inspectGroupInfo(group.entry.groupInfo);
    expect(summary.conversation).toBe(group.conversation);
    expect(summary.epoch).toBe(1);
    expect(summary.roster.map(({ identity }) => identity.fingerprint)).toEqual([
      alice.fingerprint,
      bob.fingerprint,
    ]);
    expect(summary.signer.identity.fingerprint).toBe(alice.fingerprint);
    const commit = inspectCommit(group.entry.commit);
    expect(encodeHex(summary.confirmationTag)).toBe(encodeHex(commit.confirmationTag));
    expect([commit.conversation, commit.epoch, commit.committer]).toEqual([group.conversation, 0, "member"]);
  });

  test("is held against the own state by every member", async () => {
    const { group, alice, bob } = await pair();
    expect(await codeOf(() => verifyGroupInfoOf(bob.bytes, group.entry.groupInfo))).toBe("accepted");
    const fork = await updatePath(group.of(alice));
    await group.update(alice);
    expect(await codeOf(() => verifyGroupInfoOf(bob.bytes, fork.groupInfo))).toBe("WRONG_COMMIT");
    expect(await codeOf(() => verifyGroupInfoOf(bob.bytes, group.entry.groupInfo))).toBe("accepted");
  });
});

describe("states", () => {
  test("of another version, cut, or with bytes behind them are rejected", async () => {
    const { alice } = await pair();
    const state = alice.bytes;
    const other = state.slice();
    other[0] = 2;
    expect(await codeOf(() => inspectState(other))).toBe("STATE_UNREADABLE");
    expect(await codeOf(() => inspectState(new Uint8Array(0)))).toBe("STATE_UNREADABLE");
    expect(await codeOf(() => inspectState(state.subarray(0, state.length - 1)))).toBe("STATE_UNREADABLE");
    expect(await codeOf(() => inspectState(new Uint8Array([...state, 0])))).toBe("STATE_UNREADABLE");
  });

  test("hold only what later calls need", async () => {
    const { group, bob } = await trio();
    await group.update(bob);
    const { keySchedule, secretTree, historicalReceiverData, signaturePrivateKey } = decodeState(bob.bytes);
    const held = Object.entries(keySchedule).filter(([, secret]) => secret.length > 0);
    expect(held.map(([name]) => name).sort()).toEqual([
      ...["exporterSecret", "externalSecret", "initSecret", "membershipKey"],
    ]);
    expect([secretTree.length, historicalReceiverData.size, signaturePrivateKey.length]).toEqual([0, 0, 0]);
  });

  test("hold no device seed and no secret of a former epoch", async () => {
    const { group, alice, bob } = await pair();
    const { chains: _, state } = await exportChains(alice.bytes);
    alice.state = state;
    const before = encodeHex(alice.bytes);
    await group.update(bob);
    await group.update(alice);
    const after = encodeHex(alice.bytes);
    expect(after).not.toContain(encodeHex(alice.device.seed));
    // every run of 32 bytes that the old state had and the new one has is public: it stands in the GroupInfo
    const open = encodeHex(group.entry.groupInfo);
    const kept: string[] = [];
    for (let i = 2; i + 64 <= before.length; i += 2) {
      const run = before.slice(i, i + 64);
      if (after.includes(run) && !open.includes(run) && !/^(00)*$/.test(run)) kept.push(run);
    }
    expect(kept).toEqual([]);
  });
});
