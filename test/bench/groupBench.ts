import { crypto, useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import {
  applyCommit,
  createGroup,
  exportChains,
  inspectGroupInfo,
  joinGroup,
  rejoinGroup,
  updatePath,
} from "../../src/group/conversationGroup.ts";
import { deriveChain, messageKey, nextChain, openMessage, sealMessage } from "../../src/group/ratchet.ts";
import {
  makeAuthority,
  newConversation,
  newDevice,
  newKeyPackage,
  nowMs,
  random,
} from "../group/testGroup.ts";

/*
 * Prints what group operations cost: `bun test/bench/groupBench.ts [noble]`. Milliseconds are medians on this machine;
 * compare ratios. Sizes are those of the blobs that travel.
 */

useCryptoProvider(process.argv.includes("noble") ? noble : native);
const { judge, issue } = await makeAuthority();
const print = (line: string) => process.stdout.write(`${line}\n`);

async function medianMs(runs: number, call: () => unknown): Promise<string> {
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const started = performance.now();
    await call();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  return (times[Math.floor(runs / 2)] ?? 0).toFixed(1).padStart(7);
}

print(`provider ${crypto().name}; times in ms, commit / GroupInfo in bytes`);
print("members  create    join  update   apply  rejoin  server  create sizes      update sizes");
for (const members of [2, 10, 50]) {
  const [creator, ...others] = await Promise.all(
    Array.from({ length: members }, async (_, i) => newDevice(await issue(`person${i}`))),
  );
  const [joiner] = others;
  if (creator === undefined || joiner === undefined) throw new Error("at least two");
  const pairs = await Promise.all(others.map((device) => newKeyPackage(device)));
  const conversation = newConversation();
  const keyPackages = pairs.map(({ publicPackage }) => publicPackage);
  const create = () => createGroup({ conversation, device: creator, keyPackages, judge, random, nowMs });
  const created = await create();
  const [pair] = pairs;
  if (pair === undefined || created.welcome === null) throw new Error("somebody was added");
  const { welcome, groupInfo, commit } = created;
  const sender = creator.identity.fingerprint;
  const join = () =>
    joinGroup({ conversation, epoch: 1, sender, device: joiner, ...pair, welcome, groupInfo, commit, judge });
  let state = created.nextState;
  let joined = await join();
  // everybody has a path of their own before the second figures are taken: the tree of a group that lives
  const runs = members > 10 ? 5 : 15;
  const createMs = await medianMs(runs, create);
  const joinMs = await medianMs(runs, join);
  for (let i = 0; i < 2; i++) {
    const first = await updatePath({ state, device: creator, judge, random });
    joined = await applyCommit({ state: joined, commit: first.commit, sender, judge });
    state = first.nextState;
  }
  const update = () => updatePath({ state, device: creator, judge, random });
  const updated = await update();
  const apply = () => applyCommit({ state: joined, commit: updated.commit, sender, judge });
  const device = newDevice(await issue("person1"));
  const rejoin = () => rejoinGroup({ groupInfo: updated.groupInfo, device, judge, random });
  const times = [
    createMs,
    joinMs,
    await medianMs(runs, update),
    await medianMs(runs, apply),
    await medianMs(runs, rejoin),
    await medianMs(runs, () => inspectGroupInfo(updated.groupInfo)),
  ];
  const sizes = (made: typeof created) => `${made.commit.length} / ${made.groupInfo.length}`.padEnd(16);
  print(`${String(members).padStart(7)} ${times.join(" ")}  ${sizes(created)}  ${sizes(updated)}`);
}

const rounds = 5000;
function perMessage(call: (n: number) => unknown): string {
  for (let n = 0; n < 500; n++) call(n);
  const started = performance.now();
  for (let n = 0; n < rounds; n++) call(n);
  return ((1000 * (performance.now() - started)) / rounds).toFixed(2).padStart(8);
}

const plaintext = random(256);
const associatedData = random(400);
const opening32 = random(32);
const nonce12 = random(12);
const key = random(32);
let chain = deriveChain(random(32), newDevice(await issue("alice")).identity.fingerprint);
const ct = sealMessage({ key, nonce12, associatedData, opening32, plaintext });
const bare = crypto().aesGcmSeal(key, nonce12, plaintext, associatedData);
print("\na message of 256 bytes, microseconds");
print(
  `AES-256-GCM alone: seal ${perMessage(() => crypto().aesGcmSeal(key, nonce12, plaintext, associatedData))}`,
);
print(`                   open ${perMessage(() => crypto().aesGcmOpen(key, nonce12, bare, associatedData))}`);
print(
  `sealMessage             ${perMessage(() => sealMessage({ key, nonce12, associatedData, opening32, plaintext }))}`,
);
print(`openMessage             ${perMessage(() => openMessage({ key, associatedData, ct }))}`);
print(
  `key and next chain      ${perMessage(() => {
    messageKey(chain);
    chain = nextChain(chain);
  })}`,
);
const pairState = await createGroup({
  ...{ conversation: newConversation(), device: newDevice(await issue("a")), judge, random, nowMs },
  keyPackages: [(await newKeyPackage(newDevice(await issue("b")))).publicPackage],
});
print(`exportChains, once an epoch: ${await medianMs(15, () => exportChains(pairState.nextState))} ms`);
