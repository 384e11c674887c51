import { certificateTarget, crlTarget, csrTarget, signedPathTarget } from "./certificateTargets.ts";
import { channelTargets, recordTargets } from "./channelTargets.ts";
import { cliTargets } from "./cliTargets.ts";
import { evidenceTargets } from "./evidenceTargets.ts";
import { cmsTarget, keyFileTarget, pemTarget } from "./fileTargets.ts";
import { groupTargets } from "./groupTargets.ts";
import { logTargets } from "./logTargets.ts";
import { plantedTargets } from "./plantedTargets.ts";
import { crlBundleTarget, forkProofTarget } from "./proofTargets.ts";
import { storeTargets } from "./storeTargets.ts";
import type { Target } from "./target.ts";
import { vaultTargets } from "./vaultTargets.ts";
import { frameTarget, requestTarget, serverMessageTarget } from "./wireTargets.ts";

/** Every boundary of the program. */
export const targets: readonly Target[] = [
  certificateTarget,
  signedPathTarget,
  crlTarget,
  crlBundleTarget,
  csrTarget,
  cmsTarget,
  pemTarget,
  keyFileTarget,
  frameTarget,
  requestTarget,
  serverMessageTarget,
  ...channelTargets,
  ...recordTargets,
  ...logTargets,
  ...evidenceTargets,
  forkProofTarget,
  ...groupTargets,
  ...vaultTargets,
  ...cliTargets,
  ...storeTargets,
];

/** @throws when there is no such target */
export function findTarget(name: string): Target {
  const found = [...targets, ...plantedTargets].find((target) => target.name === name);
  if (found === undefined)
    throw new Error(`no target "${name}", there are: ${targets.map((target) => target.name).join(", ")}`);
  return found;
}
