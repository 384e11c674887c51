import type { ClientState } from "ts-mls/clientState.js";
import { acceptAll } from "ts-mls/incomingMessageAction.js";
import { unprotectPublicMessage } from "ts-mls/messageProtectionPublic.js";
import { processPublicMessage } from "ts-mls/processMessages.js";
import { emptyPskIndex } from "ts-mls/pskIndex.js";
import { equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { ciphersuite } from "./ciphersuite.ts";
import { GroupError, guard } from "./groupError.ts";
import { decodeState, encodeNewState } from "./groupState.ts";
import { checkTree, leafAt, memberOf } from "./groupTree.ts";
import { clientConfig, type JudgeDevice } from "./judge.ts";
import { type Commit, decodeCommit } from "./mlsMessage.ts";

export interface CommitSummary {
  readonly conversation: Hex;
  /** The epoch that it was made in; it opens the next one. */
  readonly epoch: number;
  readonly committer: "member" | "external";
  readonly confirmationTag: Uint8Array;
}

/** What a commit says to somebody who is not a member. Nothing is verified. @throws {GroupError} when it is not of the profile */
export function inspectCommit(bytes: Uint8Array): CommitSummary {
  const { conversation, epoch, committer, confirmationTag } = decodeCommit(bytes);
  return { conversation, epoch, committer: committer.kind, confirmationTag };
}

/**
 * Applies the commit of an accepted entry. A commit is good only when everything holds: profile, conversation, epoch,
 * signature and tags, the committer is the entry's signer, who replaces nobody but itself or its predecessor, new leaves
 * pass the judge, no key or certificate is there twice, the new private keys fit the new tree.
 *
 * The caller compares `inspectState(result).roster` with the signed roster before it keeps the result, and then wipes
 * `state`.
 *
 * @param state stays as it is
 * @param sender certificate that signed the entry
 * @param predecessor for a renewal or a rejoin under another certificate of the same person: the row that the signed
 * roster lost
 * @returns the state of the next epoch. Secret.
 * @throws {GroupError} `OWN_COMMIT`: adopt the stored state; `REMOVED`: delete the state
 */
export async function applyCommit({
  state,
  commit,
  sender,
  predecessor,
  judge,
}: {
  state: Uint8Array;
  commit: Uint8Array;
  sender: Hex;
  predecessor?: Hex;
  judge: JudgeDevice;
}): Promise<Uint8Array> {
  const decoded = decodeCommit(commit);
  const current = decodeState(state, (tree) => clientConfig(judge, tree));
  if (decoded.conversation !== encodeHex(current.groupContext.groupId))
    throw new GroupError("WRONG_CONVERSATION", "the commit is of another conversation");
  if (BigInt(decoded.epoch) !== current.groupContext.epoch)
    throw new GroupError("WRONG_EPOCH", `the commit is of epoch ${decoded.epoch}`);
  const { leafIndex } = current.privatePath;
  const { committer } = decoded;
  if (committer.kind === "member" && committer.leafIndex === leafIndex)
    throw new GroupError("OWN_COMMIT", "an own commit can't be applied: adopt the state stored with it");
  checkCommitter(current, decoded, sender, predecessor);

  const suite = ciphersuite();
  return guard("commit", async () => {
    if (decoded.removes.includes(leafIndex)) {
      // what a removed member can check, it checks: a forger can't make it delete its state
      const { membershipKey } = current.keySchedule;
      const { groupContext, ratchetTree } = current;
      await unprotectPublicMessage(membershipKey, groupContext, ratchetTree, decoded.message, suite);
      const leaf = decoded.path?.leafNode;
      if (leaf !== undefined)
        await current.clientConfig.authService.validateCredential(leaf.credential, leaf.signaturePublicKey);
      throw new GroupError("REMOVED", "the commit removes this device from the group");
    }
    const { newState } = await processPublicMessage(
      current,
      decoded.message,
      emptyPskIndex,
      suite,
      acceptAll,
    );
    if (newState.groupContext.epoch !== current.groupContext.epoch + 1n)
      throw new GroupError("INVALID", "the commit leads to no new epoch");
    checkTree(newState.ratchetTree, current.ratchetTree);
    return encodeNewState(newState);
  });
}

/**
 * Anybody who holds the GroupInfo can make an external commit, and any member a commit about anybody: it is the entry's
 * signature that says who stands behind it.
 */
function checkCommitter(
  { ratchetTree }: Pick<ClientState, "ratchetTree">,
  { committer, removes, path }: Commit,
  sender: Hex,
  predecessor: Hex | undefined,
): void {
  const fingerprintAt = (leafIndex: number) => {
    const leaf = leafAt(ratchetTree, leafIndex);
    if (leaf === undefined) throw new GroupError("INVALID", "the commit names a blank leaf");
    return memberOf(leaf).identity.fingerprint;
  };
  const next = path === undefined ? undefined : memberOf(path.leafNode).identity;
  if (committer.kind === "member") {
    const before = fingerprintAt(committer.leafIndex);
    const after = next?.fingerprint ?? before;
    if (after !== sender || before !== (predecessor ?? sender))
      throw new GroupError("WRONG_SENDER", "the commit is not by the signer of the entry");
    const deviceKey = leafAt(ratchetTree, committer.leafIndex)?.signaturePublicKey;
    if (next !== undefined && (deviceKey === undefined || !equalBytes(next.devicePublicKey, deviceKey)))
      throw new GroupError("INVALID", "the commit changes the device key of its leaf");
    return;
  }
  const [removed] = removes;
  const replaced = removed === undefined ? undefined : fingerprintAt(removed);
  // without a remove it is one more device of a person, whose certificate must be new to the tree (`checkTree`)
  const expected = replaced === undefined ? predecessor : (predecessor ?? sender);
  if (next?.fingerprint !== sender || replaced !== expected)
    throw new GroupError("WRONG_SENDER", "the new leaf or the one it replaces is not of the entry's signer");
}
