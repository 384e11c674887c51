import type { LeafNode } from "ts-mls/leafNode.js";
import type { RatchetTree } from "ts-mls/ratchetTree.js";
import { encodeHex, type Hex } from "../base/hex.ts";
import { type DeviceIdentity, deviceId } from "./device.ts";
import { decodeDeviceIdentity } from "./deviceIdentity.ts";
import { GroupError } from "./groupError.ts";
import { isHpkePublicKey } from "./hpke.ts";
import { leafCapabilities, maxTreeNodes } from "./profile.ts";

/** One leaf of a group, as a roster lists it. */
export interface GroupMember {
  readonly identity: DeviceIdentity;
  /** SHA-256 of the device key. */
  readonly device: Hex;
}

/** @returns the members from the leftmost leaf to the rightmost. @throws {GroupError} `UNSUPPORTED`, `MALFORMED` */
export function membersOf(tree: RatchetTree): readonly GroupMember[] {
  const members: GroupMember[] = [];
  for (const node of tree) if (node?.nodeType === "leaf") members.push(memberOf(node.leaf));
  return members;
}

export function memberOf(leaf: LeafNode): GroupMember {
  const identity = decodeDeviceIdentity(leaf);
  return { identity, device: deviceId(identity.devicePublicKey) };
}

/** @returns the leaf with that index, or `undefined` when it is blank or outside of the tree */
export function leafAt(tree: RatchetTree, leafIndex: number): LeafNode | undefined {
  const node = tree[2 * leafIndex];
  return node?.nodeType === "leaf" ? node.leaf : undefined;
}

/** @returns the index of the one leaf of that certificate */
export function leafIndexOf(tree: RatchetTree, fingerprint: Hex): number | undefined {
  const index = tree.findIndex(
    (node) => node?.nodeType === "leaf" && decodeDeviceIdentity(node.leaf).fingerprint === fingerprint,
  );
  return index === -1 ? undefined : index / 2;
}

/**
 * What the profile asks of a tree beyond RFC 9420 §12.4.3.1, and what the library leaves out of it: every leaf is of the
 * profile, no two nodes share an HPKE key, no two leaves a device key or a certificate, and everybody can encrypt to
 * every node. A single bad or copied key would otherwise make the next commits fail for all.
 *
 * @param known an earlier tree whose keys were checked before
 * @throws {GroupError} `TOO_LARGE`, `UNSUPPORTED`, `MALFORMED`, `DUPLICATE`, `INVALID`
 */
export function checkTree(tree: RatchetTree, known: RatchetTree = []): readonly GroupMember[] {
  if (tree.length > maxTreeNodes) throw new GroupError("TOO_LARGE", "ratchet tree is over the limit");
  const checked = new Set(known.flatMap((node) => (node === undefined ? [] : [encodeHex(hpkeKeyOf(node))])));
  const keys = new Unique("key");
  const certificates = new Unique("certificate");
  for (const node of tree) {
    if (node === undefined) continue;
    const key = encodeHex(hpkeKeyOf(node));
    keys.add(key);
    if (!checked.has(key) && !isHpkePublicKey(hpkeKeyOf(node)))
      throw new GroupError("INVALID", "ratchet tree has a key that nobody can encrypt to");
    if (node.nodeType === "leaf") {
      checkLeaf(node.leaf);
      keys.add(encodeHex(node.leaf.signaturePublicKey));
      certificates.add(decodeDeviceIdentity(node.leaf).fingerprint);
    } else if (new Set(node.parent.unmergedLeaves).size !== node.parent.unmergedLeaves.length)
      throw new GroupError("DUPLICATE", "ratchet tree lists an unmerged leaf twice");
  }
  return membersOf(tree);
}

/** @throws {GroupError} `UNSUPPORTED` when a leaf, which its owner made, is not of the profile */
export function checkLeaf(leaf: LeafNode): void {
  const { capabilities } = leaf;
  const fixed =
    sameList(capabilities.versions, leafCapabilities.versions) &&
    sameList(capabilities.ciphersuites, leafCapabilities.ciphersuites) &&
    sameList(capabilities.extensions, leafCapabilities.extensions) &&
    sameList(capabilities.proposals, leafCapabilities.proposals) &&
    sameList(capabilities.credentials, leafCapabilities.credentials);
  if (!fixed || leaf.extensions.length !== 0 || leaf.leafNodeSource === "update")
    throw new GroupError("UNSUPPORTED", "leaf has other capabilities or extensions than the profile");
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

class Unique {
  #seen = new Set<string>();
  #what: string;

  constructor(what: string) {
    this.#what = what;
  }

  add(value: string): void {
    if (this.#seen.has(value))
      throw new GroupError("DUPLICATE", `ratchet tree has the same ${this.#what} twice`);
    this.#seen.add(value);
  }
}

function hpkeKeyOf(node: NonNullable<RatchetTree[number]>): Uint8Array {
  return node.nodeType === "leaf" ? node.leaf.hpkePublicKey : node.parent.hpkePublicKey;
}
