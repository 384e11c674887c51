import { validateRatchetTree } from "ts-mls/clientState.js";
import { joinGroupExternal } from "ts-mls/createCommit.js";
import { encodeMlsMessage } from "ts-mls/message.js";
import { removeLeafNode } from "ts-mls/ratchetTree.js";
import { directPath, parent, toLeafIndex, toNodeIndex } from "ts-mls/treemath.js";
import { concatBytes } from "../../src/base/bytes.ts";
import { useCryptoProvider } from "../../src/crypto/crypto.ts";
import { native } from "../../src/crypto/native.ts";
import { noble } from "../../src/crypto/noble.ts";
import { ciphersuite } from "../../src/group/ciphersuite.ts";
import { inspectCommit, inspectGroupInfo } from "../../src/group/conversationGroup.ts";
import { GroupError } from "../../src/group/groupError.ts";
import { clientConfig } from "../../src/group/judge.ts";
import { decodePrivatePackage } from "../../src/group/keyPackage.ts";
import { decodeGroupInfo, decodeKeyPackageMessage } from "../../src/group/mlsMessage.ts";
import { forgeCommit } from "./forge.ts";
import { Member, makeAuthority, newKeyPackage, random, TestGroup } from "./testGroup.ts";

/*
 * What once ran for ever or for minutes, each run in a process that its test kills: input that the library walks out of
 * the tree with, and lists as long as a blob can hold. Prints what each ended with.
 */

useCryptoProvider(process.env.SECURECHAT_CRYPTO === "noble" ? noble : native);
const authority = await makeAuthority();
const alice = new Member("alice", await authority.issue("alice"));
const bob = new Member("bob", await authority.issue("bob"));
const group = new TestGroup(authority.judge);
await group.create(alice, [bob]);
await group.update(alice);
const { groupInfo, tree } = decodeGroupInfo(group.entry.groupInfo);
const outcomes: Record<string, string> = {};

async function probe(name: string, call: () => unknown): Promise<void> {
  const started = performance.now();
  try {
    const result = await call();
    outcomes[name] = result instanceof Error ? result.name : "accepted";
  } catch (error) {
    outcomes[name] = error instanceof GroupError ? error.code : error instanceof Error ? error.name : "?";
  }
  if (process.argv.includes("--times"))
    process.stderr.write(`${name} ${Math.round(performance.now() - started)} ms\n`);
}

// the library itself, as patches/ts-mls@1.6.4.patch leaves it
await probe("parentOutsideOfTree", () => parent(toNodeIndex(2 * 5), 2));
await probe("directPathOutsideOfTree", () => directPath(toNodeIndex(-1), 4));
await probe("removeOutsideOfTree", () => removeLeafNode(tree, toLeafIndex(77)));
await probe("resyncWithoutLeaf", async () => {
  const pair = await newKeyPackage(new Member("eve", await authority.issue("eve")).device);
  const config = clientConfig(() => undefined);
  const keys = decodePrivatePackage(pair.privatePackage, alice.device);
  const keyPackage = decodeKeyPackageMessage(pair.publicPackage);
  await joinGroupExternal(groupInfo, keyPackage, keys, true, ciphersuite(random), tree, config);
});
await probe("unmergedOutsideOfTree", () => {
  const forged = tree.map((node) =>
    node?.nodeType === "parent" ? { ...node, parent: { ...node.parent, unmergedLeaves: [9] } } : node,
  );
  const { lifetimeConfig, authService } = clientConfig(() => undefined);
  const { groupContext } = groupInfo;
  return validateRatchetTree(
    forged,
    groupContext,
    lifetimeConfig,
    authService,
    groupContext.treeHash,
    ciphersuite(),
  );
});

// lists as long as a blob can hold
const room = 2 * 1024 * 1024;
const vector = (content: Uint8Array) => {
  const out = new Uint8Array(4 + content.length);
  new DataView(out.buffer).setUint32(0, (0x8000_0000 | content.length) >>> 0);
  out.set(content, 4);
  return out;
};
const join = (...parts: (Uint8Array | readonly number[])[]) =>
  concatBytes(...parts.map((part) => (part instanceof Uint8Array ? part : Uint8Array.from(part))));
const short = (bytes: Uint8Array) =>
  join(bytes.length < 64 ? [bytes.length] : [0x40 | (bytes.length >> 8), bytes.length & 255], bytes);
const fill = (bytes: number, ...pattern: number[]) =>
  new Uint8Array(bytes - (bytes % pattern.length)).map((_, i) => pattern[i % pattern.length] ?? 0);

await probe("blankTree", () => {
  const extensions = groupInfo.extensions.map((extension) =>
    extension.extensionType === "ratchet_tree"
      ? { ...extension, extensionData: vector(fill(room - 8000, 0)) }
      : extension,
  );
  const message = {
    version: "mls10",
    wireformat: "mls_group_info",
    groupInfo: { ...groupInfo, extensions },
  } as const;
  return inspectGroupInfo(encodeMlsMessage(message));
});

const commit = await forgeCommit(alice, {});
/** content of a PublicMessage up to the list of proposals (RFC 9420 §6) */
const head = join(
  [0, 1, 0, 1],
  short(groupInfo.groupContext.groupId),
  new Uint8Array(8),
  [1, 0, 0, 0, 0],
  [0],
  [3],
);
const tail = join(short(new Uint8Array(64)), short(new Uint8Array(64)), short(new Uint8Array(64)));
const leafHead = join(
  short(new Uint8Array(1216)),
  short(new Uint8Array(32)),
  [0, 1],
  short(new Uint8Array(9)),
);

await probe("capabilities", () => {
  const suites = vector(fill(room - 4000, 0x12, 0x34));
  const leaf = join(leafHead, [2, 0, 1], suites, [0], [0], [0], [3], [0], [0], short(new Uint8Array(64)));
  return inspectCommit(join(head, [0], [1], leaf, [0], tail));
});
await probe("extensions", () => {
  const extensions = vector(fill(room - 4000, 0x12, 0x34, 0));
  const context = join(
    [0, 1, 0, 83],
    short(groupInfo.groupContext.groupId),
    new Uint8Array(8),
    [0],
    [0],
    extensions,
  );
  return inspectGroupInfo(join([0, 1, 0, 4], context, [0], [0], [0, 0, 0, 0], [0]));
});
await probe("proposals", () => {
  const removes = vector(fill(room - 4000, 1, 0, 3, 0, 0, 0, 1));
  return inspectCommit(join(head, removes, [0], tail));
});
await probe("encryptedPath", () => {
  const leaf = join(
    leafHead,
    [2, 0, 1],
    [2, 0, 83],
    [2, 0, 10],
    [0],
    [2, 0, 1],
    [3],
    [0],
    [0],
    short(new Uint8Array(64)),
  );
  const nodes = vector(join(short(new Uint8Array(1216)), vector(fill(room - 8000, 0, 0))));
  return inspectCommit(join(head, [0], [1], leaf, nodes, tail));
});
if (commit.length === 0) throw new Error("a commit has bytes");
process.stdout.write(JSON.stringify(outcomes));
