import type { Hex } from "../base/hex.ts";
import { ChannelError } from "../channel/channelError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import type { ServerMessage } from "../wire/sessionMessages.ts";

/** An authenticated client. */
export interface Member {
  readonly account: number;
  readonly username: string;
  readonly email: string;
  /** How the store names the person. */
  readonly person: Hex;
  readonly certificate: VerifiedCertificate;
  readonly fingerprint: Hex;
  /** `[SESSION-001]` */
  readonly tag: string;
}

/** The connection of an authenticated client, as far as others use it. */
export interface Session {
  readonly member: Member;
  /** By which the store knows the ticket that its client has. */
  readonly ticketHash: Hex;
  /** The last ending before it: later ones of its account are about it. */
  readonly lastEnding: number;
  send(message: ServerMessage): void;
  /** The JSON text of a `ServerMessage` that goes to several. */
  sendEncoded(message: Uint8Array): void;
  /** Ends the session; its owner tells the client why. */
  end(reason: ChannelError): void;
}

/** Who is online. An account has one session: a second one takes its place. */
export class SessionRegistry {
  readonly #byAccount = new Map<number, Session>();
  readonly #byPerson = new Map<Hex, Set<Session>>();

  get size(): number {
    return this.#byAccount.size;
  }

  add(session: Session): void {
    const { account, person } = session.member;
    const earlier = this.#byAccount.get(account);
    if (earlier !== undefined) {
      this.remove(earlier);
      earlier.end(new ChannelError("REPLACED", "another connection with this account took over"));
    }
    this.#byAccount.set(account, session);
    const sessions = this.#byPerson.get(person);
    if (sessions === undefined) this.#byPerson.set(person, new Set([session]));
    else sessions.add(session);
  }

  remove(session: Session): void {
    const { account, person } = session.member;
    if (this.#byAccount.get(account) === session) this.#byAccount.delete(account);
    const sessions = this.#byPerson.get(person);
    sessions?.delete(session);
    if (sessions?.size === 0) this.#byPerson.delete(person);
  }

  ofAccount(account: number): Session | undefined {
    return this.#byAccount.get(account);
  }

  of(person: Hex): Iterable<Session> {
    return this.#byPerson.get(person) ?? [];
  }

  all(): Iterable<Session> {
    return this.#byAccount.values();
  }
}
