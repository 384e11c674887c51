import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { createCommit } from "ts-mls/createCommit.js";
import { signKeyPackage } from "ts-mls/keyPackage.js";
import { signLeafNodeKeyPackage } from "ts-mls/leafNode.js";
import { encodeMlsMessage } from "ts-mls/message.js";
import type { Proposal } from "ts-mls/proposal.js";
import { encodeRatchetTree } from "ts-mls/ratchetTree.js";
import { encodeHex } from "../../src/base/hex.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { ciphersuite } from "../../src/group/ciphersuite.ts";
import {
  addMembers,
  inspectCommit,
  inspectGroupInfo,
  inspectWelcome,
  rejoinGroup,
  updatePath,
  verifyGroupInfoOf,
} from "../../src/group/conversationGroup.ts";
import {
  type DeviceIdentity,
  decodeDeviceIdentity,
  encodeCredential,
} from "../../src/group/deviceIdentity.ts";
import { leafAt } from "../../src/group/groupTree.ts";
import { deriveHpkeKeyPair } from "../../src/group/hpke.ts";
import { inspectKeyPackage, type KeyPackagePair } from "../../src/group/keyPackage.ts";
import { decodeGroupInfo, decodeKeyPackageMessage } from "../../src/group/mlsMessage.ts";
import { leafCapabilities, suiteName } from "../../src/group/profile.ts";
import { forgeCommit, forgeGroupInfo, openState } from "./forge.ts";
import {
  codeOf,
  Member,
  makeAuthority,
  newDevice,
  newKeyPackage,
  nowMs,
  random,
  TestGroup,
} from "./testGroup.ts";

let group: TestGroup;
let alice: Member;
let bob: Member;
let carol: Member;
let dave: Member;
let daves: KeyPackagePair;
/** of epoch 1, whose tree has no parent nodes yet */
let created: Uint8Array;
/** alice's add of dave, made and not yet applied by anybody */
let entry: TestGroup["entry"];

beforeAll(async () => {
  const authority = await makeAuthority();
  const make = async (name: string) => new Member(name, await authority.issue(name));
  [alice, bob, carol, dave] = await Promise.all([make("alice"), make("bob"), make("carol"), make("dave")]);
  group = new TestGroup(authority.judge);
  await group.create(alice, [bob, carol]);
  created = group.entry.groupInfo;
  await group.update(bob);
  daves = await newKeyPackage(dave.device);
  const pending = await addMembers({ ...group.of(alice), keyPackages: [daves.publicPackage], nowMs });
  entry = { ...pending, sender: alice.fingerprint, conversation: group.conversation };
});

const applied = (commit: Uint8Array, sender = alice.fingerprint) =>
  codeOf(() => group.apply(bob, commit, sender));

/** Bit flips, cuts, inserts, repeated and swapped pieces: the file as an attacker's proxy might pass it on. */
function mutations(of: Uint8Array): fc.Arbitrary<Uint8Array> {
  const position = fc.nat(of.length - 1);
  const flip = fc.tuple(position, fc.nat(7)).map(([at, bit]) => {
    const out = of.slice();
    out[at] = (out[at] ?? 0) ^ (1 << bit);
    return out;
  });
  const set = fc
    .tuple(position, fc.constantFrom(0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xff))
    .map(([at, byte]) => {
      const out = of.slice();
      out[at] = byte;
      return out;
    });
  const cut = position.map((at) => of.slice(0, at));
  const insert = fc
    .tuple(position, fc.uint8Array({ minLength: 1, maxLength: 40 }))
    .map(([at, piece]) => new Uint8Array([...of.subarray(0, at), ...piece, ...of.subarray(at)]));
  const drop = fc.tuple(position, fc.nat(64)).map(([at, length]) => {
    return new Uint8Array([...of.subarray(0, at), ...of.subarray(at + length + 1)]);
  });
  const repeat = fc.tuple(position, fc.integer({ min: 1, max: 2000 })).map(([at, length]) => {
    const piece = of.subarray(at, at + length);
    return new Uint8Array([...of.subarray(0, at), ...piece, ...of.subarray(at)]);
  });
  return fc
    .oneof(flip, flip, set, cut, insert, drop, repeat)
    .filter((out) => encodeHex(out) !== encodeHex(of));
}

const numRuns = crypto().name === "native" ? 250 : 80;

async function refusesMutations(of: Uint8Array, call: (bytes: Uint8Array) => unknown): Promise<void> {
  expect(await codeOf(() => call(of))).toBe("accepted");
  await fc.assert(
    fc.asyncProperty(mutations(of), async (bytes) => {
      expect(await codeOf(() => call(bytes))).not.toBe("accepted");
    }),
    { numRuns },
  );
}

describe("every mutation is refused with a GroupError:", () => {
  test("a commit with an add", () =>
    refusesMutations(entry.commit, (commit) => group.apply(bob, commit, alice.fingerprint)));

  test("a commit with a path", async () => {
    const { commit } = await updatePath(group.of(carol));
    await refusesMutations(commit, (bytes) => group.apply(bob, bytes, carol.fingerprint));
  });

  test("an external commit", async () => {
    const { groupInfo } = group.entry;
    const device = newDevice(carol.identity);
    const { commit } = await rejoinGroup({ groupInfo, device, judge: group.judge, random });
    await refusesMutations(commit, (bytes) => group.apply(bob, bytes, carol.fingerprint));
  });

  test("a welcome", () =>
    refusesMutations(entry.welcome ?? new Uint8Array(0), (welcome) =>
      group.join(dave, daves, { ...entry, welcome }),
    ));

  test("a GroupInfo, on joining, rejoining and at the server", async () => {
    await refusesMutations(entry.groupInfo, inspectGroupInfo);
    await refusesMutations(entry.groupInfo, (groupInfo) => group.join(dave, daves, { ...entry, groupInfo }));
    const device = newDevice(carol.identity);
    await refusesMutations(entry.groupInfo, (groupInfo) =>
      rejoinGroup({ groupInfo, device, judge: group.judge, random }),
    );
  });

  test("a key package, by whoever adds", async () => {
    await refusesMutations(daves.publicPackage, inspectKeyPackage);
    await refusesMutations(daves.publicPackage, (keyPackage) =>
      addMembers({ ...group.of(alice), keyPackages: [keyPackage], nowMs }),
    );
  });

  test("random bytes for anything", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.integer({ min: 1, max: 5 }),
        async (noise, wireformat) => {
          for (const bytes of [noise, new Uint8Array([0, 1, 0, wireformat, ...noise])]) {
            expect(await codeOf(() => group.apply(bob, bytes, alice.fingerprint))).not.toBe("accepted");
            expect(await codeOf(() => inspectGroupInfo(bytes))).not.toBe("accepted");
            expect(await codeOf(() => inspectKeyPackage(bytes))).not.toBe("accepted");
            expect(await codeOf(() => inspectCommit(bytes))).not.toBe("accepted");
            expect(await codeOf(() => inspectWelcome(bytes))).not.toBe("accepted");
          }
        },
      ),
      { numRuns },
    );
  });
});

describe("a member who does not keep to the rules", () => {
  test("can't commit to proposals other than add and remove", async () => {
    const { groupId } = openState(alice).groupContext;
    const psk = { psktype: "external", pskId: new Uint8Array(4), pskNonce: new Uint8Array(64) } as const;
    const proposals: readonly Proposal[] = [
      { proposalType: "group_context_extensions", groupContextExtensions: { extensions: [] } },
      {
        proposalType: "reinit",
        reinit: { groupId, version: "mls10", cipherSuite: suiteName, extensions: [] },
      },
      { proposalType: "psk", psk: { preSharedKeyId: psk } },
      { proposalType: 0xf001, proposalData: new Uint8Array(3) },
    ];
    for (const proposal of proposals)
      expect(await applied(await forgeCommit(alice, { extraProposals: [proposal] }))).toBe("UNSUPPORTED");
  });

  test("can't commit to a proposal by reference, nor with authenticated data", async () => {
    const proposal = { proposalType: "remove", remove: { removed: 2 } } as const;
    const byReference = await forgeCommit(
      alice,
      {},
      { state: (state) => ({ ...state, unappliedProposals: { AAAA: { proposal, senderLeafIndex: 0 } } }) },
    );
    expect(await applied(byReference)).toBe("UNSUPPORTED");
    expect(await applied(await forgeCommit(alice, { authenticatedData: Uint8Array.of(1) }))).toBe(
      "UNSUPPORTED",
    );
    expect(await applied(await forgeCommit(alice, {}))).toBe("accepted");
  });

  test("can't remove a blank leaf or one outside of the tree", async () => {
    const remove = (removed: number) => ({ proposalType: "remove", remove: { removed } }) as const;
    // the library makes such a commit in a tree that has the leaf: it gets one while it makes it
    const forge = (removed: number, nodes: number) =>
      forgeCommit(
        alice,
        { extraProposals: [remove(removed)] },
        {
          state: (state) => {
            const ratchetTree = [...state.ratchetTree];
            while (ratchetTree.length < nodes) ratchetTree.push(undefined);
            ratchetTree[2 * removed] = ratchetTree[2];
            return { ...state, ratchetTree };
          },
        },
      );
    expect(await applied(await forge(1, 7))).toBe("REMOVED"); // bob's own: the forge works
    expect(await applied(await forge(3, 7))).toBe("INVALID");
    expect(await applied(await forge(4, 15))).toBe("INVALID");
    expect(await applied(await forge(255, 511))).toBe("INVALID");
    expect(await applied(await forge(256, 1023))).toBe("TOO_LARGE");
    const commit = await forgeCommit(alice, { extraProposals: [remove(2)] });
    const marker = [0x01, 0x00, 0x03, 0, 0, 0, 2]; // proposal, remove, leaf 2
    const at = commit.findIndex((_, i) => marker.every((byte, n) => commit[i + n] === byte));
    for (const removed of [256, 0x7fff_ffff, 0xffff_ffff]) {
      new DataView(commit.buffer).setUint32(at + 3, removed);
      expect(await applied(commit)).toBe("TOO_LARGE");
    }
  });

  test("can't put a copied HPKE key, an unusable one or other capabilities into the tree", async () => {
    const suite = ciphersuite(random);
    const signKey = dave.device.seed;
    const { leafNode } = decodeKeyPackageMessage(daves.publicPackage);
    const bobsKey = leafAt(openState(bob).ratchetTree, 1)?.hpkePublicKey ?? new Uint8Array(0);
    const make = async (change: object, initKey?: Uint8Array) => {
      const base = decodeKeyPackageMessage(daves.publicPackage);
      const leaf = await signLeafNodeKeyPackage({ ...leafNode, ...change }, signKey, suite.signature);
      const tbs = { ...base, leafNode: leaf, ...(initKey === undefined ? {} : { initKey }) };
      const keyPackage = await signKeyPackage(tbs, signKey, suite.signature);
      return {
        keyPackage,
        bytes: encodeMlsMessage({ version: "mls10", wireformat: "mls_key_package", keyPackage }),
      };
    };
    const broken = leafNode.hpkePublicKey.slice().fill(0xff, 0, 30);
    const cases = [
      [await make({ hpkePublicKey: bobsKey }), "accepted", "DUPLICATE"],
      [await make({ hpkePublicKey: broken }), "INVALID", "INVALID"],
      [await make({ hpkePublicKey: bobsKey.slice(1) }), "INVALID", "INVALID"],
      [await make({}, broken), "INVALID", "accepted"], // an init key is used once, by the adder
      [await make({}, leafNode.hpkePublicKey), "DUPLICATE", "INVALID"],
      [await make({ capabilities: { ...leafCapabilities, proposals: [9] } }), "UNSUPPORTED", "UNSUPPORTED"],
      [
        await make({ extensions: [{ extensionType: 10, extensionData: new Uint8Array(0) }] }),
        "UNSUPPORTED",
        "UNSUPPORTED",
      ],
      [
        await make({ credential: { credentialType: "x509", certificates: [dave.identity.der] } }),
        "UNSUPPORTED",
        "UNSUPPORTED",
      ],
      [
        await make({ credential: { credentialType: "basic", identity: new Uint8Array(9) } }),
        "UNSUPPORTED",
        "UNSUPPORTED",
      ],
    ] as const;
    for (const [{ bytes, keyPackage }, onInspection, onApplication] of cases) {
      expect(await codeOf(() => inspectKeyPackage(bytes))).toBe(onInspection);
      const add = () => addMembers({ ...group.of(alice), keyPackages: [bytes], nowMs });
      expect(await codeOf(add)).toBe(onInspection === "accepted" ? onApplication : onInspection);
      // the library encrypts a welcome to whatever key there is: hand it a good one
      const commit = await forgeCommit(
        alice,
        { extraProposals: [{ proposalType: "add", add: { keyPackage } }] },
        {
          suite: (from) => ({
            ...from,
            hpke: { ...from.hpke, seal: async () => ({ ct: new Uint8Array(1), enc: new Uint8Array(1) }) },
          }),
        },
      ).catch(() => undefined);
      if (commit !== undefined) expect(await applied(commit)).toBe(onApplication);
    }
  });

  test("can't show a newcomer a tree inside of the welcome", async () => {
    const keyPackage = decodeKeyPackageMessage(daves.publicPackage);
    const { welcome } = await createCommit(
      { state: openState(alice), cipherSuite: ciphersuite(random) },
      {
        wireAsPublicMessage: true,
        extraProposals: [{ proposalType: "add", add: { keyPackage } }],
        ratchetTreeExtension: true,
      },
    );
    if (welcome === undefined) throw new Error("somebody was added");
    // an add without a path is the same commit every time: this welcome is of the logged epoch
    const bytes = encodeMlsMessage({ version: "mls10", wireformat: "mls_welcome", welcome });
    expect(await codeOf(() => group.join(dave, daves, entry))).toBe("accepted");
    expect(await codeOf(() => group.join(dave, daves, { ...entry, welcome: bytes }))).toBe("UNSUPPORTED");
  });

  test("can't change the device key of its leaf", async () => {
    const other = newDevice(alice.identity);
    const isLeafText = (text: Uint8Array) =>
      new TextDecoder().decode(text.subarray(0, 40)).includes("LeafNodeTBS");
    const commit = await forgeCommit(
      alice,
      {},
      {
        state: (state) => {
          const ratchetTree = [...state.ratchetTree];
          const leaf = leafAt(ratchetTree, 0);
          if (leaf === undefined) throw new Error("alice has a leaf");
          const { credential } = { credential: encodeCredential(other.identity) };
          const signaturePublicKey = other.identity.devicePublicKey;
          ratchetTree[0] = { nodeType: "leaf", leaf: { ...leaf, credential, signaturePublicKey } };
          return { ...state, ratchetTree };
        },
        suite: (suite) => ({
          ...suite,
          signature: {
            ...suite.signature,
            sign: (key, text) => suite.signature.sign(isLeafText(text) ? other.seed : key, text),
          },
        }),
      },
    );
    expect(await applied(commit)).toBe("INVALID");
  });

  test("can't put keys into its path that don't follow from the secrets, or that nobody can use", async () => {
    const withPathKey = (change: (key: Uint8Array) => Uint8Array) =>
      forgeCommit(
        alice,
        {},
        {
          suite: (suite) => {
            let derived = 0;
            return {
              ...suite,
              hpke: {
                ...suite.hpke,
                // the first is the leaf's, then one for each node up to the root
                deriveKeyPair: async (input) => {
                  const pair = await suite.hpke.deriveKeyPair(input);
                  derived += 1;
                  if (derived !== 3) return pair;
                  const publicKey = change(await suite.hpke.exportPublicKey(pair.publicKey));
                  return { ...pair, publicKey: await suite.hpke.importPublicKey(publicKey) };
                },
              },
            };
          },
        },
      );
    const other = await ciphersuite(random).hpke.generateKeyPair();
    const otherKey = await ciphersuite().hpke.exportPublicKey(other.publicKey);
    const apply = async (commit: Uint8Array) => codeOf(() => group.apply(carol, commit, alice.fingerprint));
    expect(await apply(await withPathKey((key) => key))).toBe("accepted");
    expect(await apply(await withPathKey(() => otherKey))).toBe("INVALID");
    expect(await apply(await withPathKey((key) => key.slice().fill(0xff, 0, 30)))).toBe("INVALID");
    expect(await apply(await withPathKey((key) => key.slice(1)))).toBe("INVALID");
  });

  test("can't hand out a tree with shared keys, shared certificates or unmerged leaves that are not there", async () => {
    const forge = async (change: Parameters<typeof forgeGroupInfo>[2]) => {
      const bytes = await forgeGroupInfo(group.entry.groupInfo, bob, change);
      return codeOf(() => inspectGroupInfo(bytes));
    };
    const setLeaf = (index: number, from: number) => (tree: Parameters<Parameters<typeof forge>[0]>[0]) =>
      tree.with(2 * index, tree[2 * from]);
    expect(await forge((tree) => tree)).toBe("accepted");
    expect(await forge(setLeaf(0, 2))).toBe("DUPLICATE");
    expect(await forge(setLeaf(3, 0))).toBe("DUPLICATE");
    const unmerged = (leaves: number[]) =>
      forge((tree) =>
        tree.map((node) =>
          node?.nodeType === "parent"
            ? { ...node, parent: { ...node.parent, unmergedLeaves: leaves } }
            : node,
        ),
      );
    expect(await unmerged([0, 0])).toBe("DUPLICATE");
    expect(await unmerged([3])).toBe("INVALID");
    expect(await unmerged([100])).toBe("INVALID");
    expect(await unmerged([0xffff_ffff])).toBe("INVALID");
    expect(await unmerged(Array.from({ length: 257 }, (_, i) => i))).toBe("TOO_LARGE");
  });
});

describe("a wrong external_pub", () => {
  const forge = (key: Uint8Array) => forgeGroupInfo(group.entry.groupInfo, bob, (tree) => tree, key);

  test("that nobody can encrypt to is rejected by everybody", async () => {
    const broken = new Uint8Array(1216).fill(0xff);
    expect(await codeOf(async () => inspectGroupInfo(await forge(broken)))).toBe("INVALID");
    expect(await codeOf(async () => inspectGroupInfo(await forge(broken.slice(1))))).toBe("MALFORMED");
  });

  test("that is somebody else's key is noticed by members", async () => {
    const { publicKey } = await deriveHpkeKeyPair(random(64));
    const forged = await forge(publicKey);
    expect(await codeOf(() => inspectGroupInfo(forged))).toBe("accepted");
    expect(await codeOf(() => verifyGroupInfoOf(carol.bytes, forged))).toBe("WRONG_COMMIT");
    expect(await codeOf(() => verifyGroupInfoOf(carol.bytes, group.entry.groupInfo))).toBe("accepted");
  });
});

describe("another encoding of the same values is refused as malformed:", () => {
  /** The same vector with a length prefix of four bytes instead of two (RFC 9420 §2.1.2). */
  function widen(bytes: Uint8Array, at: number): Uint8Array {
    const first = bytes[at] ?? 0;
    expect(first >> 6).toBe(1);
    const prefix = [0x80, 0, first & 0x3f, bytes[at + 1] ?? 0];
    return new Uint8Array([...bytes.subarray(0, at), ...prefix, ...bytes.subarray(at + 2)]);
  }
  /** Where a vector of 1216 bytes, an X-Wing key, begins. */
  const keyAt = (bytes: Uint8Array) => bytes.findIndex((byte, i) => byte === 0x44 && bytes[i + 1] === 0xc0);

  test("a key package", async () => {
    expect(
      await codeOf(() => inspectKeyPackage(widen(daves.publicPackage, keyAt(daves.publicPackage)))),
    ).toBe("MALFORMED");
  });

  test("a commit, in a length prefix and in the octet that says that there is no path", async () => {
    const { commit } = await updatePath(group.of(alice));
    expect(await applied(widen(commit, keyAt(commit)))).toBe("MALFORMED");
    // … proposals, no path (0), signature of 64 bytes (prefix 4040), tag (4040), membership tag (4040)
    const absent = entry.commit.length - 3 * 66 - 1;
    expect(entry.commit[absent]).toBe(0);
    const changed = entry.commit.slice();
    changed[absent] = 2;
    expect(await applied(changed)).toBe("MALFORMED");
  });

  test("a welcome", async () => {
    const welcome = entry.welcome ?? new Uint8Array(0);
    const kemOutput = welcome.findIndex((byte, i) => byte === 0x44 && welcome[i + 1] === 0x60);
    expect(await codeOf(() => inspectWelcome(welcome))).toBe("accepted");
    expect(await codeOf(() => inspectWelcome(widen(welcome, kemOutput)))).toBe("MALFORMED");
  });

  test("a ratchet tree, in a length prefix and in the octet that says that a node is blank", async () => {
    const groupInfo = created;
    const inner = decodeGroupInfo(groupInfo).groupInfo.extensions[1]?.extensionData ?? new Uint8Array(0);
    const withTree = (extensionData: Uint8Array) => {
      const { groupInfo: info } = decodeGroupInfo(groupInfo);
      const [externalPub] = info.extensions;
      if (externalPub === undefined) throw new Error("no external_pub");
      const extensions = [externalPub, { extensionType: "ratchet_tree", extensionData } as const];
      const message = {
        version: "mls10",
        wireformat: "mls_group_info",
        groupInfo: { ...info, extensions },
      } as const;
      return codeOf(() => inspectGroupInfo(encodeMlsMessage(message)));
    };
    expect(await withTree(inner)).toBe("accepted");
    expect(await withTree(new Uint8Array([...inner, 0]))).toBe("MALFORMED");
    expect(await withTree(inner.subarray(0, inner.length - 1))).toBe("MALFORMED");
    // the first node's key; the outer length grows by the two bytes
    const longer = widen(inner, keyAt(inner));
    const view = new DataView(longer.buffer);
    expect((longer[0] ?? 0) >> 6).toBe(1);
    view.setUint16(0, view.getUint16(0) + 2);
    expect(await withTree(longer)).toBe("MALFORMED");
    const { tree } = decodeGroupInfo(groupInfo);
    const blank = tree.indexOf(undefined);
    expect(blank).toBe(1); // the parent of the first two leaves
    const before = encodeRatchetTree(tree.slice(0, blank)).length;
    const octet = before + (inner.length >= 16384 ? 4 : 2) - (before - 2 >= 16384 ? 4 : 2);
    expect(inner[octet]).toBe(0);
    expect(await withTree(inner.map((byte, i) => (i === octet ? 2 : byte)))).toBe("MALFORMED");
  });
});

describe("limits", () => {
  test("a GroupInfo with more than 511 nodes is rejected", async () => {
    const { tree } = decodeGroupInfo(group.entry.groupInfo);
    const wide = (nodes: number) =>
      forgeGroupInfo(group.entry.groupInfo, bob, () => [
        ...tree,
        ...new Array(nodes - tree.length - 1),
        tree[0],
      ]);
    expect(await codeOf(async () => inspectGroupInfo(await wide(511)))).toBe("DUPLICATE");
    expect(await codeOf(async () => inspectGroupInfo(await wide(513)))).toBe("TOO_LARGE");
  });

  test("blobs over their limit are rejected before they are read", async () => {
    const blob = new Uint8Array(2 * 1024 * 1024 + 1);
    expect(await applied(blob)).toBe("TOO_LARGE");
    expect(await codeOf(() => inspectGroupInfo(blob))).toBe("TOO_LARGE");
    expect(await codeOf(() => inspectWelcome(blob))).toBe("TOO_LARGE");
    expect(await codeOf(() => inspectKeyPackage(new Uint8Array(12 * 1024 + 1)))).toBe("TOO_LARGE");
  });

  test("nothing hangs: loops without end and lists of millions end in a refusal", async () => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "hangProbe.ts")], {
      env: { ...process.env, SECURECHAT_CRYPTO: crypto().name },
      stdout: "pipe",
      stderr: "pipe",
      timeout: 60_000,
    });
    const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    expect(error).toBe("");
    expect(child.signalCode).toBeNull();
    expect(JSON.parse(out)).toEqual({
      parentOutsideOfTree: "InternalError",
      directPathOutsideOfTree: "InternalError",
      removeOutsideOfTree: "InternalError",
      resyncWithoutLeaf: "InternalError",
      unmergedOutsideOfTree: "InternalError",
      blankTree: "TOO_LARGE",
      capabilities: "UNSUPPORTED",
      proposals: "TOO_LARGE",
      extensions: "UNSUPPORTED",
      encryptedPath: "TOO_LARGE",
    });
  }, 90_000);
});

describe("credentials", () => {
  test("have one encoding: every mutation reads as another identity or not at all", async () => {
    const { credential, signaturePublicKey } = decodeKeyPackageMessage(daves.publicPackage).leafNode;
    if (credential.credentialType !== "basic") throw new Error("a credential of the profile is basic");
    const textOf = (identity: DeviceIdentity) => encodeHex(encodeCredential(identity).identity);
    await fc.assert(
      fc.asyncProperty(mutations(credential.identity), async (identity) => {
        let read: DeviceIdentity | undefined;
        const code = await codeOf(() => {
          read = decodeDeviceIdentity({
            credential: { credentialType: "basic", identity },
            signaturePublicKey,
          });
        });
        expect(["accepted", "MALFORMED", "UNSUPPORTED"]).toContain(code);
        if (read !== undefined) expect(textOf(read)).toBe(encodeHex(identity));
      }),
      { numRuns: 500 },
    );
  });
});
