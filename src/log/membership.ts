import type { Hex } from "../base/hex.ts";
import type { MembershipBody } from "./bodies.ts";
import { LogError } from "./logError.ts";
import { isExpired, type LogState } from "./logState.ts";
import { compareRows, isSamePerson, type Person, type RosterRow } from "./roster.ts";

/** How a roster differs from the one before. */
export interface RosterChange {
  readonly added: readonly RosterRow[];
  readonly removed: readonly RosterRow[];
  /** Rows after the change whose certificate had another device before. */
  readonly redeviced: readonly RosterRow[];
}

/**
 * What each action may do to the roster, and who may do it.
 *
 * @param sender the certificate that signs, and its person as the new roster names it
 * @param at when the server received the entry, ms
 * @returns the change, when every rule is kept that needs no certificate
 * @throws {LogError} `BAD_BODY` when the roster is not what the action makes of the last one, `FORBIDDEN`
 */
export function checkMembership(
  state: LogState,
  sender: { fingerprint: Hex; person: Person },
  body: MembershipBody,
  at: number,
): RosterChange {
  const change = compareRosters(state.roster, body.roster);
  const { added, removed, redeviced } = change;
  const [row, ...others] = [...added, ...redeviced];
  const [predecessor, ...moreRemoved] = removed;

  switch (body.action) {
    case "add":
      if (added.length === 0 || removed.length > 0 || redeviced.length > 0)
        throw bad("add must add rows and no more");
      break;
    case "remove":
      if (removed.length === 0 || added.length > 0 || redeviced.length > 0)
        throw bad("remove must take rows out and no more");
      if (removed.some((gone) => gone.fingerprint === sender.fingerprint))
        throw bad("nobody can remove the device that signs");
      if (body.crl === null && unprovenRemovals(state, sender.person, removed, at).length > 0)
        throw new LogError("FORBIDDEN", `${sender.person.username} has no right to remove these members`);
      break;
    case "update":
      if (row !== undefined || removed.length > 0) throw bad("update must leave the roster as it is");
      break;
    case "renew":
      if (
        row?.fingerprint !== sender.fingerprint ||
        redeviced.length > 0 ||
        others.length > 0 ||
        moreRemoved.length > 0 ||
        predecessor?.device !== row.device
      )
        throw bad("renew must put the sender's certificate in the place of another and no more");
      break;
    case "rejoin":
      if (row?.fingerprint !== sender.fingerprint || others.length > 0 || moreRemoved.length > 0)
        throw bad("rejoin must put in the sender's device and no more");
      if (redeviced.length > 0 && removed.length > 0) throw bad("rejoin must replace one row at most");
      if (state.roster.some((old) => old.device === row.device)) throw bad("rejoin must bring a new device");
      break;
  }
  if (body.action === "renew" || body.action === "rejoin")
    if (predecessor !== undefined && !isSamePerson(predecessor, sender.person))
      throw new LogError(
        "FORBIDDEN",
        `${sender.person.username} can't replace a device of ${predecessor.username}`,
      );

  if (state.kind === "direct") checkPair(state.roster, body.roster);
  checkAdmins(state, sender.person, body);
  return change;
}

/**
 * The rows that the sender takes out without being the creator or an admin, and that have neither left nor expired: it
 * claims that they are revoked under the CRL that the body names. A log can't judge that; the server does before it accepts,
 * and so does every verdict.
 *
 * @param at ms
 */
export function unprovenRemovals(
  state: LogState,
  sender: Person,
  removed: readonly RosterRow[],
  at: number,
): readonly RosterRow[] {
  if (mayRemove(state, sender)) return [];
  return removed.filter(({ fingerprint }) => {
    const device = state.senders.get(fingerprint);
    return device !== undefined && !device.left && !isExpired(device, at);
  });
}

/** @returns how `after` differs from `before`, both in the order of rosters @throws {LogError} `BAD_BODY` */
export function compareRosters(before: readonly RosterRow[], after: readonly RosterRow[]): RosterChange {
  const old = new Map(before.map((row) => [row.fingerprint, row]));
  const added: RosterRow[] = [];
  const redeviced: RosterRow[] = [];
  for (const row of after) {
    const previous = old.get(row.fingerprint);
    old.delete(row.fingerprint);
    if (previous === undefined) added.push(row);
    else if (compareRows(previous, row) !== 0)
      throw bad(`certificate ${row.fingerprint} can't change its names`);
    else if (previous.device !== row.device) redeviced.push(row);
  }
  return { added, removed: [...old.values()], redeviced };
}

/** In a direct conversation nobody has the right: devices are put out when they expire or are revoked. */
function mayRemove(state: LogState, sender: Person): boolean {
  return state.kind === "group" && (isCreator(state, sender) || state.admins.includes(sender.username));
}

/** Names alone could come back under another CA after the creator was removed. */
function isCreator({ creator, roster, senders }: LogState, sender: Person): boolean {
  return (
    isSamePerson(creator, sender) &&
    roster.some(
      (row) => isSamePerson(row, creator) && senders.get(row.fingerprint)?.authority === creator.authority,
    )
  );
}

function checkPair(before: readonly RosterRow[], after: readonly RosterRow[]): void {
  const covers = (some: readonly RosterRow[], all: readonly RosterRow[]) =>
    all.every((row) => some.some((other) => isSamePerson(row, other)));
  if (!covers(before, after) || !covers(after, before))
    throw bad("a direct conversation holds exactly the two it began with");
}

/** The creator names admins; everybody else leaves them as they are, but for those who are out with their last row. */
function checkAdmins(state: LogState, sender: Person, body: MembershipBody): void {
  if (state.kind === "direct") {
    if (body.admins.length > 0) throw bad("a direct conversation has no admins");
    return;
  }
  if (isCreator(state, sender)) return;
  const remaining = state.admins.filter((admin) => body.roster.some((row) => row.username === admin));
  if (remaining.length !== body.admins.length || remaining.some((admin, i) => admin !== body.admins[i]))
    throw new LogError("FORBIDDEN", "only the creator names admins");
}

function bad(message: string): LogError {
  return new LogError("BAD_BODY", message);
}
