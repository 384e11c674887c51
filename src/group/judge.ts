import type { ClientConfig } from "ts-mls/clientConfig.js";
import { defaultPaddingConfig } from "ts-mls/paddingConfig.js";
import type { RatchetTree } from "ts-mls/ratchetTree.js";
import { equalBytes } from "../base/bytes.ts";
import { encodeHex } from "../base/hex.ts";
import { type DeviceIdentity, decodeDeviceIdentity, encodeCredential } from "./deviceIdentity.ts";
import { GroupError } from "./groupError.ts";

/**
 * Decides on the certificate and the device-key signature of a leaf, as of the time of the entry at hand. It is called
 * once for each leaf that the caller's tree does not have yet, before anything of it is adopted. What a joining client
 * merely reports (others' certificates that have expired) its judge notes down and lets pass.
 *
 * @throws anything, which refuses the leaf
 */
export type JudgeDevice = (identity: DeviceIdentity) => void;

/**
 * How the library is run.
 *
 * @param known leaves that were judged before, the own one among them
 */
export function clientConfig(judge: JudgeDevice, known: RatchetTree = []): ClientConfig {
  const judged = new Set<string>();
  for (const node of known)
    if (node?.nodeType === "leaf") judged.add(nameOf(decodeDeviceIdentity(node.leaf)));
  return {
    // 0 would keep the keys of every epoch; what 1 keeps is dropped before a state is stored
    keyRetentionConfig: {
      retainKeysForEpochs: 1,
      retainKeysForGenerations: 0,
      maximumForwardRatchetSteps: 0,
    },
    // lifetimes are judged where a key package is chosen; a log must not depend on when it is read
    lifetimeConfig: { maximumTotalLifetime: 0n, validateLifetimeOnReceive: false },
    paddingConfig: defaultPaddingConfig,
    keyPackageEqualityConfig: {
      compareKeyPackages: (a, b) => sameOwner(a.leafNode, b.leafNode),
      compareKeyPackageToLeafNode: (a, b) => sameOwner(a.leafNode, b),
    },
    authService: {
      validateCredential: async (credential, signaturePublicKey) => {
        const identity = decodeDeviceIdentity({ credential, signaturePublicKey });
        const name = nameOf(identity);
        if (judged.has(name)) return true;
        judgeDevice(judge, identity);
        judged.add(name);
        return true;
      },
    },
  };
}

/** @throws {GroupError} `DEVICE_REFUSED` with what the judge threw as its cause */
export function judgeDevice(judge: JudgeDevice, identity: DeviceIdentity): void {
  try {
    judge(identity);
  } catch (cause) {
    throw new GroupError("DEVICE_REFUSED", `device of certificate ${identity.fingerprint} is refused`, {
      cause,
    });
  }
}

type Owned = Parameters<typeof decodeDeviceIdentity>[0];

/** One leaf for a device key, and one for a certificate. */
function sameOwner(a: Owned, b: Owned): boolean {
  return (
    equalBytes(a.signaturePublicKey, b.signaturePublicKey) ||
    decodeDeviceIdentity(a).fingerprint === decodeDeviceIdentity(b).fingerprint
  );
}

function nameOf(identity: DeviceIdentity): string {
  return `${encodeHex(identity.devicePublicKey)} ${encodeHex(encodeCredential(identity).identity)}`;
}
