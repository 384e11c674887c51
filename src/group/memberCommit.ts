import { equalBytes } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import type { Device } from "./device.ts";
import { encodeCredential } from "./deviceIdentity.ts";
import { GroupError } from "./groupError.ts";
import { decodeState, ownLeaf } from "./groupState.ts";
import { leafIndexOf } from "./groupTree.ts";
import type { Random } from "./hpke.ts";
import { clientConfig, type JudgeDevice, judgeDevice } from "./judge.ts";
import { chooseKeyPackage } from "./keyPackage.ts";
import { makeCommit, type PendingCommit } from "./pendingCommit.ts";

interface MemberCommit {
  /** Stays as it is. */
  readonly state: Uint8Array;
  readonly device: Device;
  readonly judge: JudgeDevice;
  readonly random: Random;
}

/**
 * A commit without proposals: fresh keys from the own leaf to the root. When `device` has the device key of the own leaf
 * and another identity (a renewed certificate, a later expiry), the leaf gets that identity.
 *
 * @throws {GroupError}
 */
export async function updatePath({ state, device, judge, random }: MemberCommit): Promise<PendingCommit> {
  const current = decodeState(state, (tree) => clientConfig(judge, tree), device);
  const leaf = ownLeaf(current);
  const credential = encodeCredential(device.identity);
  const same =
    leaf.credential.credentialType === "basic" && equalBytes(leaf.credential.identity, credential.identity);
  if (same) return makeCommit(current, [], random);
  judgeDevice(judge, device.identity);
  const ratchetTree = [...current.ratchetTree];
  ratchetTree[2 * current.privatePath.leafIndex] = { nodeType: "leaf", leaf: { ...leaf, credential } };
  return makeCommit({ ...current, ratchetTree }, [], random);
}

/**
 * Adds a leaf for each key package. A commit with adds only carries no path: it heals nothing.
 *
 * @param nowMs what the lifetimes of the key packages are held against
 * @throws {GroupError}
 */
export async function addMembers({
  state,
  device,
  keyPackages,
  judge,
  random,
  nowMs,
}: MemberCommit & { keyPackages: readonly Uint8Array[]; nowMs: number }): Promise<PendingCommit> {
  if (keyPackages.length === 0) throw new GroupError("INVALID", "nobody is to be added");
  const current = decodeState(state, (tree) => clientConfig(judge, tree), device);
  const chosen = await Promise.all(keyPackages.map((bytes) => chooseKeyPackage(bytes, nowMs)));
  return makeCommit(
    current,
    chosen.map((keyPackage) => ({ proposalType: "add", add: { keyPackage } })),
    random,
  );
}

/**
 * Removes the leaves of these certificates, with a fresh path: they can't follow into the new epoch.
 *
 * @throws {GroupError} `NOT_A_MEMBER`, and `INVALID` for the own leaf
 */
export async function removeMembers({
  state,
  device,
  fingerprints,
  judge,
  random,
}: MemberCommit & { fingerprints: readonly Hex[] }): Promise<PendingCommit> {
  if (fingerprints.length === 0) throw new GroupError("INVALID", "nobody is to be removed");
  const current = decodeState(state, (tree) => clientConfig(judge, tree), device);
  const proposals = fingerprints.map((fingerprint) => {
    const removed = leafIndexOf(current.ratchetTree, fingerprint);
    if (removed === undefined)
      throw new GroupError("NOT_A_MEMBER", `certificate ${fingerprint} has no leaf in the group`);
    return { proposalType: "remove", remove: { removed } } as const;
  });
  return makeCommit(current, proposals, random);
}
