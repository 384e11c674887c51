import { crypto } from "../../src/crypto/crypto.ts";
import { type Certificate, decodeCertificate } from "../../src/pki/certificate.ts";
import type { Issued } from "../pki/testAuthority.ts";
import { RawClient, RawSocket } from "../server/rawClient.ts";
import { newDevice, type Person } from "../server/testServer.ts";

/** Somebody who has an account. */
export interface Member {
  readonly username: string;
  readonly email: string;
  readonly password: string;
  readonly certificate: Certificate;
  readonly chain: readonly Uint8Array[];
  readonly key: Issued["key"];
}

interface AccessOptions {
  readonly port: number;
  readonly ca: Certificate;
  readonly certificate: Certificate;
  /** All members' certificates are over this key. */
  readonly pkcs8: Uint8Array;
  readonly members: readonly Member[];
}

/** A server that runs, as those who have an account there reach it. */
export class ServerAccess {
  readonly port: number;
  readonly authority: { readonly ca: Certificate };
  readonly identity: { readonly certificate: Certificate };
  readonly members: readonly Member[];
  readonly #pkcs8: Uint8Array;

  constructor({ port, ca, certificate, pkcs8, members }: AccessOptions) {
    this.port = port;
    this.authority = { ca };
    this.identity = { certificate };
    this.members = members;
    this.#pkcs8 = pkcs8;
  }

  /** What another process needs to come in as some of the members. */
  toJson(numbers: readonly number[]): string {
    const { port, authority, identity } = this;
    return JSON.stringify({
      port,
      ca: authority.ca.der.toBase64(),
      certificate: identity.certificate.der.toBase64(),
      pkcs8: this.#pkcs8.toBase64(),
      members: numbers.map((number) => {
        const { username, email, password, certificate } = this.member(number);
        return { username, email, password, der: certificate.der.toBase64() };
      }),
    });
  }

  static fromJson(text: string): ServerAccess {
    const access = JSON.parse(text) as Record<"ca" | "certificate" | "pkcs8", string> & {
      port: number;
      members: Record<"username" | "email" | "password" | "der", string>[];
    };
    const certificateOf = (der: string) => decodeCertificate(Uint8Array.fromBase64(der));
    const pkcs8 = Uint8Array.fromBase64(access.pkcs8);
    const key = crypto().importPrivateKey(pkcs8);
    return new ServerAccess({
      port: access.port,
      ca: certificateOf(access.ca),
      certificate: certificateOf(access.certificate),
      pkcs8,
      members: access.members.map(({ der, ...member }) => {
        const certificate = certificateOf(der);
        return { ...member, certificate, chain: [certificate.der], key };
      }),
    });
  }

  member(index: number): Member {
    const member = this.members[index];
    if (member === undefined) throw new Error(`there are ${this.members.length} accounts`);
    return member;
  }

  /** A member as the helpers for conversations know it, with a device. */
  person(index: number): Person {
    const member = this.member(index);
    const issued = { ...member, chain: [...member.chain], pkcs8: this.#pkcs8 };
    return { ...member, issued, device: newDevice(issued) };
  }

  /** @param from the address to connect from, in 127.0.0.0/8 */
  socket(from?: string): Promise<RawSocket> {
    return RawSocket.dial(this.port, from);
  }

  dial(member: Pick<Member, "chain" | "key">, from?: string): Promise<RawClient> {
    return RawClient.connect(this.port, member, { ca: this.authority.ca }, from);
  }

  async login(member: Member, from?: string): Promise<RawClient> {
    const client = await this.dial(member, from);
    const { email, password } = member;
    await client.expect("authenticated", { type: "login", email, password });
    return client;
  }
}
