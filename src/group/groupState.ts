import type { ClientConfig } from "ts-mls/clientConfig.js";
import { type ClientState, decodeGroupState, encodeGroupState } from "ts-mls/clientState.js";
import type { PrivateKeyPath } from "ts-mls/privateKeyPath.js";
import type { RatchetTree } from "ts-mls/ratchetTree.js";
import { directPath, leafToNodeIndex, leafWidth, toLeafIndex } from "ts-mls/treemath.js";
import { concatBytes, equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import type { Device } from "./device.ts";
import { GroupError } from "./groupError.ts";
import { type GroupMember, leafAt, memberOf, membersOf } from "./groupTree.ts";
import { hpkeKeyPair } from "./hpke.ts";
import { clientConfig } from "./judge.ts";

/** The suite and the encoding that it stands for; a state of another version is not read. */
const version = 1;
const none = new Uint8Array(0);

/**
 * A state at rest is `version || the library's encoding`, with everything left out that no later call needs: the secret
 * tree (messages don't use it), former epochs, the device seed (it stands in the device), and of the key schedule all
 * but the init, external, membership and exporter secret.
 *
 * @returns the bytes for the vault. Secret.
 */
export function encodeState(state: ClientState): Uint8Array {
  const { initSecret, externalSecret, membershipKey, exporterSecret } = state.keySchedule;
  const encoded = encodeGroupState({
    ...state,
    keySchedule: {
      initSecret,
      externalSecret,
      membershipKey,
      exporterSecret,
      senderDataSecret: none,
      confirmationKey: none,
      resumptionPsk: none,
      epochAuthenticator: none,
    },
    secretTree: [],
    historicalReceiverData: new Map(),
    unappliedProposals: {},
    signaturePrivateKey: none,
  });
  const out = concatBytes(Uint8Array.of(version), encoded);
  encoded.fill(0);
  return out;
}

/**
 * As above, for the state of a new epoch: its private keys are checked against its tree.
 *
 * @throws {GroupError} `INVALID`
 */
export async function encodeNewState(state: ClientState): Promise<Uint8Array> {
  return encodeState({
    ...state,
    privatePath: await checkPrivatePath(state.ratchetTree, state.privatePath),
  });
}

/**
 * @param bytes are copied: nothing that the library does to a state reaches what the caller holds
 * @param config the one to run the library with; the default refuses every new leaf
 * @param device signs what is made from the state; its key must be the one of the own leaf
 * @throws {GroupError} `STATE_UNREADABLE`, `WRONG_SENDER` when the device is another
 */
export function decodeState(
  bytes: Uint8Array,
  config: (tree: RatchetTree) => ClientConfig = (tree) => clientConfig(refuseAll, tree),
  device?: Device,
): ClientState {
  if (bytes[0] !== version) throw new GroupError("STATE_UNREADABLE", "group state is of another version");
  let state: ReturnType<typeof decodeGroupState>;
  try {
    state = decodeGroupState(new Uint8Array(bytes.subarray(1)), 0);
  } catch (cause) {
    throw new GroupError("STATE_UNREADABLE", "group state is damaged", { cause });
  }
  if (state === undefined || state[1] !== bytes.length - 1)
    throw new GroupError("STATE_UNREADABLE", "group state is damaged");
  const [group] = state;
  if (device !== undefined && !equalBytes(ownLeaf(group).signaturePublicKey, device.identity.devicePublicKey))
    throw new GroupError("WRONG_SENDER", "the device is not the one of this group state");
  return {
    ...group,
    signaturePrivateKey: device?.seed ?? none,
    clientConfig: config(group.ratchetTree),
  };
}

/** What can be said of a state without changing it. */
export interface StateSummary {
  readonly conversation: Hex;
  readonly epoch: number;
  readonly roster: readonly GroupMember[];
  readonly own: GroupMember;
  readonly confirmationTag: Uint8Array;
  /** Whether the chains of its epoch can still be exported. */
  readonly exportable: boolean;
}

/** @param bytes a state as this floor returned it. @throws {GroupError} `STATE_UNREADABLE` */
export function inspectState(bytes: Uint8Array): StateSummary {
  return summarize(decodeState(bytes));
}

export function summarize(state: ClientState): StateSummary {
  return {
    conversation: encodeHex(state.groupContext.groupId),
    epoch: Number(state.groupContext.epoch),
    roster: membersOf(state.ratchetTree),
    own: memberOf(ownLeaf(state)),
    confirmationTag: state.confirmationTag,
    exportable: state.keySchedule.exporterSecret.length > 0,
  };
}

export function ownLeaf(state: Pick<ClientState, "ratchetTree" | "privatePath">) {
  const leaf = leafAt(state.ratchetTree, state.privatePath.leafIndex);
  if (leaf === undefined) throw new GroupError("STATE_UNREADABLE", "group state without its own leaf");
  return leaf;
}

/**
 * RFC 9420 §7.5: the keys that a committer put into the tree must be those that follow from the path secrets it
 * encrypted; the library does not compare them. Also the one place where keys of nodes that were blanked or left behind
 * are dropped: they would open old commits.
 *
 * @returns the private keys that belong to the tree
 * @throws {GroupError} `INVALID`
 */
async function checkPrivatePath(tree: RatchetTree, path: PrivateKeyPath): Promise<PrivateKeyPath> {
  const leaf = leafToNodeIndex(toLeafIndex(path.leafIndex));
  const privateKeys: Record<number, Uint8Array> = {};
  for (const nodeIndex of [leaf, ...directPath(leaf, leafWidth(tree.length))]) {
    const node = tree[nodeIndex];
    if (node === undefined) continue;
    if (node.nodeType === "parent" && node.parent.unmergedLeaves.includes(path.leafIndex)) continue;
    const privateKey = path.privateKeys[nodeIndex];
    const expected = node.nodeType === "leaf" ? node.leaf.hpkePublicKey : node.parent.hpkePublicKey;
    if (privateKey === undefined || !equalBytes((await hpkeKeyPair(privateKey)).publicKey, expected))
      throw new GroupError("INVALID", "a key of the tree does not follow from its path secret");
    privateKeys[nodeIndex] = privateKey;
  }
  return { leafIndex: path.leafIndex, privateKeys };
}

function refuseAll(): never {
  throw new TypeError("a leaf was to be judged where none can be new");
}
