import { encodeHex, type Hex } from "../base/hex.ts";
import { signCheckpoint } from "../log/checkpoint.ts";
import type { LogState } from "../log/conversationLog.ts";
import type { CheckpointRecord } from "../store/logStore.ts";
import type { ServerIdentity } from "./ownIdentity.ts";
import { Refusal } from "./refusal.ts";
import type { Services } from "./services.ts";

/**
 * @returns the server's signature over a log whose entries are durable, or will be before anybody sees it
 * @throws {Refusal} `UNAVAILABLE` once the server's certificate has expired: nobody would accept the signature
 */
export function signState(
  { conversation, size, root }: Pick<LogState, "conversation" | "size" | "root">,
  { verified, key }: ServerIdentity,
  nowMs: number,
): CheckpointRecord {
  requireValid(verified, nowMs);
  const server = verified.certificate.fingerprint;
  const { conversation: _, ...record } = signCheckpoint({ conversation, size, root, at: nowMs, server }, key);
  return record;
}

/**
 * The newest checkpoint of a log for somebody who sees `visibleSize` entries of it: a former member gets one over what
 * it may see, signed for it now, and learns nothing about what came later.
 *
 * @returns `undefined` when there is no such log
 */
export async function checkpointFor(
  { store, identity, now }: Pick<Services, "store" | "identity" | "now">,
  conversation: Hex,
  visibleSize: number,
): Promise<CheckpointRecord | undefined> {
  const newest = await store.log.checkpoint(conversation);
  if (newest === undefined || newest.size <= visibleSize) return newest;
  const [root] = await store.log.roots(conversation, [visibleSize]);
  if (root === undefined) return undefined;
  return signState({ conversation, size: visibleSize, root: encodeHex(root) }, identity, now());
}

/** @throws {Refusal} `UNAVAILABLE` */
export function requireValid({ validUntilMs }: ServerIdentity["verified"], nowMs: number): void {
  // The last second is whole (RFC 5280 §4.1.2.5).
  if (nowMs >= validUntilMs + 1000)
    throw new Refusal("UNAVAILABLE", "the server's certificate has expired, its operator has to renew it");
}
