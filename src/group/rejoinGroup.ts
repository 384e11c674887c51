import { joinGroupExternal } from "ts-mls/createCommit.js";
import type { Hex } from "../base/hex.ts";
import { ciphersuite } from "./ciphersuite.ts";
import type { Device } from "./device.ts";
import { decodeDeviceIdentity } from "./deviceIdentity.ts";
import { GroupError, guard } from "./groupError.ts";
import { verifyGroupInfo } from "./groupInfo.ts";
import { leafIndexOf } from "./groupTree.ts";
import type { Random } from "./hpke.ts";
import { clientConfig, type JudgeDevice } from "./judge.ts";
import { ownKeyPackage } from "./keyPackage.ts";
import { decodeGroupInfo } from "./mlsMessage.ts";
import { finishCommit, type PendingCommit } from "./pendingCommit.ts";

/**
 * Joins by an external commit (RFC 9420 §12.4.3.2), with nobody else online. The leaf of the device's own certificate,
 * or of `predecessor`, gives way to the new one.
 *
 * @param groupInfo the latest; compare its conversation, epoch, roster and confirmation tag with the log beforehand
 * (`inspectGroupInfo`)
 * @param device with a new device key; the log refuses one that the roster has already
 * @param predecessor a certificate of the same person that this one replaces
 * @throws {GroupError} `NOT_A_MEMBER` when `predecessor` has no leaf
 */
export async function rejoinGroup({
  groupInfo: bytes,
  device,
  predecessor,
  judge,
  random,
}: {
  groupInfo: Uint8Array;
  device: Device;
  predecessor?: Hex;
  judge: JudgeDevice;
  random: Random;
}): Promise<PendingCommit> {
  const replaced = predecessor ?? device.identity.fingerprint;
  const { tree } = decodeGroupInfo(bytes);
  const old = leafIndexOf(tree, replaced);
  if (old === undefined && predecessor !== undefined)
    throw new GroupError("NOT_A_MEMBER", `certificate ${predecessor} has no leaf in the group`);
  const { parts } = await verifyGroupInfo(bytes, (identity) => {
    // the leaf that goes need not be good any more
    if (identity.fingerprint !== replaced) judge(identity);
  });
  const own = await ownKeyPackage(device, 0, random);
  return guard("external commit", async () => {
    const { publicMessage, newState } = await joinGroupExternal(
      parts.groupInfo,
      own.publicPackage,
      own.privatePackage,
      old !== undefined,
      ciphersuite(random),
      parts.tree,
      {
        ...clientConfig(() => undefined, parts.tree),
        keyPackageEqualityConfig: {
          compareKeyPackages: () => false,
          compareKeyPackageToLeafNode: (_, leaf) => decodeDeviceIdentity(leaf).fingerprint === replaced,
        },
      },
    );
    return finishCommit({ ratchetTree: parts.tree }, { newState, publicMessage, welcome: undefined }, random);
  });
}
