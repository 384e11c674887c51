import { decodeBody } from "../log/bodies.ts";
import type { LogState } from "../log/logState.ts";
import { compareRosters, unprovenRemovals } from "../log/membership.ts";
import { isSamePerson, type RosterRow } from "../log/roster.ts";
import type { TranscriptLine } from "../log/transcript.ts";

/** That a member took out devices of others without the right to, saying that a list revokes their certificates. */
export interface RemovalClaim {
  readonly index: number;
  readonly at: number;
  /** Whose claim it is. */
  readonly who: string;
  /** The cRLNumber that it names, as text. */
  readonly list: string;
  readonly removed: readonly RosterRow[];
}

/**
 * A log can't judge such a claim, so it takes it in; the server should have refused a false one.
 *
 * @param before the state without the entry
 * @returns the claim that a verified entry rests on, `undefined` for every other entry
 */
export function removalClaimIn(
  before: LogState,
  { entry, index, at }: TranscriptLine,
): RemovalClaim | undefined {
  if (entry.kind !== "membership") return undefined;
  const body = decodeBody(entry);
  const sender = before.senders.get(entry.sender);
  if (body.kind !== "membership" || sender === undefined) return undefined;
  const { action, crl, roster } = body.body;
  if (action !== "remove" || crl === null) return undefined;
  // Who signs may take out rows of its own; nobody has to prove anything for those.
  const ofOthers = compareRosters(before.roster, roster).removed.filter((row) => !isSamePerson(row, sender));
  const removed = unprovenRemovals(before, sender, ofOthers, at);
  return removed.length === 0 ? undefined : { index, at, who: sender.username, list: crl, removed };
}
