import { equalBytes } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import {
  type GroupMember,
  inspectCommit,
  inspectGroupInfo,
  inspectWelcome,
} from "../group/conversationGroup.ts";
import { GroupError } from "../group/groupError.ts";
import { type CreateBody, decodeBody, type MembershipBody } from "../log/bodies.ts";
import type { LogState } from "../log/conversationLog.ts";
import type { Entry } from "../log/entry.ts";
import { servesAs } from "../log/memberIdentity.ts";
import { compareRosters, unprovenRemovals } from "../log/membership.ts";
import { isSamePerson, type RosterRow } from "../log/roster.ts";
import type { BlobRole } from "../store/blobStore.ts";
import { checkDevices } from "./deviceCheck.ts";
import { Refusal } from "./refusal.ts";
import type { Services } from "./services.ts";

export interface NamedBlob {
  readonly sha256: Hex;
  readonly role: BlobRole;
}

type GroupServices = Pick<Services, "store" | "identity" | "certificates">;

/**
 * What the server demands of an entry that sets the roster, beyond the rules of the log, which hold already: it is the
 * server that `create` names, nobody who comes in is revoked, whoever is put out as revoked is, the blobs are there and
 * say what the body says, and every device in the group is one of its certificate.
 *
 * @param person of the poster, whose blobs they must be
 * @param before the state before the entry
 * @returns the blobs; none for other kinds of entries
 * @throws {Refusal} `BAD_BODY`, `CERTIFICATE_REVOKED`, `FORBIDDEN`, `BAD_BLOB`
 */
export async function checkGroup(
  services: GroupServices,
  { entry, person, before, at }: { entry: Entry; person: Hex; before: LogState | undefined; at: number },
): Promise<readonly NamedBlob[]> {
  const decoded = decodeBody(entry);
  if (decoded.kind !== "create" && decoded.kind !== "membership") return [];
  if (decoded.kind === "create") checkServer(services, decoded.body);
  checkRevocation(services, { roster: decoded.body.roster, before, sender: entry.sender, at });

  const blobs = namedBlobs(decoded.body);
  const content = new Map<BlobRole, Uint8Array>();
  for (const { sha256, role } of blobs) {
    const bytes = await services.store.blobs.ownBlob(person, sha256);
    if (bytes === undefined)
      throw new Refusal("BAD_BLOB", `upload the ${role} ${sha256} before the entry that names it`);
    content.set(role, bytes);
  }
  const action = decoded.kind === "create" ? "create" : decoded.body.action;
  const { roster } = decoded.body;
  const members = await checkBlobs(content, { entry, action, roster });
  const { added, redeviced } = compareRosters(before?.roster ?? [], roster);
  const fresh = new Set([...added, ...redeviced].map(({ fingerprint }) => fingerprint));
  checkDevices(services, members, { isNew: (fingerprint) => fresh.has(fingerprint), at });
  return blobs;
}

/** @returns what the body names */
export function namedBlobs({ commit, welcome, group }: CreateBody | MembershipBody): NamedBlob[] {
  const blobs: NamedBlob[] = [
    { sha256: commit, role: "commit" },
    { sha256: group, role: "group" },
  ];
  return welcome === null ? blobs : [...blobs, { sha256: welcome, role: "welcome" }];
}

function checkServer({ identity }: GroupServices, { server }: CreateBody): void {
  // A session that began before a renewal knows the certificate that it shook hands with.
  const known = identity.find(server.fingerprint);
  if (known === undefined || !servesAs(known.certificate, server.name))
    throw new Refusal(
      "BAD_BODY",
      `this server is not ${server.name} with the certificate ${server.fingerprint}`,
    );
}

function checkRevocation(
  { certificates }: GroupServices,
  entry: { roster: MembershipBody["roster"]; before: LogState | undefined; sender: Hex; at: number },
): void {
  const { before, roster, sender, at } = entry;
  const isRevoked = ({ fingerprint }: RosterRow) => certificates.isRevoked(fingerprint, at);
  const { added, removed } = compareRosters(before?.roster ?? [], roster);
  const revoked = added.find(isRevoked);
  if (revoked !== undefined)
    throw new Refusal(
      "CERTIFICATE_REVOKED",
      `the certificate ${revoked.fingerprint} of ${revoked.username} is revoked`,
    );
  // Who signs may take out rows of its own; nobody has to prove anything for those.
  const poster = roster.find(({ fingerprint }) => fingerprint === sender);
  if (before === undefined || poster === undefined) return;
  const ofOthers = removed.filter((row) => !isSamePerson(row, poster));
  const unproven = unprovenRemovals(before, poster, ofOthers, at).find((row) => !isRevoked(row));
  if (unproven !== undefined)
    throw new Refusal(
      "FORBIDDEN",
      `the certificate ${unproven.fingerprint} of ${unproven.username} is not revoked`,
    );
}

/**
 * @returns the leaves of the group's tree
 * @throws {Refusal} `BAD_BLOB` when a blob can't be read, `BAD_BODY` when it says something else than the entry
 */
async function checkBlobs(
  content: ReadonlyMap<BlobRole, Uint8Array>,
  { entry, action, roster }: { entry: Entry; action: string; roster: readonly RosterRow[] },
): Promise<readonly GroupMember[]> {
  const [commit, welcome, group] = [content.get("commit"), content.get("welcome"), content.get("group")];
  if (commit === undefined || group === undefined)
    throw new Refusal("BAD_BLOB", "commit and group are needed");
  const summary = await readable("commit", () => inspectCommit(commit));
  const info = await readable("group info", () => inspectGroupInfo(group));
  if (welcome !== undefined) await readable("welcome", () => inspectWelcome(welcome));

  if (summary.conversation !== entry.conversation || info.conversation !== entry.conversation)
    throw new Refusal("BAD_BODY", "commit or group info is of another conversation");
  if (summary.epoch !== entry.epoch || info.epoch !== entry.epoch + 1)
    throw new Refusal(
      "BAD_BODY",
      `commit or group info is not of the step from epoch ${entry.epoch} to the next`,
    );
  if (!equalBytes(summary.confirmationTag, info.confirmationTag))
    throw new Refusal("BAD_BODY", "the group info is not that of the commit");
  if ((summary.committer === "external") !== (action === "rejoin"))
    throw new Refusal(
      "BAD_BODY",
      `a commit by an ${summary.committer === "external" ? "outsider" : "insider"} can't ${action}`,
    );
  if (info.signer.identity.fingerprint !== entry.sender)
    throw new Refusal("BAD_BODY", "the group info is signed by another device than the entry");
  const devices = new Map(info.roster.map(({ identity, device }) => [identity.fingerprint, device]));
  if (
    devices.size !== info.roster.length ||
    devices.size !== roster.length ||
    roster.some(({ fingerprint, device }) => devices.get(fingerprint) !== device)
  )
    throw new Refusal("BAD_BODY", "the tree of the group info holds other devices than the roster");
  return info.roster;
}

async function readable<T>(what: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!(cause instanceof GroupError)) throw cause;
    throw new Refusal("BAD_BLOB", `the ${what} can't be used: ${cause.message}`, { cause });
  }
}
