import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Account } from "../store/accountStore.ts";
import type { KeyPackageCount } from "../store/keyPackageStore.ts";
import type { LoginRequest, Request } from "../wire/sessionMessages.ts";
import type { Accounts } from "./accounts.ts";
import type { Connection } from "./connection.ts";
import { certificateRecord } from "./person.ts";
import { Refusal } from "./refusal.ts";
import { answerFailure } from "./requestFailure.ts";
import type { RequestReader } from "./requests.ts";
import type { ServerLimits } from "./serverLimits.ts";
import type { ServerLog } from "./serverLog.ts";
import type { ServerMeter } from "./serverMeter.ts";
import type { Services } from "./services.ts";
import type { Member } from "./sessionRegistry.ts";
import { timed } from "./timed.ts";

export interface LoginServices extends Pick<Services, "store" | "certificates" | "now"> {
  readonly accounts: Accounts;
  readonly limits: ServerLimits;
  readonly log: ServerLog;
  readonly meter: ServerMeter;
}

/** Who is on the other end of a channel that has been established. */
export interface Peer {
  readonly certificate: VerifiedCertificate;
  /** As `networkOf` names it. */
  readonly network: string;
  /** `[SESSION-001]` */
  readonly tag: string;
}

export interface Login {
  readonly member: Member;
  /** Of the request, which is still to be answered. */
  readonly id: number;
  /** The key packages that wait for its certificate. */
  readonly waiting: KeyPackageCount;
}

/** @returns who logged in or registered, once the store has given everything that the answer says */
export async function logIn(
  connection: Connection,
  reader: RequestReader,
  peer: Peer,
  services: LoginServices,
): Promise<Login> {
  const { accounts, store, certificates, now, limits, log, meter } = services;
  connection.deadlineMs = performance.now() + limits.loginMs;
  for (;;) {
    const request = reader.read(await connection.receive());
    if (request.type === "ping") {
      connection.send({ type: "pong", id: request.id });
      continue;
    }
    try {
      // The time that the server needs doesn't count against the client.
      connection.deadlineMs = Number.POSITIVE_INFINITY;
      const account = await timed(
        () => authenticate(request, peer, accounts),
        (outcome, seconds) => meter.request(request.type, outcome, seconds),
      );
      const member = memberOf(account, peer);
      await certificates.load([member.fingerprint]);
      const waiting = await store.keyPackages.count(member.fingerprint, now());
      return { member, id: request.id, waiting };
    } catch (error) {
      answerFailure(error, request, { connection, tag: peer.tag, log });
      await connection.whenWritable();
      connection.deadlineMs = performance.now() + limits.loginMs;
    }
  }
}

function authenticate(request: Request | LoginRequest, peer: Peer, accounts: Accounts): Promise<Account> {
  switch (request.type) {
    case "register":
      return accounts.register(request, peer);
    case "login":
      return accounts.login(request, peer);
    default:
      throw new Refusal("UNEXPECTED", "log in or register first");
  }
}

function memberOf(account: Account, { certificate, tag }: Peer): Member {
  const { fingerprint, person } = certificateRecord(certificate, "user");
  const { id, username, email } = account;
  return { account: id, username, email, person, fingerprint, certificate, tag };
}
