import { visible } from "../base/visible.ts";
import type { OfferedOperator } from "../wire/operatorMessages.ts";
import { ClientError } from "./clientError.ts";
import { clockWarning } from "./clockDifference.ts";
import { type AnswerTo, Connection, type EntryRequest, type Push } from "./connection.ts";
import { primaryServerName } from "./directory.ts";
import { type PackagesWaiting, waitingOf } from "./keyPackages.ts";
import { Reconnection } from "./reconnection.ts";
import { isServerTrouble } from "./serverRest.ts";
import type { SessionOptions } from "./sessionOptions.ts";
import type { SessionUser } from "./sessionUser.ts";
import { takeCrl } from "./takeCrl.ts";

/** At most one connection to the server, from dialling to its end, and what it takes to be on it: account, key packages, CRL. */
export class Session {
  readonly #options: SessionOptions;
  readonly #user: SessionUser;
  #connection: Connection | undefined;
  /** Why the last connection ended. */
  #lost: ClientError | undefined;
  #isAuthenticated = false;
  #operator: OfferedOperator | undefined;
  #isClosed = false;
  /** Whether it was told that there is no connection and none will come, and nothing has changed since. */
  #isClosedTold = false;
  /** What a lost connection takes to come back, and no password: from the first login to `close`, in memory alone. */
  #ticket: Uint8Array | undefined;
  readonly #reconnection: Reconnection | undefined;
  /** A connection was lost with a login on its way: the server may see to that after a later one, and take it for another client. */
  #hasStrayLogin = false;
  #publishing: Promise<void> = Promise.resolve();
  /** A connection on which nobody has logged in is given up for one to another node: nothing is lost. */
  #isMovingOn = false;

  constructor(options: SessionOptions, user: SessionUser) {
    this.#options = options;
    this.#user = user;
    const { reconnect: policy, onEvent } = options;
    this.#reconnection =
      policy &&
      new Reconnection({
        policy,
        attempt: () => this.#reenter(),
        onGivenUp: (reason) => this.#leave(reason),
        onEvent,
      });
  }

  /** Whether there is no connection and one may come by itself. */
  get isMending(): boolean {
    return this.#reconnection?.isRunning === true;
  }

  /** The client is about to end. @returns when there is a connection, or no hope of one */
  async hurry(): Promise<void> {
    await this.#reconnection?.hurry();
  }

  /** The connection once the account is known. */
  get connection(): Connection | undefined {
    return this.#isAuthenticated ? this.#connection : undefined;
  }

  /** @throws {ClientError} `NOT_CONNECTED` */
  require(): Connection {
    if (this.connection !== undefined) return this.connection;
    throw new ClientError("NOT_CONNECTED", "there is no connection to the server");
  }

  /** The server's operator, if the newest login has offered one who is under the certificate of that connection. Without a
   *  connection its conversation can be opened as any other that there is. */
  get operator(): OfferedOperator | undefined {
    return this.#operator;
  }

  /** @param anew whether a connection on which nobody has logged in gives way to another @throws {ClientError} as `Route.open` */
  async connect(anew = false): Promise<void> {
    const { route, timeouts, onEvent } = this.#options;
    if (this.#connection?.isOpen) {
      if (!anew || this.#isAuthenticated) return;
      this.#giveUp(this.#connection, new ClientError("CONNECTION_LOST", "another takes its place"));
    }
    // Of later connections it is told when they stand.
    const opened = await route.open((step) => this.isMending || onEvent({ event: "progress", step }));
    const connection = new Connection(opened, {
      timeouts,
      onPush: (push) => this.#take(push),
      onClose: (reason) => this.#ended(reason),
    });
    if (this.#isClosed) return connection.close(new ClientError("CONNECTION_LOST", "closed"));
    this.#connection = connection;
    this.#isAuthenticated = !route.needsLogin;
    this.#isClosedTold = false;
    const { fingerprint } = connection.server.certificate;
    onEvent({ event: "connected", server: primaryServerName(connection.server), fingerprint });
  }

  /** Of the server's operator, whom it knows without a login: comes in as `enter` does. */
  async attach(): Promise<void> {
    await this.connect();
    const connection = this.require();
    const { username } = this.#options.self;
    const { fingerprint } = connection.server.certificate;
    await this.#settleIn(connection, undefined, () =>
      this.#options.onEvent({ event: "attached", username, fingerprint }),
    );
  }

  /** Registers or logs in, fills up the key packages, and lets the user catch up. */
  async enter(request: EntryRequest): Promise<void> {
    const { connection, answer } = await this.#logIn(request);
    const { username, email } = answer;
    const registered = request.type === "register";
    // Told when others can begin a conversation, which takes key packages.
    await this.#settleIn(connection, waitingOf(answer), () =>
      this.#options.onEvent({ event: "authenticated", username, email, registered }),
    );
  }

  /** What a node can't do at the moment each of the others is asked for, once. */
  async #logIn(request: EntryRequest): Promise<{ connection: Connection; answer: AnswerTo<"login"> }> {
    const { route } = this.#options;
    for (let others = route.nodes - 1; ; others--) {
      const connection = this.#connection;
      // One may have ended since it was made.
      if (connection === undefined) throw this.#lost ?? new ClientError("NOT_CONNECTED", "connect first");
      try {
        return { connection, answer: await this.#authenticate(connection, request) };
      } catch (error) {
        if (others === 0 || !isServerTrouble(error) || this.#connection !== connection) throw error;
        route.moveOn();
        this.#giveUp(connection, error);
        await this.connect();
      }
    }
  }

  #giveUp(connection: Connection, reason: ClientError): void {
    this.#connection = undefined;
    this.#isMovingOn = true;
    connection.close(reason);
    this.#isMovingOn = false;
  }

  async #authenticate(connection: Connection, request: EntryRequest): Promise<AnswerTo<"login">> {
    const answer = await connection.request<typeof request.type>(request).catch((error: unknown) => {
      if (!(error instanceof ClientError && error.code === "REFUSED")) this.#hasStrayLogin = true;
      throw error;
    });
    const { username, email } = this.#options.self;
    if (answer.username !== username || answer.email !== email)
      throw new ClientError("SERVER_MISBEHAVED", `the server logged in ${visible(answer.username)} instead`);
    if (!this.#isClosed) this.#ticket = answer.ticket;
    if (this.#connection === connection) this.#isAuthenticated = true;
    // Under another certificate, the server was renewed since the handshake: the next connection will show it.
    const { operator } = answer;
    const { server } = connection;
    const isItsOwn =
      operator?.fingerprint === server.certificate.fingerprint && operator.name === primaryServerName(server);
    this.#operator = isItsOwn ? operator : undefined;
    const message = clockWarning(answer.time, this.#options.now());
    if (message !== undefined) this.#options.onEvent({ event: "warning", code: "CLOCK", message });
    return answer;
  }

  async #resume(connection: Connection): Promise<AnswerTo<"login">> {
    const ticket = this.#ticket;
    if (ticket === undefined) throw new ClientError("CONNECTION_LOST", "the connection was lost again");
    try {
      return await this.#authenticate(connection, { type: "resume", ticket });
    } catch (error) {
      if (!(error instanceof ClientError && error.refusal === "TICKET_REFUSED")) throw error;
      const { email } = this.#options.self;
      const password = await this.#options.password();
      if (password === undefined) throw error;
      return await this.#authenticate(connection, { type: "login", email, password });
    }
  }

  /** Fills up the key packages and lets the user catch up. @param onReachable called between the two */
  async #settleIn(
    connection: Connection,
    waiting: PackagesWaiting | undefined,
    onReachable: () => void = () => {},
  ): Promise<void> {
    const { now, revocations, keyPackages } = this.#options;
    await keyPackages.topUp(connection, waiting);
    onReachable();
    // The server's list has come with the login; only now it is known how old the newest is.
    revocations.warnIfStale(now());
    await this.#user.entered(connection);
    if (this.#connection === connection) this.#reconnection?.proved();
  }

  /** One attempt to bring a lost connection back. What comes after the login is no part of it. */
  async #reenter(): Promise<void> {
    await this.connect();
    const connection = this.#connection;
    if (connection === undefined) throw new ClientError("CONNECTION_LOST", "the connection was lost again");
    try {
      const waiting = this.#options.route.needsLogin ? waitingOf(await this.#resume(connection)) : undefined;
      if (this.connection === undefined || !this.isMending)
        throw new ClientError("CONNECTION_LOST", "the connection was lost again");
      this.#reconnection?.succeeded();
      this.#options.onEvent({ event: "connection", state: "back" });
      this.#settleIn(connection, waiting).catch((error: unknown) => this.#unsettled(connection, error));
    } catch (error) {
      if (isServerTrouble(error)) this.#options.route.moveOn();
      connection.close(new ClientError("CONNECTION_LOST", "the login failed"));
      throw error;
    }
  }

  /** Whether a lost connection can come back without anybody's doing. */
  get #canReenter(): boolean {
    return this.#ticket !== undefined || !this.#options.route.needsLogin;
  }

  /** Catching up failed as a whole: perhaps the next connection is better. */
  #unsettled(connection: Connection, error: unknown): void {
    if (this.#isClosed || !connection.isOpen) return;
    const message = error instanceof Error ? error.message : "";
    connection.close(
      error instanceof ClientError ? error : new ClientError("SERVER_MISBEHAVED", message, { cause: error }),
    );
  }

  /** The server has said so for a while that it can't do anything: another node may. Where there is none it is waited for. */
  moveOn({ message }: ClientError): void {
    const { connection } = this;
    if (connection !== undefined && this.#reconnection !== undefined && this.#options.route.moveOn())
      connection.close(new ClientError("CONNECTION_LOST", `${message}; another node may be able to`));
  }

  /** A key package was used: another takes its place on the server. */
  topUp(): void {
    this.#publishing = this.#publishing
      .then(async () => {
        await this.#options.keyPackages.topUp(this.require());
      })
      // The next login makes up for it.
      .catch(() => undefined);
  }

  /** Resolves when nothing is being published any more. */
  published(): Promise<void> {
    return this.#publishing;
  }

  /** Ends the connection, if there is one, and tells that it is closed. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ticket = undefined;
    this.#reconnection?.stop();
    const reason = new ClientError("CONNECTION_LOST", "closed");
    if (this.#connection?.isOpen) this.#connection.close(reason);
    else this.#tellClosed("QUIT", "closed");
  }

  #take(push: Push): void {
    if (this.#isClosed) return;
    if (push.type === "crl")
      takeCrl(push.crl, this.#options, {
        connection: () => this.#connection,
        onServerStands: () => this.#user.revocationsChanged(),
      });
    else this.#user.pushed(push);
  }

  #ended(reason: ClientError): void {
    if (this.#isMovingOn) return;
    const wasIn = this.#isAuthenticated;
    if (reason.code === "REPLACED" && this.#hasStrayLogin) {
      // It was the client itself, and that once only: two clients must not take turns for ever.
      this.#hasStrayLogin = false;
      this.#ended(new ClientError("CONNECTION_LOST", "an earlier login came late", { cause: reason }));
      return;
    }
    this.#connection = undefined;
    this.#lost = reason;
    this.#isAuthenticated = false;
    if (this.#isClosed) this.#tellClosed("QUIT", reason.message);
    // An attempt to bring it back sees for itself that it failed; something may have been posted already.
    else if (this.isMending) {
      if (wasIn) this.#user.interrupted();
    } else if (wasIn && this.#canReenter && this.#reconnection?.start(reason)) this.#user.interrupted();
    else this.#leave(reason);
  }

  #leave(reason: ClientError): void {
    this.#user.left(reason);
    this.#tellClosed(reason.code, reason.message);
  }

  #tellClosed(code: string, message: string): void {
    if (!this.#isClosedTold) this.#options.onEvent({ event: "closed", code, message });
    this.#isClosedTold = true;
  }
}
