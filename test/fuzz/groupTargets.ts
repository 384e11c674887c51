import type { CiphersuiteImpl } from "ts-mls/crypto/ciphersuite.js";
import { signGroupInfo } from "ts-mls/groupInfo.js";
import { signKeyPackage } from "ts-mls/keyPackage.js";
import { signLeafNodeKeyPackage } from "ts-mls/leafNode.js";
import { encodeMlsMessage } from "ts-mls/message.js";
import { treeHashRoot } from "ts-mls/treeHash.js";
import { decodeUint32, encodeUtf8, equalBytes } from "../../src/base/bytes.ts";
import { type Hex, isHex } from "../../src/base/hex.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { ciphersuite } from "../../src/group/ciphersuite.ts";
import {
  applyCommit,
  createGroup,
  exportChains,
  inspectCommit,
  inspectGroupInfo,
  inspectState,
  inspectWelcome,
  type JudgeDevice,
  joinGroup,
  maxGroupBlobBytesFor,
  verifyGroupInfoOf,
} from "../../src/group/conversationGroup.ts";
import { type Device, decodeDevice, encodeDevice, verifyDeviceIdentity } from "../../src/group/device.ts";
import { GroupError } from "../../src/group/groupError.ts";
import { leafAt } from "../../src/group/groupTree.ts";
import { decodePrivatePackage, inspectKeyPackage } from "../../src/group/keyPackage.ts";
import { decodeGroupInfo, decodeKeyPackageMessage } from "../../src/group/mlsMessage.ts";
import { openMessage, sealMessage } from "../../src/group/ratchet.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { verifyPath } from "../../src/pki/verifyPath.ts";
import { maxKeyPackageBytes } from "../../src/wire/keyPackageForm.ts";
import {
  type Entry,
  Member,
  makeAuthority,
  newDevice,
  newKeyPackage,
  nowMs,
  random,
  TestGroup,
  viewOf,
} from "../group/testGroup.ts";
import { join } from "./byteEdits.ts";
import { type Fixture, numbered, partOf, partsOf } from "./fixture.ts";
import { attempt, attemptSync, demand, type Outcome, type Target } from "./target.ts";

const refusals = [GroupError];
const decoder = new TextDecoder();
/** MLS costs more than everything else: see the measurements in src/group/profile.ts. */
const limitMs = 250;
const maxBlobBytes = maxGroupBlobBytesFor(4);

/** What each epoch of a group of four put into the log, and what its members had before and after. */
interface Epoch {
  readonly entry: Entry;
  /** State of a member that applies the commit; absent where all others join. */
  readonly before?: Uint8Array;
  readonly after: Uint8Array;
}

interface MadeGroup {
  readonly root: Uint8Array;
  readonly conversation: Hex;
  readonly epochs: readonly Epoch[];
  readonly keyPackages: readonly Uint8Array[];
  readonly devices: readonly Device[];
  readonly alice: Device;
  /** Joins by the welcome of the first epoch. */
  readonly joiner: {
    readonly device: Device;
    readonly publicPackage: Uint8Array;
    readonly privatePackage: Uint8Array;
  };
}

let made: Promise<MadeGroup> | undefined;
const madeGroup = () => {
  made ??= makeGroup();
  return made;
};

async function makeGroup(): Promise<MadeGroup> {
  const authority = await makeAuthority();
  const deep = await makeAuthority({ intermediate: true });
  const [alice, bob, carol, dave] = await Promise.all(
    (["p256", "p256", "ed25519", "rsa2048"] as const).map(
      async (keyType, i) => new Member(`m${i}`, await authority.issue(`user${i}`, keyType)),
    ),
  );
  if (!alice || !bob || !carol || !dave) throw new Error("four members");
  const group = new TestGroup(authority.judge);
  const pair = await newKeyPackage(bob.device);
  const epochs: Epoch[] = [];
  await group.create(alice, [carol]);
  const record = async (step: () => Promise<void>, watcher: Member) => {
    const before = watcher.state;
    await step();
    epochs.push({ entry: group.entry, after: watcher.bytes, ...(before === undefined ? {} : { before }) });
  };
  await record(() => group.update(alice), carol);
  await record(() => group.add(carol, [bob, dave]), alice);
  await record(() => group.update(bob), alice);
  await record(() => group.rejoin(dave), alice);
  await record(() => group.remove(alice, [carol]), bob);

  // A group of two whose welcome is for one package that we keep.
  const small = new TestGroup(authority.judge);
  const pending = await createGroup({
    conversation: small.conversation,
    device: alice.device,
    keyPackages: [pair.publicPackage],
    judge: authority.judge,
    random,
    nowMs,
  });
  const entry = { ...pending, sender: alice.fingerprint, conversation: small.conversation };
  const joined = await small.join(bob, pair, entry);
  const withIntermediate = newDevice(await deep.issue("deep"));
  const others = await Promise.all([
    newKeyPackage(alice.device, true),
    newKeyPackage(dave.device),
    newKeyPackage(withIntermediate),
  ]);
  return {
    root: authority.root.der,
    conversation: group.conversation,
    epochs: [{ entry, after: joined }, ...epochs],
    keyPackages: [pair, ...others].map(({ publicPackage }) => publicPackage),
    devices: [alice, bob, carol, dave].map(({ device }) => device),
    alice: alice.device,
    joiner: { device: bob.device, ...pair },
  };
}

function judgeUnder(rootDer: Uint8Array): JudgeDevice {
  const anchors = [decodeCertificate(rootDer)];
  return (identity) => {
    const [leaf, ...intermediates] = identity.chain.map(decodeCertificate);
    if (leaf === undefined) throw new GroupError("MALFORMED", "an identity has a certificate");
    const verified = verifyPath({ leaf, intermediates, anchors, crls: [], purpose: "client", atMs: nowMs });
    verifyDeviceIdentity(identity, verified, nowMs);
  };
}

const isSeed = ({ seeds }: Fixture, input: Uint8Array) => seeds.some((seed) => equalBytes(seed, input));
const hexOf = (bytes: Uint8Array): Hex => {
  const text = decoder.decode(bytes);
  if (!isHex(text)) throw new Error("not hex");
  return text;
};

/** Key packages: as they are, and signed again, so that edits reach what is read behind the signatures. */
const keyPackageTarget: Target = {
  name: "keyPackage",
  form: "bytes",
  limitMs,
  maxBytes: maxKeyPackageBytes + 64,
  iterations: 800,
  async makeFixture() {
    const { keyPackages, alice } = await madeGroup();
    return { seeds: keyPackages, parts: { device: encodeDevice(alice) } };
  },
  async open(fixture) {
    const device = decodeDevice(partOf(fixture, "device"));
    const { signature } = ciphersuite();
    return async (input) => {
      const inspected = await attempt(refusals, () => inspectKeyPackage(input));
      if ("value" in inspected) {
        demand(isSeed(fixture, input), "a changed key package is taken");
        return "accepted";
      }
      const decoded = attemptSync(refusals, () => decodeKeyPackageMessage(input));
      if ("refused" in decoded) return inspected.refused;
      const { leafNode, ...rest } = decoded.value;
      const leaf = { ...leafNode, signaturePublicKey: device.identity.devicePublicKey };
      const tbs = { ...rest, leafNode: await signLeafNodeKeyPackage(leaf, device.seed, signature) };
      const keyPackage = await signKeyPackage(tbs, device.seed, signature);
      const again = encodeMlsMessage({ version: "mls10", wireformat: "mls_key_package", keyPackage });
      const signed = await attempt(refusals, () => inspectKeyPackage(again));
      return `${inspected.refused} | signed: ${"refused" in signed ? signed.refused : "good"}`;
    };
  },
};

/** GroupInfos: as they are, and with the tree hash and signature of a member put right. */
const groupInfoTarget: Target = {
  name: "groupInfo",
  form: "bytes",
  limitMs,
  maxBytes: maxBlobBytes,
  iterations: 500,
  async makeFixture() {
    const { epochs, alice } = await madeGroup();
    const parts = {
      device: encodeDevice(alice),
      ...numbered(
        "state",
        epochs.map(({ after }) => after),
      ),
    };
    return { seeds: epochs.map(({ entry }) => entry.groupInfo), parts };
  },
  async open(fixture) {
    const device = decodeDevice(partOf(fixture, "device"));
    const states = partsOf(fixture, "state");
    const suite = ciphersuite();
    return async (input) => {
      const inspected = await attempt(refusals, () => inspectGroupInfo(input));
      if ("value" in inspected) {
        demand(isSeed(fixture, input), "a changed GroupInfo is taken");
        for (const state of states) await attempt(refusals, () => verifyGroupInfoOf(state, input));
        return "accepted";
      }
      const decoded = attemptSync(refusals, () => decodeGroupInfo(input));
      if ("refused" in decoded) return inspected.refused;
      const again = await signAgain(decoded.value, device, suite);
      if (again === undefined) return `${inspected.refused} | its tree has no hash`;
      const signed = await attempt(refusals, () => inspectGroupInfo(again));
      return `${inspected.refused} | signed: ${"refused" in signed ? signed.refused : "good"}`;
    };
  },
};

async function signAgain(
  { groupInfo, tree }: ReturnType<typeof decodeGroupInfo>,
  device: Device,
  suite: CiphersuiteImpl,
): Promise<Uint8Array | undefined> {
  let treeHash: Uint8Array;
  try {
    treeHash = await treeHashRoot(tree, suite.hash);
  } catch {
    return undefined;
  }
  // The signer is whoever of the tree has the key that signs here.
  const signer = tree.findIndex(
    (_, index) =>
      index % 2 === 0 &&
      equalBytes(leafAt(tree, index / 2)?.signaturePublicKey ?? treeHash, device.identity.devicePublicKey),
  );
  const tbs = {
    ...groupInfo,
    signer: signer === -1 ? groupInfo.signer : signer / 2,
    groupContext: { ...groupInfo.groupContext, treeHash },
  };
  const signed = await signGroupInfo(tbs, device.seed, suite.signature);
  return encodeMlsMessage({ version: "mls10", wireformat: "mls_group_info", groupInfo: signed });
}

const commitTarget: Target = {
  name: "commit",
  form: "bytes",
  limitMs,
  maxBytes: maxBlobBytes,
  iterations: 800,
  async makeFixture() {
    const { epochs, root } = await madeGroup();
    const applied = epochs.flatMap(({ entry, before }) => (before === undefined ? [] : [{ entry, before }]));
    return {
      seeds: epochs.map(({ entry }) => entry.commit),
      parts: {
        root,
        ...numbered(
          "state",
          applied.map(({ before }) => before),
        ),
        ...numbered(
          "sender",
          applied.map(({ entry }) => encodeUtf8(entry.sender)),
        ),
      },
    };
  },
  async open(fixture) {
    const judge = judgeUnder(partOf(fixture, "root"));
    const senders = partsOf(fixture, "sender").map(hexOf);
    const states = partsOf(fixture, "state").map((state, i) => ({
      state,
      sender: senders[i],
      ...inspectState(state),
    }));
    return async (input) => {
      const inspected = attemptSync(refusals, () => inspectCommit(input));
      if ("refused" in inspected) return inspected.refused;
      const { conversation, epoch } = inspected.value;
      const ends: Outcome[] = [];
      for (const { state, sender, ...at } of states) {
        // One of another conversation or epoch says so at once; one such try is enough.
        if (at.epoch !== epoch && states.some((other) => other.epoch === epoch)) continue;
        const applied = await attempt(refusals, () =>
          applyCommit({ state, commit: input, sender: sender ?? conversation, judge }),
        );
        if ("value" in applied) demand(isSeed(fixture, input), "a changed commit is applied");
        ends.push("value" in applied ? "accepted" : applied.refused);
      }
      return [...new Set(ends)].join(" | ");
    };
  },
};

const welcomeTarget: Target = {
  name: "welcome",
  form: "bytes",
  limitMs,
  maxBytes: maxBlobBytes,
  iterations: 400,
  async makeFixture() {
    const { epochs, root, joiner } = await madeGroup();
    const welcomes = epochs.flatMap(({ entry }) => (entry.welcome === null ? [] : [entry.welcome]));
    const [first] = epochs;
    if (first === undefined) throw new Error("a group has an epoch");
    const { groupInfo, commit, sender, conversation } = first.entry;
    return {
      seeds: welcomes,
      parts: {
        ...{ root, groupInfo, commit, sender: encodeUtf8(sender), conversation: encodeUtf8(conversation) },
        ...{ publicPackage: joiner.publicPackage, privatePackage: joiner.privatePackage },
        ...{ device: encodeDevice(joiner.device), joined: first.after },
      },
    };
  },
  async open(fixture) {
    const part = (name: string) => partOf(fixture, name);
    const invitation = {
      conversation: hexOf(part("conversation")),
      epoch: 1,
      sender: hexOf(part("sender")),
      device: decodeDevice(part("device")),
      publicPackage: part("publicPackage"),
      privatePackage: part("privatePackage"),
      groupInfo: part("groupInfo"),
      commit: part("commit"),
      judge: judgeUnder(part("root")),
    };
    const agreed = await viewOf(part("joined"));
    return async (input) => {
      const inspected = attemptSync(refusals, () => inspectWelcome(input));
      const joined = await attempt(refusals, () => joinGroup({ ...invitation, welcome: input }));
      if ("refused" in joined) return joined.refused;
      demand("value" in inspected, "joined by what can't be read");
      // What others are sent is not this member's to check; the hash of the welcome stands in the log.
      demand((await viewOf(joined.value)) === agreed, "joined another group than the others have");
      return "accepted";
    };
  },
};

const groupStateTarget: Target = {
  name: "groupState",
  form: "bytes",
  limitMs,
  maxBytes: maxBlobBytes,
  iterations: 800,
  async makeFixture() {
    const { epochs, devices, joiner } = await madeGroup();
    const states = epochs.flatMap(({ before, after }) => (before === undefined ? [after] : [before, after]));
    return {
      seeds: [...states, ...devices.map(encodeDevice), joiner.privatePackage],
      parts: { device: encodeDevice(joiner.device) },
    };
  },
  async open(fixture) {
    const device = decodeDevice(partOf(fixture, "device"));
    return async (input) => {
      const state = attemptSync(refusals, () => inspectState(input));
      const chains = await attempt(refusals, () => exportChains(input));
      const decoded = attemptSync(refusals, () => decodeDevice(input));
      if ("value" in decoded)
        demand(equalBytes(encodeDevice(decoded.value), input), "a device with two encodings");
      const keys = attemptSync(refusals, () => decodePrivatePackage(input, device));
      return [state, chains, decoded, keys]
        .map((end) => ("refused" in end ? end.refused : "good"))
        .join(" | ");
    };
  },
};

/** The ciphertext of a message, and what a member that has the key may have put into it. */
const messageTarget: Target = {
  name: "message",
  form: "bytes",
  limitMs: 100,
  maxBytes: 70_000,
  iterations: 3000,
  async makeFixture() {
    const texts = ["", "hello", "x".repeat(28), "x".repeat(29), "y".repeat(3000)];
    const seeds = texts.map((text) => sealed(encodeUtf8(text)));
    const paddings = seeds.map((ct) => opened(ct));
    return { seeds: [...seeds, ...paddings], parts: {} };
  },
  async open(fixture) {
    return (input) => {
      const asItIs = openMessage({ key, associatedData, ct: input });
      if (asItIs !== undefined) demand(isSeed(fixture, input), "a changed ciphertext opens");
      const padded = openMessage({
        key,
        associatedData,
        ct: join(nonce12, crypto().aesGcmSeal(key, nonce12, input, associatedData)),
      });
      if (padded === undefined) return asItIs === undefined ? "refused" : "accepted";
      const { opening, plaintext } = padded;
      const again = sealMessage({ key, nonce12, associatedData, opening32: opening, plaintext });
      demand(equalBytes(opened(again), input), "one plaintext in two paddings");
      demand(decodeUint32(input, 32) === plaintext.length, "another length than was sent");
      return "accepted padding";
    };
  },
};

const key = new Uint8Array(32).fill(3);
const nonce12 = new Uint8Array(12).fill(4);
const associatedData = encodeUtf8("entry\n");
const sealed = (plaintext: Uint8Array) =>
  sealMessage({ key, nonce12, associatedData, opening32: new Uint8Array(32).fill(5), plaintext });

function opened(ct: Uint8Array): Uint8Array {
  const padded = crypto().aesGcmOpen(key, ct.subarray(0, 12), ct.subarray(12), associatedData);
  if (padded === undefined) throw new Error("sealed just now");
  return padded;
}

export const groupTargets: readonly Target[] = [
  keyPackageTarget,
  groupInfoTarget,
  commitTarget,
  welcomeTarget,
  groupStateTarget,
  messageTarget,
];
