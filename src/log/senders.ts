import type { Hex } from "../base/hex.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Entry } from "./entry.ts";
import { LogError } from "./logError.ts";
import type { SenderState } from "./logState.ts";
import { authorityOf, memberOf } from "./memberIdentity.ts";
import type { RosterChange } from "./membership.ts";
import { isSamePerson, type Person, type RosterRow } from "./roster.ts";

/** What the holder of a log knows beside the entries. */
export interface LogContext {
  /**
   * The certificate with this fingerprint, its path verified for a signer of evidence at that time (ms), without CRLs.
   * @throws when there is none
   */
  certificateAt(fingerprint: Hex, atMs: number): VerifiedCertificate;
  /** The root of the first `size` entries, for every size from 1 below that of the state. */
  rootAt(size: number): Hex | undefined;
  /** The entry is, byte for byte, one that the caller has signed itself: its signature needs no check. */
  readonly isOwnSignature?: boolean;
}

/** @throws {LogError} `CERTIFICATE_INVALID` with what the context threw as its cause */
export function certificateAt(context: LogContext, fingerprint: Hex, at: number): VerifiedCertificate {
  let found: VerifiedCertificate;
  try {
    found = context.certificateAt(fingerprint, at);
  } catch (cause) {
    throw new LogError("CERTIFICATE_INVALID", `certificate ${fingerprint} was not good at ${at}`, { cause });
  }
  if (found.certificate.fingerprint !== fingerprint)
    throw new LogError("CERTIFICATE_INVALID", `certificate ${fingerprint} is not at hand`);
  return found;
}

/**
 * Puts devices into the roster, after comparing their names with their certificates. A username stands for one person
 * throughout a roster, so all its rows are by one CA. `roster` is the one before, empty for the first entry.
 */
export function admit(
  senders: Map<Hex, SenderState>,
  entry: {
    rows: readonly RosterRow[];
    roster: readonly RosterRow[];
    index: number;
    at: number;
    context: LogContext;
  },
): void {
  const authorities = new Map<string, Hex>();
  for (const { username, fingerprint } of entry.roster) {
    const device = senders.get(fingerprint);
    if (device?.inRoster) authorities.set(username, device.authority);
  }
  for (const { username, email, fingerprint } of entry.rows) {
    const verified = certificateAt(entry.context, fingerprint, entry.at);
    checkNames(verified, { username, email });
    const authority = authorityOf(verified);
    if ((authorities.get(username) ?? authority) !== authority)
      throw new LogError(
        "FORBIDDEN",
        `certificate ${fingerprint} is by another CA than the others of ${username}`,
      );
    authorities.set(username, authority);
    const before = senders.get(fingerprint);
    senders.set(fingerprint, {
      username,
      email,
      authority,
      notAfterMs: verified.certificate.notAfterMs,
      lastSeqno: before?.lastSeqno ?? 0,
      lastViewSize: before?.lastViewSize ?? 0,
      admittedIndex: entry.index,
      inRoster: true,
      left: false,
    });
  }
}

function checkNames({ certificate }: VerifiedCertificate, row: Person): void {
  let member: Person;
  try {
    member = memberOf(certificate);
  } catch (cause) {
    throw new LogError("CERTIFICATE_INVALID", `certificate ${certificate.fingerprint} is nobody's`, {
      cause,
    });
  }
  if (!isSamePerson(member, row))
    throw new LogError(
      "CERTIFICATE_INVALID",
      `certificate ${certificate.fingerprint} is not that of ${row.username}`,
    );
}

/** Does to the devices what a membership entry does to the roster. `roster` is the one before. */
export function replaceRows(
  senders: Map<Hex, SenderState>,
  entry: {
    change: RosterChange;
    roster: readonly RosterRow[];
    index: number;
    at: number;
    context: LogContext;
  },
): void {
  // A renewed certificate is compared with its predecessor's CA, so the old rows go after the new ones came.
  admit(senders, { ...entry, rows: entry.change.added });
  for (const { fingerprint } of entry.change.removed) {
    const device = senders.get(fingerprint);
    if (device !== undefined) senders.set(fingerprint, { ...device, inRoster: false });
  }
}

/** Notes that the sender has written. */
export function noteEntry(senders: Map<Hex, SenderState>, { sender, seqno, view }: Entry): void {
  const device = senders.get(sender);
  if (device !== undefined) senders.set(sender, { ...device, lastSeqno: seqno, lastViewSize: view.size });
}

/** A person leaves with all devices. @returns their rows */
export function depart(
  senders: Map<Hex, SenderState>,
  roster: readonly RosterRow[],
  person: Person,
): readonly RosterRow[] {
  const rows = roster.filter((row) => isSamePerson(row, person));
  for (const { fingerprint } of rows) {
    const device = senders.get(fingerprint);
    if (device !== undefined) senders.set(fingerprint, { ...device, left: true });
  }
  return rows;
}
