import { beforeAll, expect, test } from "bun:test";
import { crypto } from "../../src/crypto/crypto.ts";
import { applyCommit, exportChains, verifyGroupInfoOf } from "../../src/group/conversationGroup.ts";
import { type Authority, codeOf, type Identity, Member, makeAuthority, TestGroup } from "./testGroup.ts";

const people = 9;
const histories = crypto().name === "native" ? 24 : 8;
const stepsEach = 14;

let authority: Authority;
const identities: Identity[] = [];

beforeAll(async () => {
  authority = await makeAuthority();
  for (let i = 0; i < people; i++) identities.push(await authority.issue(`person${i}`));
});

/** xorshift32: a history is told by its number. */
function dice(seed: number): (sides: number) => number {
  let state = (seed + 1) * 0x9e3779b9;
  return (sides) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % sides;
  };
}

/** Takes `count` of them out, in a random order. */
function draw<T>(from: readonly T[], count: number, roll: (sides: number) => number): T[] {
  const rest = [...from];
  return Array.from({ length: Math.min(count, rest.length) }, () => rest.splice(roll(rest.length), 1)).flat();
}

async function live(seed: number): Promise<void> {
  const roll = dice(seed);
  const everybody = identities.map((identity, i) => new Member(`person${i}`, identity));
  const [creator, ...others] = draw(everybody, people, roll);
  if (creator === undefined) throw new Error("somebody creates");
  const group = new TestGroup(authority.judge);
  await group.create(creator, draw(others, 1 + roll(4), roll));
  const story = [`create ${group.members.length}`];
  const gone: { member: Member; state: Uint8Array }[] = [];
  try {
    for (let step = 0; step < stepsEach; step++) {
      const outside = everybody.filter((member) => !group.members.includes(member));
      const [actor] = draw(group.members, 1, roll);
      if (actor === undefined) throw new Error("nobody is left");
      const choice = roll(10);
      if (choice < 4 && outside.length > 0) {
        // whoever was out comes in as a new device, as after a fresh key package
        const added = draw(outside, 1 + roll(3), roll).map(
          ({ name, identity }) => new Member(name, identity),
        );
        for (const member of added)
          everybody.splice(
            everybody.findIndex(({ name }) => name === member.name),
            1,
            member,
          );
        story.push(`${actor.name} adds ${added.map(({ name }) => name)}`);
        await group.add(actor, added);
      } else if (choice < 6 && group.members.length > 2) {
        const removed = draw(
          group.members.filter((member) => member !== actor),
          1 + roll(2),
          roll,
        );
        story.push(`${actor.name} removes ${removed.map(({ name }) => name)}`);
        for (const member of removed) gone.push({ member, state: member.bytes });
        await group.remove(actor, removed);
        const { commit } = group.entry;
        for (const { bytes } of removed)
          expect(
            await codeOf(() =>
              applyCommit({ state: bytes, commit, sender: actor.fingerprint, judge: authority.judge }),
            ),
          ).toBe("REMOVED");
      } else if (choice < 8 && group.members.length > 1) {
        story.push(`${actor.name} rejoins`);
        await group.rejoin(actor);
      } else {
        story.push(`${actor.name} updates`);
        await group.update(actor);
      }
      expect(new Set(await group.agreement()).size).toBe(1);
    }
    await checkOutsiders(group, gone);
    for (const { bytes } of group.members) await verifyGroupInfoOf(bytes, group.entry.groupInfo);
  } catch (error) {
    throw new Error(`history ${seed}: ${story.join("; ")}`, { cause: error });
  }
}

/** Nobody who was removed has a chain of the present, nor a state that the latest commit fits. */
async function checkOutsiders(
  group: TestGroup,
  gone: readonly { member: Member; state: Uint8Array }[],
): Promise<void> {
  const [first] = group.members;
  if (first === undefined) throw new Error("nobody is left");
  const present = new Set(
    [...(await exportChains(first.bytes)).chains.values()].map((chain) => chain.toHex()),
  );
  for (const { state } of gone) {
    for (const chain of (await exportChains(state)).chains.values())
      expect(present.has(chain.toHex())).toBe(false);
    const { commit, sender } = group.entry;
    const follow = () => applyCommit({ state, commit, sender, judge: authority.judge });
    expect(["WRONG_EPOCH", "REMOVED"]).toContain(await codeOf(follow));
  }
}

for (let first = 0; first < histories; first += 4)
  test(`random histories ${first} to ${first + 3}: all members agree after every commit, and nobody removed can follow`, async () => {
    for (let seed = first; seed < first + 4; seed++) await live(seed);
  }, 120_000);
