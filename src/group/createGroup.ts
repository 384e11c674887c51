import { createGroup as createMlsGroup } from "ts-mls/clientState.js";
import { decodeHex, type Hex } from "../base/hex.ts";
import { ciphersuite } from "./ciphersuite.ts";
import type { Device } from "./device.ts";
import { GroupError, guard } from "./groupError.ts";
import type { Random } from "./hpke.ts";
import { clientConfig, type JudgeDevice } from "./judge.ts";
import { chooseKeyPackage, ownKeyPackage } from "./keyPackage.ts";
import { makeCommit, type PendingCommit } from "./pendingCommit.ts";
import { conversationBytes } from "./profile.ts";

/**
 * Starts the group of a conversation: epoch 0 holds the own leaf only and is never used; the commit that is returned
 * opens epoch 1 with everybody in it.
 *
 * @param conversation 16 bytes, fresh randomness of the caller; the group id
 * @param keyPackages of the others, as the server handed them out
 * @param nowMs what the lifetimes of the key packages are held against
 * @throws {GroupError}
 */
export async function createGroup({
  conversation,
  device,
  keyPackages,
  judge,
  random,
  nowMs,
}: {
  conversation: Hex;
  device: Device;
  keyPackages: readonly Uint8Array[];
  judge: JudgeDevice;
  random: Random;
  nowMs: number;
}): Promise<PendingCommit> {
  const groupId = decodeHex(conversation, conversationBytes);
  if (groupId === undefined) throw new GroupError("MALFORMED", "a conversation's id has 16 bytes");
  const chosen = await Promise.all(keyPackages.map((bytes) => chooseKeyPackage(bytes, nowMs)));
  const own = await ownKeyPackage(device, nowMs, random);
  const state = await guard("new group", () =>
    createMlsGroup(
      groupId,
      own.publicPackage,
      own.privatePackage,
      [],
      ciphersuite(random),
      clientConfig(judge, [{ nodeType: "leaf", leaf: own.publicPackage.leafNode }]),
    ),
  );
  return makeCommit(
    state,
    chosen.map((keyPackage) => ({ proposalType: "add", add: { keyPackage } })),
    random,
  );
}
