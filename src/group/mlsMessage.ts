import { decodeOptional } from "ts-mls/codec/optional.js";
import { decodeVarLenData } from "ts-mls/codec/variableLength.js";
import type { GroupInfo } from "ts-mls/groupInfo.js";
import type { KeyPackage } from "ts-mls/keyPackage.js";
import { decodeMlsMessage, encodeMlsMessage, type MLSMessage } from "ts-mls/message.js";
import type { PublicMessage } from "ts-mls/publicMessage.js";
import { decodeNode, encodeRatchetTree, extendRatchetTree, type RatchetTree } from "ts-mls/ratchetTree.js";
import type { UpdatePath } from "ts-mls/updatePath.js";
import type { Welcome } from "ts-mls/welcome.js";
import { equalBytes } from "../base/bytes.ts";
import { encodeHex, type Hex } from "../base/hex.ts";
import { maxKeyPackageBytes } from "../wire/keyPackageForm.ts";
import { GroupError } from "./groupError.ts";
import { checkLeaf } from "./groupTree.ts";
import {
  conversationBytes,
  hashBytes,
  hpkePublicKeyBytes,
  lastResortExtension,
  maxGroupBlobBytes,
  maxLeaves,
  maxPathNodes,
  maxProposals,
  maxTreeNodes,
  suiteName,
} from "./profile.ts";

/*
 * The blobs of this floor are MLSMessages (RFC 9420 §6). Each reader takes bytes that a peer or the server made, refuses
 * everything that the profile does not use, and bounds every list before it goes to the library, parts of which take
 * quadratic time. One value has one encoding: what was read must encode to the same bytes.
 */

/** A commit of the profile: by a member, with adds and removes; or by a new leaf, in the place of at most one other. */
export interface Commit {
  readonly message: PublicMessage;
  readonly conversation: Hex;
  /** The epoch that it was made in. */
  readonly epoch: number;
  readonly committer: { readonly kind: "member"; readonly leafIndex: number } | { readonly kind: "external" };
  readonly adds: readonly KeyPackage[];
  /** Leaf indexes. */
  readonly removes: readonly number[];
  readonly path: UpdatePath | undefined;
  readonly confirmationTag: Uint8Array;
}

/** @throws {GroupError} `TOO_LARGE`, `MALFORMED`, `UNSUPPORTED` */
export function decodeCommit(bytes: Uint8Array): Commit {
  const what = "commit";
  const message = decodeMessage(what, bytes, maxGroupBlobBytes);
  if (message.wireformat !== "mls_public_message") throw unsupported(what, "is not a PublicMessage");
  const { content, auth } = message.publicMessage;
  if (content.contentType !== "commit" || auth.contentType !== "commit")
    throw unsupported(what, "has other content");
  if (content.authenticatedData.length !== 0) throw unsupported(what, "has authenticated data");

  const { proposals, path } = content.commit;
  if (proposals.length > maxProposals) throw tooLarge(what);
  if (path !== undefined && path.nodes.length > maxPathNodes) throw tooLarge(what);
  if (path?.nodes.some(({ encryptedPathSecret }) => encryptedPathSecret.length > maxLeaves))
    throw tooLarge(what);
  if (path !== undefined) checkLeaf(path.leafNode);

  const adds: KeyPackage[] = [];
  const removes: number[] = [];
  let externalInits = 0;
  for (const item of proposals) {
    if (item.proposalOrRefType !== "proposal") throw unsupported(what, "refers to a proposal");
    const { proposal } = item;
    if (proposal.proposalType === "add") {
      checkKeyPackageProfile(proposal.add.keyPackage);
      checkLeaf(proposal.add.keyPackage.leafNode);
      adds.push(proposal.add.keyPackage);
    } else if (proposal.proposalType === "remove") {
      // outside of the largest tree; whether the leaf is there is seen when the commit is applied
      if (proposal.remove.removed >= maxLeaves) throw tooLarge(what);
      removes.push(proposal.remove.removed);
    } else if (proposal.proposalType === "external_init") externalInits += 1;
    else throw unsupported(what, "has a proposal other than add, remove and external_init");
  }

  const { sender } = content;
  if (sender.senderType === "member") {
    if (externalInits !== 0) throw unsupported(what, "of a member has an external_init");
    if (sender.leafIndex >= maxLeaves) throw tooLarge(what);
  } else if (sender.senderType === "new_member_commit") {
    if (externalInits !== 1 || adds.length !== 0 || removes.length > 1 || path === undefined)
      throw unsupported(what, "of a new leaf has other proposals than external_init and one remove");
  } else throw unsupported(what, "has a sender of another type");

  expectCanonical(what, bytes, () => encodeMlsMessage(message));
  return {
    message: message.publicMessage,
    conversation: conversationOf(what, content.groupId),
    epoch: epochOf(what, content.epoch),
    committer:
      sender.senderType === "member" ? { kind: "member", leafIndex: sender.leafIndex } : { kind: "external" },
    adds,
    removes,
    path,
    confirmationTag: tagOf(what, auth.confirmationTag),
  };
}

/** @throws {GroupError} `TOO_LARGE`, `MALFORMED`, `UNSUPPORTED` */
export function decodeWelcome(bytes: Uint8Array): Welcome {
  const what = "welcome";
  const message = decodeMessage(what, bytes, maxGroupBlobBytes);
  if (message.wireformat !== "mls_welcome") throw unsupported(what, "is not a Welcome");
  const { welcome } = message;
  if (welcome.cipherSuite !== suiteName) throw unsupported(what, "has another ciphersuite");
  if (welcome.secrets.length > maxLeaves) throw tooLarge(what);
  expectCanonical(what, bytes, () => encodeMlsMessage(message));
  return welcome;
}

export interface GroupInfoParts {
  readonly groupInfo: GroupInfo;
  readonly conversation: Hex;
  readonly epoch: number;
  readonly tree: RatchetTree;
  readonly externalPublicKey: Uint8Array;
  readonly confirmationTag: Uint8Array;
}

/** @throws {GroupError} `TOO_LARGE`, `MALFORMED`, `UNSUPPORTED` */
export function decodeGroupInfo(bytes: Uint8Array): GroupInfoParts {
  const what = "GroupInfo";
  const message = decodeMessage(what, bytes, maxGroupBlobBytes);
  if (message.wireformat !== "mls_group_info") throw unsupported(what, "is another message");
  const { groupInfo } = message;
  const { groupContext, extensions } = groupInfo;
  if (groupContext.cipherSuite !== suiteName) throw unsupported(what, "has another ciphersuite");
  if (groupContext.extensions.length !== 0) throw unsupported(what, "has group context extensions");
  const [externalPub, ratchetTree] = extensions;
  if (
    extensions.length !== 2 ||
    externalPub?.extensionType !== "external_pub" ||
    ratchetTree?.extensionType !== "ratchet_tree"
  )
    throw unsupported(what, "has other extensions than external_pub and ratchet_tree");
  if (externalPub.extensionData.length !== hpkePublicKeyBytes)
    throw new GroupError("MALFORMED", `${what} has an external_pub of another length`);
  const tree = decodeTree(ratchetTree.extensionData);
  expectCanonical(what, bytes, () => encodeMlsMessage(message));
  return {
    groupInfo,
    conversation: conversationOf(what, groupContext.groupId),
    epoch: epochOf(what, groupContext.epoch),
    tree,
    externalPublicKey: externalPub.extensionData,
    confirmationTag: tagOf(what, groupInfo.confirmationTag),
  };
}

/** @throws {GroupError} `TOO_LARGE`, `MALFORMED`, `UNSUPPORTED` */
export function decodeKeyPackageMessage(bytes: Uint8Array): KeyPackage {
  const what = "key package";
  const message = decodeMessage(what, bytes, maxKeyPackageBytes);
  if (message.wireformat !== "mls_key_package") throw unsupported(what, "is another message");
  checkKeyPackageProfile(message.keyPackage);
  checkLeaf(message.keyPackage.leafNode);
  expectCanonical(what, bytes, () => encodeMlsMessage(message));
  return message.keyPackage;
}

/** @returns whether the key package is its owner's last resort. @throws {GroupError} `UNSUPPORTED` */
export function checkKeyPackageProfile({ cipherSuite, extensions, initKey }: KeyPackage): boolean {
  const what = "key package";
  if (cipherSuite !== suiteName) throw unsupported(what, "has another ciphersuite");
  if (initKey.length !== hpkePublicKeyBytes)
    throw new GroupError("MALFORMED", `${what} has an init key of another length`);
  const [extension] = extensions;
  if (extension === undefined) return false;
  if (
    extensions.length !== 1 ||
    extension.extensionType !== lastResortExtension ||
    extension.extensionData.length !== 0
  )
    throw unsupported(what, "has other extensions than last_resort");
  return true;
}

/** Content of the ratchet_tree extension (§12.4.3.3): without blank nodes at its end. */
function decodeTree(bytes: Uint8Array): RatchetTree {
  const what = "ratchet tree";
  const nodes: RatchetTree = [];
  try {
    const [data, used] = decodeVarLenData(bytes, 0) ?? [];
    if (data === undefined || used !== bytes.length)
      throw new GroupError("MALFORMED", `${what} has trailing bytes`);
    for (let offset = 0; offset < data.length; ) {
      if (nodes.length === maxTreeNodes) throw tooLarge(what);
      const slot = decodeOptional(decodeNode)(data, offset);
      if (slot === undefined) throw new GroupError("MALFORMED", `${what} ends early`);
      const [node, length] = slot;
      if (node?.nodeType === "parent" && node.parent.unmergedLeaves.length > maxLeaves) throw tooLarge(what);
      nodes.push(node);
      offset += length;
    }
    const tree = extendRatchetTree(nodes);
    expectCanonical(what, bytes, () => encodeRatchetTree(tree));
    return tree;
  } catch (cause) {
    if (cause instanceof GroupError) throw cause;
    throw new GroupError("MALFORMED", `${what} can't be read`, { cause });
  }
}

function decodeMessage(what: string, bytes: Uint8Array, maxBytes: number): MLSMessage {
  if (bytes.length > maxBytes) throw tooLarge(what);
  try {
    const decoded = decodeMlsMessage(bytes, 0);
    if (decoded !== undefined && decoded[1] === bytes.length) return decoded[0];
  } catch (cause) {
    throw new GroupError("MALFORMED", `${what} can't be read`, { cause });
  }
  throw new GroupError("MALFORMED", `${what} is not one whole MLSMessage`);
}

function expectCanonical(what: string, bytes: Uint8Array, encode: () => Uint8Array): void {
  let encoded: Uint8Array;
  try {
    encoded = encode();
  } catch (cause) {
    // the encoder recurses over lists: one of a hundred thousand items ends in a range error
    throw new GroupError("MALFORMED", `${what} has a list that is too long`, { cause });
  }
  if (!equalBytes(bytes, encoded))
    throw new GroupError("MALFORMED", `${what} is not in its one canonical encoding`);
}

function conversationOf(what: string, groupId: Uint8Array): Hex {
  if (groupId.length !== conversationBytes)
    throw new GroupError("MALFORMED", `${what} has a group id that is not a conversation's`);
  return encodeHex(groupId);
}

function epochOf(what: string, epoch: bigint): number {
  if (epoch > BigInt(Number.MAX_SAFE_INTEGER)) throw tooLarge(what);
  return Number(epoch);
}

function tagOf(what: string, tag: Uint8Array): Uint8Array {
  if (tag.length !== hashBytes)
    throw new GroupError("MALFORMED", `${what} has a confirmation tag of another length`);
  return tag;
}

function unsupported(what: string, why: string): GroupError {
  return new GroupError("UNSUPPORTED", `${what} ${why}`);
}

function tooLarge(what: string): GroupError {
  return new GroupError("TOO_LARGE", `${what} is over a limit of the profile`);
}
