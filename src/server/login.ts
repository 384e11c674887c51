import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Account } from "../store/accountStore.ts";
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
import type { Member } from "./sessionRegistry.ts";
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

/** @returns who logged in or registered, and the id of the request, which is still to be answered */
export async function logIn(
  connection: Connection,
  reader: RequestReader,
  peer: Peer,
  { accounts, limits, now, log, meter }: LoginServices,
): Promise<{ member: Member; id: number }> {
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
      return { member: memberOf(account, peer, now()), id: request.id };
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

function memberOf(account: Account, { certificate, tag, address }: Peer, sinceMs: number): Member {
  const { fingerprint, person } = certificateRecord(certificate, "user");
  const { id, username, email } = account;
  return { account: id, username, email, person, fingerprint, certificate, tag, address, sinceMs };
}
