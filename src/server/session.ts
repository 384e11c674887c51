import { ChannelError } from "../channel/channelError.ts";
import type { LoginRequest } from "../wire/loginMessages.ts";
import type { Request, ServerMessage } from "../wire/sessionMessages.ts";
import { fetchBlob, putBlob } from "./blobs.ts";
import type { Connection } from "./connection.ts";
import type { ConversationLogs } from "./conversationLogs.ts";
import { describeError } from "./describeError.ts";
import { fetchCertificates, fetchEntries, listConversations } from "./directory.ts";
import type { EndingWatch } from "./endingWatch.ts";
import { fetchKeyPackages, fetchOperatorKeyPackage, publishKeyPackages } from "./keyPackages.ts";
import type { LoggedIn } from "./login.ts";
import type { Reader } from "./reader.ts";
import { fetchReceipt, signReceipt } from "./receipts.ts";
import { Refusal, refusalOf, tryLater } from "./refusal.ts";
import type { Relay } from "./relay.ts";
import { releasePair } from "./releasePair.ts";
import { answerFailure, encodeWellFormed } from "./requestFailure.ts";
import type { RequestReader } from "./requests.ts";
import type { Restoration } from "./restoration.ts";
import { returnEntries } from "./returnedEntries.ts";
import { bytesPerWorkToken } from "./serverLimits.ts";
import type { Services } from "./services.ts";
import type { Member, Session } from "./sessionRegistry.ts";
import { takeDeliveryMarks } from "./takeDeliveryMarks.ts";
import type { Tickets } from "./tickets.ts";
import { timed } from "./timed.ts";
import { nextTurn, TimeSlice, type WorkInProgress } from "./turns.ts";

export interface SessionServices extends Services {
  readonly logs: ConversationLogs;
  readonly relay: Relay;
  readonly restoration: Restoration;
  readonly tickets: Tickets;
  readonly endings: EndingWatch;
  readonly inProgress: WorkInProgress;
}

/** Who is over the rate is held up for so long, and told to come again later beyond it, ms. */
const longestDelayMs = 1_000;

/** What a session needs of the way to its client. */
export interface SessionConnection
  extends Pick<Connection, "send" | "sendEncoded" | "whenWritable" | "requireOpen" | "end"> {
  /** @returns the next message, `undefined` when there is none yet @throws {WireError} {ChannelError} what has ended it */
  tryReceive(): Uint8Array | undefined;
  /** Calls `reader` once, when `tryReceive` may have something to say again. To be called after it had nothing. */
  whenReadable(reader: Reader): void;
}

/** How a member has come in: with a login that is still to be answered, or as the operator, who needs none. */
export interface Entrance {
  readonly member: Member;
  readonly login: LoggedIn["login"] | undefined;
}

/** A member's requests, in the order in which they come. */
export class ClientSession implements Session, Reader {
  readonly member: Member;
  readonly ticket: Session["ticket"];
  readonly #connection: SessionConnection;
  readonly #requests: RequestReader;
  readonly #services: SessionServices;
  /** The operator has no account, and one session at each node. */
  readonly number: number;
  /** Until it is answered. */
  #login: LoggedIn["login"] | undefined;
  #hasAsked = false;
  #onEnd: ((error: unknown) => void) | undefined;
  #postsInFlight = 0;
  #postBytesInFlight = 0;
  #wake: (() => void) | undefined;

  /** @param entrance the operator needs no login */
  constructor(
    from: { readonly connection: SessionConnection; readonly requests: RequestReader },
    { member, login }: Entrance,
    services: SessionServices,
  ) {
    this.#connection = from.connection;
    this.#requests = from.requests;
    this.member = member;
    this.#login = login;
    const { hash, lastEnding } = login?.ticket ?? {};
    this.number = login?.number ?? 0;
    this.ticket = hash === undefined || lastEnding === undefined ? undefined : { hash, lastEnding };
    this.#services = services;
  }

  send(message: ServerMessage): void {
    this.#connection.send(message);
  }

  sendEncoded(message: Uint8Array): void {
    this.#connection.sendEncoded(message);
  }

  end(reason: ChannelError): void {
    this.#connection.end(reason);
  }

  /** Answers the login and then everything else until the connection ends. @throws what ended it */
  run(): Promise<never> {
    this.#welcome();
    return new Promise((_, reject) => {
      this.#onEnd = reject;
      this.readable();
    });
  }

  readable(): void {
    this.#work().catch((error: unknown) => this.#onEnd?.(error));
  }

  /** Works on what is there. */
  async #work(): Promise<void> {
    const slice = new TimeSlice();
    for (;;) {
      const bytes = this.#connection.tryReceive();
      if (bytes === undefined) break;
      const request = this.#requests.read(bytes);
      // Whoever asks for something has the answer to the login.
      if (!this.#hasAsked) this.#ticketArrived();
      this.#hasAsked = true;
      this.#charge(1 + bytes.length / bytesPerWorkToken);
      if (!(await this.#mayGoOn(request))) continue;
      if (request.type === "post") await this.#post(request);
      else await this.#answer(request);
      await this.#connection.whenWritable();
      await slice.orNextTurn();
    }
    this.#connection.whenReadable(this);
  }

  #charge(tokens: number): void {
    this.#services.work.take(this.member.person, tokens);
  }

  /** Holds the person to its rate. @returns false when the request was refused instead */
  async #mayGoOn(request: Request | LoginRequest): Promise<boolean> {
    const waitMs = this.#services.work.waitMs(this.member.person);
    if (waitMs > longestDelayMs) {
      const refusal = tryLater("too many requests", waitMs);
      if (request.type === "post") this.#services.meter.entry(refusal.code);
      else this.#services.meter.request(request.type, refusal.code, 0);
      this.#fail(refusal, request);
      await nextTurn();
      return false;
    }
    if (waitMs > 0) await Bun.sleep(waitMs);
    return true;
  }

  #welcome(): void {
    const login = this.#login;
    this.#login = undefined;
    const { now, revocation, sessions, endings } = this.#services;
    const { username, email } = this.member;
    // A CRL may have come since the handshake; from here on it finds this session.
    if (revocation.isRevoked(this.member.certificate.verified))
      throw new ChannelError("CERTIFICATE_REVOKED", "the certificate of this client is revoked");
    // Just so the operator's command.
    endings.requireNone(this);
    this.#connection.requireOpen();
    // From here on without a pause: nothing may be pushed before the answer.
    sessions.add(this);
    if (login !== undefined)
      this.send({
        type: "authenticated",
        id: login.id,
        username,
        email,
        time: now(),
        one_time_key_packages: login.waiting.oneTime,
        last_resort_key_package: login.waiting.lastResort,
        ticket: login.ticket.bytes,
        operator: login.operator ?? null,
      });
    for (const { der } of revocation.crls) this.send({ type: "crl", crl: der });
  }

  #ticketArrived(): void {
    const { tickets, log } = this.#services;
    const { account } = this.member;
    if (account === undefined || this.ticket === undefined) return;
    tickets.arrived(account, this.ticket.hash).catch((error: unknown) => {
      log("WARNING", `${this.member.tag} Earlier tickets could not be deleted: ${describeError(error)}`);
    });
  }

  /** Returns when the entry is queued: its answer comes later, so that many can be stored together. */
  async #post(request: Extract<Request, { type: "post" }>): Promise<void> {
    const { limits, relay } = this.#services;
    const bytes = request.line.length;
    while (
      this.#postsInFlight >= limits.postsInFlight ||
      (this.#postsInFlight > 0 && this.#postBytesInFlight + bytes > limits.postBytesInFlight)
    )
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    try {
      relay.post(request, this, () => this.#settled(bytes));
      this.#postsInFlight += 1;
      this.#postBytesInFlight += bytes;
      this.#services.inProgress.begin();
    } catch (error) {
      this.#services.meter.entry(refusalOf(error).code);
      this.#fail(error, request);
    }
  }

  #settled(bytes: number): void {
    this.#postsInFlight -= 1;
    this.#postBytesInFlight -= bytes;
    this.#services.inProgress.end();
    this.#wake?.();
    this.#wake = undefined;
  }

  async #answer(request: Exclude<Request | LoginRequest, { type: "post" }>): Promise<void> {
    const { meter, inProgress } = this.#services;
    inProgress.begin();
    try {
      const answer = await timed(
        () => this.#handle(request),
        (outcome, seconds) => meter.request(request.type, outcome, seconds),
      );
      const encoded = encodeWellFormed(answer);
      this.#charge(encoded.length / bytesPerWorkToken);
      this.sendEncoded(encoded);
    } catch (error) {
      this.#fail(error, request);
    } finally {
      inProgress.end();
    }
  }

  #handle(
    request: Exclude<Request | LoginRequest, { type: "post" }>,
  ): Promise<ServerMessage> | ServerMessage {
    const { member } = this;
    const services = this.#services;
    switch (request.type) {
      case "ping":
        return { type: "pong", id: request.id };
      case "publish_key_packages":
        return publishKeyPackages(request, member, services);
      case "fetch_key_packages":
        return fetchKeyPackages(request, member, services);
      case "fetch_operator_key_package":
        return fetchOperatorKeyPackage(request, member, services);
      case "fetch_certificates":
        return fetchCertificates(request, member, services);
      case "put_blob":
        return putBlob(request, member, services);
      case "fetch_blob":
        return fetchBlob(request, member, services);
      case "list_conversations":
        return listConversations(request, member, services);
      case "fetch_entries":
        return fetchEntries(request, member, services);
      case "sign_receipt":
        return signReceipt(request, this, services);
      case "fetch_receipt":
        return fetchReceipt(request, member, services);
      case "delivered":
        return takeDeliveryMarks(request, member, services);
      case "release_pair":
        return releasePair(request, member, services);
      case "return_entries":
        return returnEntries(request, this, services);
      case "logs_returned":
        return this.#logsReturned(request.id);
      case "register":
      case "login":
      case "change_password":
      case "renew":
      case "resume":
        throw new Refusal("UNEXPECTED", "this connection is logged in already");
    }
  }

  async #logsReturned(id: number): Promise<ServerMessage> {
    await this.#services.restoration.heard(this.member);
    return { type: "logs_noted", id };
  }

  #fail(error: unknown, request: { id: number; type: string }): void {
    const { log } = this.#services;
    answerFailure(error, request, { connection: this.#connection, tag: this.member.tag, log });
  }
}
