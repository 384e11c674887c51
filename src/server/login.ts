import type { Certificate } from "../pki/certificate.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { Account } from "../store/accountStore.ts";
import type { KeyPackageCount } from "../store/keyPackageStore.ts";
import type { LoginRequest } from "../wire/loginMessages.ts";
import type { OfferedOperator } from "../wire/operatorMessages.ts";
import type { Request } from "../wire/sessionMessages.ts";
import type { Accounts, Entry } from "./accounts.ts";
import type { AccountWatch } from "./accountWatch.ts";
import type { Connection } from "./connection.ts";
import { HeldCertificate } from "./heldCertificate.ts";
import { offeredOperator } from "./offeredOperator.ts";
import { certificateRecord } from "./person.ts";
import { Refusal } from "./refusal.ts";
import { answerFailure } from "./requestFailure.ts";
import type { RequestReader } from "./requests.ts";
import { bytesPerWorkToken } from "./serverLimits.ts";
import type { Services } from "./services.ts";
import type { Member } from "./sessionRegistry.ts";
import type { Ticket } from "./tickets.ts";
import { timed } from "./timed.ts";
import { TimeSlice } from "./turns.ts";

/** Who asks too often is held up for so long at a time, ms. */
const longestDelayMs = 1_000;

export interface LoginServices extends Services {
  readonly accounts: Accounts;
  readonly accountWatch: AccountWatch;
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
    /** Which of the account's sessions it begins. */
    readonly number: number;
    /** The key packages that wait for its certificate. */
    readonly waiting: KeyPackageCount;
    readonly operator: OfferedOperator | undefined;
  };
}

/** @returns who logged in or registered, once the store has given everything that the answer says */
export async function logIn(
  connection: Connection,
  reader: RequestReader,
  peer: Peer,
  services: LoginServices,
): Promise<LoggedIn> {
  const { accounts, accountWatch, certificates, store, limits, now, log, meter, work } = services;
  const person = `login:${certificateRecord(peer.certificate, "user").person}`;
  const slice = new TimeSlice();
  let hasResumed = false;
  connection.deadlineMs = performance.now() + limits.loginMs;
  for (;;) {
    await connection.whenWritable();
    await slice.orNextTurn();
    const idleFromMs = performance.now();
    const bytes = await connection.receive();
    slice.waitedSince(idleFromMs);
    const request = reader.read(bytes);
    // A bucket of its own: whoever has a certificate and no password must not use up what its owner may ask for.
    work.take(person, 1 + bytes.length / bytesPerWorkToken);
    const waitMs = work.waitMs(person);
    if (waitMs > 0) await Bun.sleep(Math.min(longestDelayMs, waitMs));
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
      const member = memberOf(account, peer, { anchors: services.anchors, nowMs: now() });
      await certificates.load([member.fingerprint]);
      const waiting = await store.keyPackages.count(member.fingerprint, now());
      const operator = await offeredOperator(services);
      // A login takes its time: one whose client is gone by now must not put out the session that this client has begun since.
      connection.requireOpen();
      const number = await accountWatch.begin(account.id);
      work.forget(person);
      return { member, login: { id: request.id, ticket, number, waiting, operator } };
    } catch (error) {
      connection.requireOpen();
      answerFailure(error, request, { connection, tag: peer.tag, log });
      // Before anything is waited for: who doesn't read its answers has no more time than who says nothing.
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

function memberOf(
  account: Account,
  { certificate, tag, address }: Peer,
  { anchors, nowMs: sinceMs }: { anchors: readonly Certificate[]; nowMs: number },
): Member {
  const { fingerprint, person } = certificateRecord(certificate, "user");
  const { id, username, email } = account;
  const held = new HeldCertificate(certificate, anchors);
  return { account: id, username, email, person, fingerprint, certificate: held, tag, address, sinceMs };
}
