import { joinGroupWithExtensions } from "ts-mls/clientState.js";
import { makeKeyPackageRef } from "ts-mls/keyPackage.js";
import { emptyPskIndex } from "ts-mls/pskIndex.js";
import { equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { ciphersuite } from "./ciphersuite.ts";
import type { Device } from "./device.ts";
import { GroupError, guard } from "./groupError.ts";
import { verifyGroupInfo } from "./groupInfo.ts";
import { encodeNewState } from "./groupState.ts";
import { leafAt, memberOf } from "./groupTree.ts";
import { clientConfig, type JudgeDevice } from "./judge.ts";
import { decodePrivatePackage } from "./keyPackage.ts";
import { decodeCommit, decodeKeyPackageMessage, decodeWelcome } from "./mlsMessage.ts";

/** @returns the key packages (KeyPackageRef) that a welcome is for. @throws {GroupError} */
export function inspectWelcome(bytes: Uint8Array): readonly Hex[] {
  return decodeWelcome(bytes).secrets.map(({ newMember }) => encodeHex(newMember));
}

/**
 * Joins by a welcome. Welcome, GroupInfo and commit are blobs that the accepted entry names; a wrong one among them, by
 * the server or by a member, is refused: the three must be of one epoch of this conversation.
 *
 * @param conversation the entry's
 * @param epoch the one that the entry opened: the entry's own epoch + 1
 * @param sender certificate that signed the entry; the commit and the welcome must come from its leaf
 * @param device owner of the key package
 * @param judge is asked about every other leaf of the tree
 * @returns the state. Secret.
 * @throws {GroupError}
 */
export async function joinGroup({
  conversation,
  epoch,
  sender,
  device,
  publicPackage,
  privatePackage,
  welcome,
  groupInfo,
  commit,
  judge,
}: {
  conversation: Hex;
  epoch: number;
  sender: Hex;
  device: Device;
  publicPackage: Uint8Array;
  privatePackage: Uint8Array;
  welcome: Uint8Array;
  groupInfo: Uint8Array;
  commit: Uint8Array;
  judge: JudgeDevice;
}): Promise<Uint8Array> {
  const suite = ciphersuite();
  const keyPackage = decodeKeyPackageMessage(publicPackage);
  const keys = decodePrivatePackage(privatePackage, device);
  if (!equalBytes(keyPackage.leafNode.signaturePublicKey, device.identity.devicePublicKey))
    throw new GroupError("WRONG_SENDER", "the key package is not of this device");
  const invitation = decodeWelcome(welcome);
  const logged = decodeCommit(commit);
  expectConversation(conversation, logged.conversation);
  if (logged.epoch + 1 !== epoch) throw new GroupError("WRONG_EPOCH", "the commit opens another epoch");
  const reference = await makeKeyPackageRef(keyPackage, suite.hash);
  if (!invitation.secrets.some(({ newMember }) => equalBytes(newMember, reference)))
    throw new GroupError("NOT_INVITED", "the welcome is not for this key package");

  const { parts } = await verifyGroupInfo(groupInfo, (identity) => {
    if (!equalBytes(identity.devicePublicKey, device.identity.devicePublicKey)) judge(identity);
  });
  expectConversation(conversation, parts.conversation);
  if (parts.epoch !== epoch) throw new GroupError("WRONG_EPOCH", "the GroupInfo is of another epoch");
  if (!equalBytes(parts.confirmationTag, logged.confirmationTag))
    throw new GroupError("WRONG_COMMIT", "the GroupInfo is not of the logged commit");

  return guard("welcome", async () => {
    const [state, extensions] = await joinGroupWithExtensions(
      invitation,
      keyPackage,
      keys,
      emptyPskIndex,
      suite,
      parts.tree,
      undefined,
      // each leaf of this very tree was judged above
      clientConfig(() => undefined),
    );
    if (extensions.length !== 0)
      throw new GroupError("UNSUPPORTED", "the welcome's GroupInfo has extensions of its own");
    // the tag is a MAC under a key of this group context: with it group id, epoch and tree are those of the log
    if (!equalBytes(state.confirmationTag, logged.confirmationTag))
      throw new GroupError("WRONG_COMMIT", "the welcome is not of the logged commit");
    const committer =
      logged.committer.kind === "member" ? leafAt(parts.tree, logged.committer.leafIndex) : undefined;
    if (committer === undefined || memberOf(committer).identity.fingerprint !== sender)
      throw new GroupError("WRONG_SENDER", "the commit is not by the signer of the entry");
    return encodeNewState(state);
  });
}

function expectConversation(expected: Hex, found: Hex): void {
  if (expected !== found) throw new GroupError("WRONG_CONVERSATION", "a blob is of another conversation");
}
