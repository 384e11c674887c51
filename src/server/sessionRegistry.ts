import type { Hex } from "../base/hex.ts";
import { ChannelError } from "../channel/channelError.ts";
import type { ServerMessage } from "../wire/sessionMessages.ts";
import type { HeldCertificate } from "./heldCertificate.ts";

/** An authenticated client. */
export interface Member {
  /** `undefined`: the server's operator, who has none. */
  readonly account: number | undefined;
  readonly username: string;
  /** Empty for the operator. */
  readonly email: string;
  /** How the store names the person. */
  readonly person: Hex;
  readonly certificate: Pick<HeldCertificate, "verified">;
  readonly fingerprint: Hex;
  /** `[SESSION-001]` */
  readonly tag: string;
  /** IP address and port of the client, for people; empty for the operator. */
  readonly address: string;
  /** When it logged in, ms since the epoch. */
  readonly sinceMs: number;
}

/** The connection of an authenticated client, as far as others use it. */
export interface Session {
  readonly member: Member;
  /** Among the sessions of its account: the highest is the newest. */
  readonly number: number;
  /** What its client can come back with; `undefined` for the operator, who has no account. */
  readonly ticket:
    | {
        /** By which the store knows it. */
        readonly hash: Hex;
        /** The last ending before the session: later ones of its account are about it. */
        readonly lastEnding: number;
      }
    | undefined;
  send(message: ServerMessage): void;
  /** The JSON text of a `ServerMessage` that goes to several. */
  sendEncoded(message: Uint8Array): void;
  /** Ends the session; its owner tells the client why. */
  end(reason: ChannelError): void;
}

/** Who is online here. An account, or the operator, has one session: a newer one takes its place. */
export class SessionRegistry {
  readonly #byAccount = new Map<Member["account"], Session>();
  /** Nearly everybody has one: a set for each would cost more than the session's other entries. */
  readonly #byPerson = new Map<Hex, Session | Set<Session>>();

  /** How many clients have logged in; the operator is none. */
  get size(): number {
    return this.#byAccount.size - (this.#byAccount.has(undefined) ? 1 : 0);
  }

  /** Whether nobody is online, not even the operator. */
  get isEmpty(): boolean {
    return this.#byAccount.size === 0;
  }

  /** @throws {ChannelError} `REPLACED`: the account has a newer session here */
  add(session: Session): void {
    const { account, person } = session.member;
    const earlier = this.#byAccount.get(account);
    if (earlier !== undefined) {
      if (earlier.number > session.number) throw replaced();
      this.remove(earlier);
      earlier.end(replaced());
    }
    this.#byAccount.set(account, session);
    const sessions = this.#byPerson.get(person);
    if (sessions instanceof Set) sessions.add(session);
    else this.#byPerson.set(person, sessions === undefined ? session : new Set([sessions, session]));
  }

  remove(session: Session): void {
    const { account, person } = session.member;
    if (this.#byAccount.get(account) === session) this.#byAccount.delete(account);
    const sessions = this.#byPerson.get(person);
    if (sessions instanceof Set) sessions.delete(session);
    if (sessions === session || (sessions instanceof Set && sessions.size === 0))
      this.#byPerson.delete(person);
  }

  /** @returns whether the person is online */
  has(person: Hex): boolean {
    return this.#byPerson.has(person);
  }

  of(person: Hex): Iterable<Session> {
    const sessions = this.#byPerson.get(person);
    if (sessions === undefined) return [];
    return sessions instanceof Set ? sessions : [sessions];
  }

  ofAccount(account: number): Session | undefined {
    return this.#byAccount.get(account);
  }

  all(): Iterable<Session> {
    return this.#byAccount.values();
  }

  /** The persons who are online. */
  persons(): Iterable<Hex> {
    return this.#byPerson.keys();
  }
}

/** @returns why a session ends whose account has begun another */
export function replaced(): ChannelError {
  return new ChannelError("REPLACED", "another connection with this account took over");
}
