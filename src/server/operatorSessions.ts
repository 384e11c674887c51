import { visible } from "../base/visible.ts";
import { ChannelError } from "../channel/channelError.ts";
import type { MessageLink } from "../channel/messageLink.ts";
import { memberOf } from "../log/memberIdentity.ts";
import { WireError } from "../wire/wireError.ts";
import { describeError } from "./describeError.ts";
import { InnerConnection } from "./innerConnection.ts";
import { certificateRecord } from "./person.ts";
import { RequestReader } from "./requests.ts";
import { ClientSession, type SessionServices } from "./session.ts";
import type { Member } from "./sessionRegistry.ts";

const tag = "[OPERATOR]";

/**
 * The sessions of the server's operator: a member under the server's own certificate, in the server's own process. Nobody
 * can come in as the operator over the network: the certificate is none of a client, and there is no account.
 */
export class OperatorSessions {
  readonly #services: SessionServices;
  readonly #running = new Map<InnerConnection, Promise<void>>();

  constructor(services: SessionServices) {
    this.#services = services;
  }

  /** Begins a session under the certificate in use; it takes the place of an earlier one. */
  attach(): MessageLink {
    const connection = new InnerConnection();
    const running = this.#run(connection).finally(() => this.#running.delete(connection));
    this.#running.set(connection, running);
    return connection.link;
  }

  /** Ends all of them. */
  async stop(reason: ChannelError): Promise<void> {
    for (const connection of this.#running.keys()) connection.end(reason);
    await Promise.all(this.#running.values());
  }

  /** Never rejects. */
  async #run(connection: InnerConnection): Promise<void> {
    const { log, sessions, certificates } = this.#services;
    const entrance = { member: this.#member(), login: undefined };
    const session = new ClientSession(
      { connection, requests: new RequestReader() },
      entrance,
      this.#services,
    );
    log("INFO", `${tag} Operator attached: ${visible(session.member.username)}`);
    try {
      await certificates.load([session.member.fingerprint]);
      await session.run();
    } catch (error) {
      const expected =
        error instanceof WireError || (error instanceof ChannelError && error.code !== "INTERNAL");
      const why = expected ? visible(error.message) : describeError(error);
      log(expected ? "INFO" : "ERROR", `${tag} Operator detached: ${why}`);
      connection.finish(error);
    } finally {
      sessions.remove(session);
    }
  }

  #member(): Member {
    const { identity, now } = this.#services;
    const certificate = identity.verified;
    const { fingerprint, person } = certificateRecord(certificate, "server");
    const names = memberOf(certificate.certificate);
    return {
      account: undefined,
      ...names,
      person,
      fingerprint,
      certificate: { verified: certificate },
      tag,
      address: "",
      sinceMs: now(),
    };
  }
}
