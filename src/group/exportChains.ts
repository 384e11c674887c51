import { mlsExporter } from "ts-mls/keySchedule.js";
import type { Hex } from "../base/hex.ts";
import { labels } from "../crypto/labels.ts";
import { ciphersuite } from "./ciphersuite.ts";
import { GroupError } from "./groupError.ts";
import { decodeState, encodeState } from "./groupState.ts";
import { membersOf } from "./groupTree.ts";
import { deriveChain } from "./ratchet.ts";

const seedBytes = 32;

/**
 * Derives the first chain of every member of the state's epoch at once, and wipes what they come from:
 * `seed = MLS-Exporter("securechat/2 sender", conversation (16 bytes), 32)` (RFC 9420 §8.5).
 *
 * @param bytes stays as it is: the caller stores chains and new state in one transaction, then wipes it
 * @returns the chains by certificate fingerprint and the state without its exporter secret. Secret.
 * @throws {GroupError} `EXPORTED` the second time
 */
export async function exportChains(
  bytes: Uint8Array,
): Promise<{ chains: ReadonlyMap<Hex, Uint8Array>; state: Uint8Array }> {
  const state = decodeState(bytes);
  const { exporterSecret } = state.keySchedule;
  if (exporterSecret.length === 0)
    throw new GroupError("EXPORTED", "the chains of this epoch were exported before");
  const seed = await mlsExporter(
    exporterSecret,
    labels.senderExporter,
    state.groupContext.groupId,
    seedBytes,
    ciphersuite(),
  );
  const chains = new Map<Hex, Uint8Array>();
  for (const { identity } of membersOf(state.ratchetTree))
    chains.set(identity.fingerprint, deriveChain(seed, identity.fingerprint));
  seed.fill(0);
  exporterSecret.fill(0);
  const keySchedule = { ...state.keySchedule, exporterSecret: new Uint8Array(0) };
  return { chains, state: encodeState({ ...state, keySchedule }) };
}
