import { encodeHex, type Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { type DeviceIdentity, deviceId, verifyDeviceIdentity } from "../group/device.ts";
import { GroupError } from "../group/groupError.ts";
import { inspectKeyPackage } from "../group/keyPackage.ts";
import { encodeCreateBody } from "../log/bodies.ts";
import { authorityOf, memberOf } from "../log/memberIdentity.ts";
import { personOf, usernamePattern } from "../pki/identity.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { idOf } from "./devices.ts";
import { primaryServerName } from "./directory.ts";
import { commitHash, rosterOf } from "./groupFollower.ts";
import type { Invitee } from "./invitee.ts";
import type { PendingRecord } from "./vaultRecords.ts";

/** A conversation that is ready to be begun. */
export interface Invitation {
  readonly conversation: Hex;
  readonly peer: string;
  readonly pending: PendingRecord;
  /** Of `create`. */
  readonly body: Uint8Array;
}

interface Invited {
  readonly identity: DeviceIdentity;
  readonly verified: VerifiedCertificate;
  readonly email: string;
  readonly bytes: Uint8Array;
}

/**
 * Fetches a person's key packages and makes the group of two. The server chooses the packages, so each is judged: path and
 * revocation of its certificate now, its name as the user typed it, the device-key signature, the leaf's lifetime; all are
 * of one person, and of the one that is known by that name if there is one. A single bad one refuses all. The server's
 * operator has the very certificate of the handshake.
 *
 * @throws {ClientError} `NO_SUCH_PERSON`, `CERTIFICATE_REFUSED`, `IDENTITY_CHANGED`; what `request` throws
 */
export async function inviteDirect(context: ConversationContext, invitee: Invitee): Promise<Invitation> {
  const { self, directory, devices, groups, random, now, revocations, vault } = context;
  const { name } = invitee;
  if (name === self.username)
    throw new ClientError("NO_SUCH_PERSON", "a conversation takes somebody else than yourself");
  // The server ends the session of a client that sends what can be no name.
  if (invitee.kind === "person" && !usernamePattern.test(name))
    throw new ClientError(
      "NO_SUCH_PERSON",
      `${visible(name)} can't be a username: lower-case letters, digits, ".", "_" and "-", at most 32`,
    );
  const connection = context.connection();
  const packages = await fetchPackages(context, invitee);
  const invited: Invited[] = [];
  for (const bytes of packages) invited.push(await judge(context, invitee, bytes));
  requireOnePerson(context, name, invited);

  const conversation = encodeHex(random(16));
  const device = devices.current();
  const commit = await groups.create({
    conversation,
    device,
    keyPackages: packages,
    judge: (identity) => {
      const isChosen = invited.some(
        (one) =>
          one.identity.fingerprint === identity.fingerprint &&
          deviceId(one.identity.devicePublicKey) === deviceId(identity.devicePublicKey),
      );
      if (!isChosen) throw new ClientError("CERTIFICATE_REFUSED", "a device that was not chosen");
    },
    nowMs: now(),
  });
  if (commit.welcome === null) throw new ClientError("CERTIFICATE_REFUSED", "nobody was invited");
  const batch = vault.batch();
  for (const { identity } of invited) directory.learn(identity.chain, batch);
  directory.learn(self.chain, batch);
  directory.learn(connection.serverChain, batch);
  vault.commit(batch);
  const body = encodeCreateBody({
    kind: "direct",
    title: "",
    server: {
      name: primaryServerName(connection.server),
      fingerprint: connection.server.certificate.fingerprint,
    },
    admins: [],
    roster: rosterOf(commit.roster),
    crl: revocations.number,
    commit: commitHash(commit.commit),
    welcome: commitHash(commit.welcome),
    group: commitHash(commit.groupInfo),
  });
  const pending: PendingRecord = {
    action: "create",
    device: idOf(device),
    epoch: commit.epoch,
    commit: commit.commit,
    welcome: commit.welcome,
    group: commit.groupInfo,
    next_state: commit.nextState,
  };
  return { conversation, peer: name, pending, body };
}

async function fetchPackages(context: ConversationContext, invitee: Invitee): Promise<Uint8Array[]> {
  const { name } = invitee;
  try {
    if (invitee.kind === "operator") {
      const answer = await context.connection().request({ type: "fetch_operator_key_package" });
      return [answer.package];
    }
    const answer = await context.connection().request({ type: "fetch_key_packages", username: name });
    if (answer.username !== name || answer.packages.length === 0)
      throw new ClientError("SERVER_MISBEHAVED", "the server sent the key packages of somebody else");
    return answer.packages.map((one) => one.package);
  } catch (error) {
    if (error instanceof ClientError && error.refusal === "NOT_FOUND")
      throw new ClientError("NO_SUCH_PERSON", `there is no account ${visible(name)} on this server`, {
        cause: error,
      });
    if (error instanceof ClientError && error.refusal === "NO_KEY_PACKAGE")
      throw new ClientError(
        "NO_SUCH_PERSON",
        `${visible(name)} has not connected with a client yet, or not for long: nobody can be reached there`,
        { cause: error },
      );
    throw error;
  }
}

async function judge(context: ConversationContext, invitee: Invitee, bytes: Uint8Array): Promise<Invited> {
  const { directory, now } = context;
  const { name } = invitee;
  try {
    const { identity, notBeforeMs, notAfterMs } = await inspectKeyPackage(bytes);
    const isOperator = invitee.kind === "operator";
    const verified = directory.verifyNewcomer(identity.chain, isOperator ? "server" : "client");
    const person = isOperator ? memberOf(verified.certificate) : personOf(verified.certificate);
    if (person.username !== name)
      throw new ClientError(
        "CERTIFICATE_REFUSED",
        `the server sent a certificate of ${visible(person.username)} for ${visible(name)}`,
      );
    if (isOperator && verified.certificate.fingerprint !== invitee.fingerprint)
      throw new ClientError(
        "CERTIFICATE_REFUSED",
        "the operator's certificate is not the one that the server has shown",
      );
    verifyDeviceIdentity(identity, verified, now());
    if (now() < notBeforeMs || now() > notAfterMs)
      throw new ClientError("CERTIFICATE_REFUSED", `the key package of ${visible(name)} is out of date`);
    return { identity, verified, email: person.email, bytes };
  } catch (cause) {
    if (!(cause instanceof PkiError || cause instanceof GroupError)) throw cause;
    throw new ClientError(
      "CERTIFICATE_REFUSED",
      `what the server gave for ${visible(name)} is refused: ${cause.message}`,
      { cause },
    );
  }
}

function requireOnePerson(
  { directory, self }: ConversationContext,
  username: string,
  invited: readonly Invited[],
): void {
  const people = new Set(invited.map(({ verified, email }) => `${authorityOf(verified)} ${email}`));
  const certificates = new Set(invited.map(({ identity }) => identity.fingerprint));
  if (
    people.size !== 1 ||
    certificates.size !== invited.length ||
    certificates.has(self.certificate.fingerprint)
  )
    throw new ClientError("CERTIFICATE_REFUSED", `the server gave several persons for ${visible(username)}`);
  for (const { verified, email } of invited)
    if (directory.isStranger({ username, email, authority: authorityOf(verified) }))
      throw new ClientError(
        "IDENTITY_CHANGED",
        `${visible(username)} <${visible(email)}> is not the ${visible(username)} that you know: another email or CA`,
      );
}
