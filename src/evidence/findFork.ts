import type { Hex } from "../base/hex.ts";
import { contradict } from "../log/checkpoint.ts";
import { proveConsistency } from "./consistencyProof.ts";
import type { ServerStatement } from "./serverStatement.ts";
import type { TranscriptReading } from "./transcriptReading.ts";

/**
 * Two statements by one server that no one log has both of: it showed one log to some and another to others.
 */
export interface Fork {
  readonly conversation: Hex;
  /** Over the smaller or the same size. */
  readonly first: ServerStatement;
  readonly second: ServerStatement;
  /**
   * Where the sizes differ: the log that `second` is about begins with `first.size` entries of this root, which is not
   * `first.root`; the path shows it (RFC 9162 §2.1.4).
   */
  readonly link: { readonly root: Hex; readonly path: readonly Uint8Array[] } | undefined;
}

/**
 * Looks for a proof that the server forked a conversation: two roots for one size, or a root that a verified log leads to
 * and another one for a prefix of that log.
 *
 * @param statements verified; those about other conversations are left out
 * @param logs verified transcripts, whoever holds them
 */
export function findFork(
  conversation: Hex,
  statements: readonly ServerStatement[],
  logs: readonly TranscriptReading[],
): Fork | undefined {
  const about = statements.filter((statement) => statement.conversation === conversation);
  const bySize = new Map<number, ServerStatement>();
  for (const second of about) {
    const first = bySize.get(second.size);
    if (first !== undefined && contradict(first, second))
      return { conversation, first, second, link: undefined };
    bySize.set(second.size, first ?? second);
  }
  for (const log of logs) {
    if (log.state?.conversation !== conversation) continue;
    const known = about.filter(({ size }) => log.rootAt(size) !== undefined);
    const agrees = ({ size, root }: ServerStatement) => log.rootAt(size) === root;
    const second = largest(known.filter(agrees));
    const first = known.find((statement) => !agrees(statement) && statement.size < (second?.size ?? 0));
    const root = first === undefined ? undefined : log.rootAt(first.size);
    if (first === undefined || second === undefined || root === undefined) continue;
    const path = proveConsistency(log.leaves, first.size, second.size);
    return { conversation, first, second, link: { root, path } };
  }
  return undefined;
}

function largest(statements: readonly ServerStatement[]): ServerStatement | undefined {
  return statements.reduce<ServerStatement | undefined>(
    (best, next) => (best === undefined || next.size > best.size ? next : best),
    undefined,
  );
}
