import type { Hex } from "../base/hex.ts";
import { isExpired, type LogState } from "./logState.ts";
import type { RosterRow } from "./roster.ts";

/**
 * The rows that must be removed before the next message, as far as this party knows: the server refuses a message while
 * there is one (`REKEY_NEEDED`), and no client makes one. Only those who left are the log's own business
 * (`verifyEntry`): the rest depends on a clock and a CRL.
 *
 * @param nowMs the party's clock
 * @param isRevoked by the newest CRL that the party has
 */
export function rowsToRemove(
  state: LogState,
  { nowMs, isRevoked }: { nowMs: number; isRevoked: (fingerprint: Hex) => boolean },
): readonly RosterRow[] {
  return state.roster.filter(({ fingerprint }) => {
    const device = state.senders.get(fingerprint);
    return device === undefined || device.left || isExpired(device, nowMs) || isRevoked(fingerprint);
  });
}
