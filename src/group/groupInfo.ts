import { validateRatchetTree } from "ts-mls/clientState.js";
import { encodeGroupContext } from "ts-mls/groupContext.js";
import { verifyGroupInfoSignature } from "ts-mls/groupInfo.js";
import { equalBytes } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { ciphersuite } from "./ciphersuite.ts";
import { GroupError, guard } from "./groupError.ts";
import { decodeState } from "./groupState.ts";
import { checkTree, type GroupMember, leafAt } from "./groupTree.ts";
import { deriveHpkeKeyPair, isHpkePublicKey } from "./hpke.ts";
import { clientConfig, type JudgeDevice } from "./judge.ts";
import { decodeGroupInfo, type GroupInfoParts } from "./mlsMessage.ts";

export interface GroupInfoSummary {
  readonly conversation: Hex;
  readonly epoch: number;
  /** From the leftmost leaf to the rightmost. */
  readonly roster: readonly GroupMember[];
  /** Equals that of the commit which opened the epoch. */
  readonly confirmationTag: Uint8Array;
  /** Whoever made it, and so the commit. */
  readonly signer: GroupMember;
}

/**
 * Checks a GroupInfo as anybody can who is not a member: profile, tree (RFC 9420 §12.4.3.1), its hash, every leaf's
 * signature, distinct and usable keys, the signer's signature. Certificates are not judged: the caller compares the
 * roster with the signed one.
 *
 * @throws {GroupError}
 */
export async function inspectGroupInfo(bytes: Uint8Array): Promise<GroupInfoSummary> {
  const { parts, roster } = await verifyGroupInfo(bytes, () => undefined);
  const signer = roster.find((member) => {
    const leaf = leafAt(parts.tree, parts.groupInfo.signer);
    return leaf !== undefined && equalBytes(leaf.signaturePublicKey, member.identity.devicePublicKey);
  });
  if (signer === undefined) throw new GroupError("INVALID", "GroupInfo without a signer");
  const { conversation, epoch, confirmationTag } = parts;
  return { conversation, epoch, roster, confirmationTag, signer };
}

/**
 * Checks the GroupInfo of an accepted commit against the state that the commit led to. Only members can tell a wrong
 * external_pub; a client that finds one says so in its next entry, because who rejoins by it is alone in its epoch.
 *
 * @throws {GroupError} `WRONG_COMMIT` when the two differ
 */
export async function verifyGroupInfoOf(state: Uint8Array, bytes: Uint8Array): Promise<void> {
  await compareGroupInfo(state, bytes);
  await verifyGroupInfo(bytes, () => undefined);
}

/** As `verifyGroupInfoOf`, for a GroupInfo that was verified in itself. @throws {GroupError} `WRONG_COMMIT` */
export async function compareGroupInfo(state: Uint8Array, bytes: Uint8Array): Promise<void> {
  const current = decodeState(state);
  const { groupInfo, confirmationTag, externalPublicKey } = decodeGroupInfo(bytes);
  const { publicKey } = await deriveHpkeKeyPair(current.keySchedule.externalSecret);
  const same =
    equalBytes(encodeGroupContext(groupInfo.groupContext), encodeGroupContext(current.groupContext)) &&
    equalBytes(confirmationTag, current.confirmationTag) &&
    equalBytes(externalPublicKey, publicKey);
  if (!same) throw new GroupError("WRONG_COMMIT", "GroupInfo is not that of the group's epoch");
}

/** @throws {GroupError} */
export async function verifyGroupInfo(
  bytes: Uint8Array,
  judge: JudgeDevice,
): Promise<{ parts: GroupInfoParts; roster: readonly GroupMember[] }> {
  const parts = decodeGroupInfo(bytes);
  const { groupInfo, tree } = parts;
  const suite = ciphersuite();
  const config = clientConfig(judge);
  return guard("GroupInfo", async () => {
    if (!isHpkePublicKey(parts.externalPublicKey))
      throw new GroupError("INVALID", "GroupInfo has an external_pub that nobody can encrypt to");
    const roster = checkTree(tree);
    const { groupContext } = groupInfo;
    const fault = await validateRatchetTree(
      tree,
      groupContext,
      config.lifetimeConfig,
      config.authService,
      groupContext.treeHash,
      suite,
    );
    if (fault !== undefined) throw fault;
    const signer = leafAt(tree, groupInfo.signer);
    if (
      signer === undefined ||
      !(await verifyGroupInfoSignature(groupInfo, signer.signaturePublicKey, suite.signature))
    )
      throw new GroupError("INVALID", "GroupInfo is not signed by a member");
    return { parts, roster };
  });
}
