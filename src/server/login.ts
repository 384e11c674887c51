import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Account } from "../store/accountStore.ts";
import type { LoginRequest } from "../wire/loginMessages.ts";
import type { Request } from "../wire/sessionMessages.ts";
import type { Accounts, Entry } from "./accounts.ts";
import type { Connection } from "./connection.ts";
import { certificateRecord } from "./person.ts";
import { Refusal } from "./refusal.ts";
import { answerFailure } from "./requestFailure.ts";
import type { RequestReader } from "./requests.ts";
import type { ServerLimits } from "./serverLimits.ts";
import type { ServerLog } from "./serverLog.ts";
import type { ServerMeter } from "./serverMeter.ts";
import type { Member } from "./sessionRegistry.ts";
import type { Ticket } from "./tickets.ts";
import { timed } from "./timed.ts";

export interface LoginServices {
  readonly accounts: Accounts;
  readonly limits: ServerLimits;
  readonly now: () => number;
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
  /** IP address and port, for people. */
  readonly address: string;
}

/** A login that succeeded and is still to be answered. */
export interface LoggedIn {
  readonly member: Member;
  readonly login: {
    /** Of the request. */
    readonly id: number;
    readonly ticket: Ticket;
  };
}

export async function logIn(
  connection: Connection,
  reader: RequestReader,
  peer: Peer,
  { accounts, limits, now, log, meter }: LoginServices,
): Promise<LoggedIn> {
  let hasResumed = false;
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
      if (request.type === "resume" && hasResumed)
        throw new Refusal("UNEXPECTED", "a connection can be resumed to once");
      hasResumed ||= request.type === "resume";
      const { account, ticket } = await timed(
        () => authenticate(request, peer, accounts),
        (outcome, seconds) => meter.request(request.type, outcome, seconds),
      );
      return { member: memberOf(account, peer, now()), login: { id: request.id, ticket } };
    } catch (error) {
      answerFailure(error, request, { connection, tag: peer.tag, log });
      await connection.whenWritable();
      connection.deadlineMs = performance.now() + limits.loginMs;
    }
  }
}

function authenticate(request: Request | LoginRequest, peer: Peer, accounts: Accounts): Promise<Entry> {
  switch (request.type) {
    case "register":
      return accounts.register(request, peer);
    case "login":
    case "renew":
      return accounts.login(request, peer);
    case "change_password":
      return accounts.changePassword(request, peer);
    case "resume":
      return accounts.resume(request, peer);
    default:
      throw new Refusal("UNEXPECTED", "log in or register first");
  }
}

function memberOf(account: Account, { certificate, tag, address }: Peer, sinceMs: number): Member {
  const { fingerprint, person } = certificateRecord(certificate, "user");
  const { id, username, email } = account;
  return { account: id, username, email, person, fingerprint, certificate, tag, address, sinceMs };
}
