import { expect, test } from "bun:test";
import { type CryptoProvider, crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import {
  addMembers,
  applyCommit,
  createGroup,
  inspectGroupInfo,
  joinGroup,
  rejoinGroup,
  removeMembers,
  updatePath,
} from "../../src/group/conversationGroup.ts";
import {
  makeAuthority,
  newConversation,
  newDevice,
  newKeyPackage,
  nowMs,
  random,
  viewOf,
} from "./testGroup.ts";

/** Runs one client's call under its provider. */
async function under<T>(provider: CryptoProvider, call: () => Promise<T>): Promise<T> {
  const before = crypto();
  useCryptoProvider(provider);
  try {
    return await call();
  } finally {
    useCryptoProvider(before);
  }
}

for (const [first, second] of [
  [native, noble],
  [noble, native],
] as const)
  test(`a ${first.name} member and a ${second.name} member make one group`, async () => {
    const authority = await makeAuthority();
    const { judge } = authority;
    const [a, b, c] = [await authority.issue("a"), await authority.issue("b"), await authority.issue("c")];
    const alice = await under(first, async () => newDevice(a));
    const bob = await under(second, async () => newDevice(b));
    const carol = await under(second, async () => newDevice(c));
    const bobs = await under(second, () => newKeyPackage(bob));
    const conversation = newConversation();
    const common = { judge, random };

    const created = await under(first, () =>
      createGroup({ ...common, conversation, device: alice, keyPackages: [bobs.publicPackage], nowMs }),
    );
    let bobState = await under(second, () =>
      joinGroup({
        ...{ conversation, epoch: 1, sender: a.fingerprint, device: bob, ...bobs, judge },
        ...{
          welcome: created.welcome ?? new Uint8Array(0),
          groupInfo: created.groupInfo,
          commit: created.commit,
        },
      }),
    );
    let aliceState = created.nextState;
    const agree = async () =>
      expect(await under(first, () => viewOf(aliceState))).toBe(await under(second, () => viewOf(bobState)));
    await agree();

    const updated = await under(second, () => updatePath({ ...common, state: bobState, device: bob }));
    const toAlice = (commit: Uint8Array) =>
      under(first, () => applyCommit({ state: aliceState, commit, sender: b.fingerprint, judge }));
    const toBob = (commit: Uint8Array) =>
      under(second, () => applyCommit({ state: bobState, commit, sender: a.fingerprint, judge }));
    aliceState = await toAlice(updated.commit);
    bobState = updated.nextState;
    await agree();

    const carols = await under(second, () => newKeyPackage(carol));
    const added = await under(first, () =>
      addMembers({ ...common, state: aliceState, device: alice, keyPackages: [carols.publicPackage], nowMs }),
    );
    bobState = await toBob(added.commit);
    aliceState = added.nextState;
    await agree();

    const removed = await under(first, () =>
      removeMembers({ ...common, state: aliceState, device: alice, fingerprints: [c.fingerprint] }),
    );
    bobState = await toBob(removed.commit);
    aliceState = removed.nextState;
    await agree();

    const device = await under(second, async () => newDevice(b));
    const rejoined = await under(second, () =>
      rejoinGroup({ ...common, groupInfo: removed.groupInfo, device }),
    );
    aliceState = await toAlice(rejoined.commit);
    bobState = rejoined.nextState;
    await agree();
    const summary = await under(first, () => inspectGroupInfo(rejoined.groupInfo));
    expect(summary.epoch).toBe(5);
  });
