import { hex, list, object, type SchemaType, text } from "../base/schema.ts";
import { LogError } from "./logError.ts";

/** Most rows of a roster, inclusive. */
export const maxRosterRows = 256;

// A person's username, or the DNS name or IP address of a server that is a member.
const memberName = text({ min: 1, max: 253, pattern: /^[a-z0-9:][a-z0-9.:_-]*$/ });
// Empty for a server. What a mailbox may be is the certificate's business; here it must only be printable ASCII.
const memberEmail = text({ max: 254, pattern: /^[!-~]*$/ });

/** One device: a leaf of the conversation's MLS tree. */
export const rosterRowSchema = object({
  username: memberName,
  email: memberEmail,
  /** SHA-256 of the certificate, DER. */
  fingerprint: hex(32),
  /** SHA-256 of the leaf's signature key. */
  device: hex(32),
});
export type RosterRow = SchemaType<typeof rosterRowSchema>;

/** Who a row belongs to, as far as names go. */
export type Person = Pick<RosterRow, "username" | "email">;

export const rosterSchema = list(rosterRowSchema, maxRosterRows);
export const adminsSchema = list(memberName, maxRosterRows);

/** The order of a roster: by username, then email, then fingerprint, each as bytes. */
export function compareRows(a: Omit<RosterRow, "device">, b: Omit<RosterRow, "device">): number {
  return (
    compareText(a.username, b.username) ||
    compareText(a.email, b.email) ||
    compareText(a.fingerprint, b.fingerprint)
  );
}

// All texts of a row are ASCII: the order of UTF-16 units is that of bytes.
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function isSamePerson(a: Person, b: Person): boolean {
  return a.username === b.username && a.email === b.email;
}

/**
 * What holds for a roster and its admins by themselves: rows in order, one leaf per certificate, no leaf key twice, a
 * username stands for one email and an email for one username; admins in order, each with a row.
 *
 * @throws {LogError} `BAD_BODY`
 */
export function checkRoster(roster: readonly RosterRow[], admins: readonly string[]): void {
  const emails = new Map<string, string>();
  const usernames = new Map<string, string>();
  const fingerprints = new Set<string>();
  const devices = new Set<string>();
  let previous: RosterRow | undefined;
  for (const row of roster) {
    if (previous !== undefined && compareRows(previous, row) >= 0) throw bad("roster is not in order");
    previous = row;
    if ((emails.get(row.username) ?? row.email) !== row.email)
      throw bad(`roster has ${row.username} with two emails`);
    emails.set(row.username, row.email);
    if (row.email !== "") {
      if ((usernames.get(row.email) ?? row.username) !== row.username)
        throw bad(`roster has ${row.email} with two usernames`);
      usernames.set(row.email, row.username);
    }
    if (fingerprints.has(row.fingerprint)) throw bad(`roster has certificate ${row.fingerprint} twice`);
    fingerprints.add(row.fingerprint);
    if (devices.has(row.device)) throw bad(`roster has device ${row.device} twice`);
    devices.add(row.device);
  }
  let last = "";
  for (const admin of admins) {
    if (admin <= last) throw bad("admins are not in order");
    if (!emails.has(admin)) throw bad(`admin ${admin} is not in the roster`);
    last = admin;
  }
}

function bad(message: string): LogError {
  return new LogError("BAD_BODY", message);
}
