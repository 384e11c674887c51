import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import type { PrivateKey } from "../crypto/crypto.ts";
import type { Certificate } from "../pki/certificate.ts";
import { ClientError } from "./clientError.ts";
import type { ClientEvent, OnEvent } from "./clientEvents.ts";
import { Connection, type Push } from "./connection.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { Conversations } from "./conversations.ts";
import { Devices, type Self } from "./devices.ts";
import { Directory, primaryServerName } from "./directory.ts";
import { GroupFollower } from "./groupFollower.ts";
import { KeyPackages } from "./keyPackages.ts";
import { openSelf } from "./openSelf.ts";
import type { Sent } from "./outbox.ts";
import { Receipts, type VerifiedReceipt } from "./receipts.ts";
import { Revocations } from "./revocations.ts";
import { Vault } from "./vault.ts";
import { disclose, history, type IndexRange, type RememberedMessage } from "./words.ts";

export type { ClientEvent } from "./clientEvents.ts";
export type { Sent } from "./outbox.ts";
export type { VerifiedReceipt } from "./receipts.ts";
export type { IndexRange, RememberedMessage } from "./words.ts";

export interface ClientOptions {
  readonly host: string;
  readonly port: number;
  /** The own certificate, then its intermediates, DER. */
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
  readonly anchors: readonly Certificate[];
  /** A CRL, DER; the server gives newer ones. */
  readonly crl?: Uint8Array;
  readonly vaultFile: string;
  readonly transcriptsFolder: string;
  /** Whether words and openings are kept. Without them nothing can be shown again or disclosed. */
  readonly history: boolean;
  readonly random: (length: number) => Uint8Array;
  readonly now: () => number;
  readonly onEvent: OnEvent;
}

export interface ConversationSummary {
  readonly conversation: Hex;
  readonly kind: "direct" | "group";
  /** The other one's name, or the title. */
  readonly name: string;
  readonly size: number;
  readonly folder: string;
  readonly closed: boolean;
}

export interface Member {
  readonly username: string;
  readonly email: string;
  readonly fingerprint: Hex;
  readonly isOwn: boolean;
  readonly left: boolean;
}

/** One person's client: a vault, the conversations in it, and at most one connection. */
export interface Client {
  readonly username: string;
  readonly email: string;
  /** Dials the server and agrees on keys; `progress` and `connected` tell of it. */
  connect(): Promise<void>;
  /** Makes an account for the own certificate, then goes on as `login`. */
  register(account: { email: string; username: string; password: string }): Promise<void>;
  /** Logs in, then catches up with every conversation. What comes is told by events. */
  login(account: { email: string; password: string }): Promise<void>;
  /** @returns the id of the conversation with that person, begun if there was none */
  openDirect(username: string): Promise<Hex>;
  /** Many may be on their way; they stand in the order of the calls. */
  send(conversation: Hex, text: string): Promise<Sent>;
  receipt(conversation: Hex): Promise<VerifiedReceipt>;
  /** @param file a new file to write instead of the folder's `disclosure.json` */
  disclose(
    conversation: Hex,
    ranges: readonly IndexRange[] | "all",
    file?: string,
  ): Promise<{ file: string; indexes: readonly number[] }>;
  conversations(): readonly ConversationSummary[];
  members(conversation: Hex): readonly Member[];
  history(conversation: Hex, count?: number): readonly RememberedMessage[];
  /** Waits for what is on its way, makes receipts, closes everything. @throws {ClientError} `NOT_COUNTERSIGNED`, after closing */
  quit(): Promise<void>;
  /** Closes everything at once, without receipts; what was not sent waits in the vault. Harmless after `quit`. */
  close(): void;
}

/**
 * Opens the vault and gets ready; nothing is sent.
 *
 * @throws {ClientError} `CERTIFICATE_REFUSED`, `VAULT_IN_USE`, `VAULT_WRONG_KEY`, `VAULT_UNUSABLE`
 */
export async function openClient(options: ClientOptions): Promise<Client> {
  const self = openSelf(options);
  const vault = Vault.open({ file: options.vaultFile, key: options.key, random: options.random });
  try {
    return new RunningClient(options, self, vault);
  } catch (error) {
    vault.close();
    throw error;
  }
}

/** How far the server's clock may be from the own one before it is told. */
const clockWarningMs = 2 * 60 * 1000;
/** How often it is looked whether a fresh path is due. */
const maintenanceMs = 60 * 1000;

class RunningClient implements Client {
  readonly username: string;
  readonly email: string;
  readonly #options: ClientOptions;
  readonly #self: Self;
  readonly #vault: Vault;
  readonly #directory: Directory;
  readonly #revocations: Revocations;
  readonly #keyPackages: KeyPackages;
  readonly #receipts: Receipts;
  readonly #conversations: Conversations;
  readonly #words: ConversationContext;
  readonly #timer: ReturnType<typeof setInterval>;
  #connection: Connection | undefined;
  #isAuthenticated = false;
  #isClosed = false;
  #publishing: Promise<void> = Promise.resolve();

  constructor(options: ClientOptions, self: Self, vault: Vault) {
    const { anchors, now, random, history: keepHistory, transcriptsFolder } = options;
    this.#options = options;
    this.#self = self;
    this.username = self.username;
    this.email = self.email;
    this.#vault = vault;
    const onEvent = (event: ClientEvent) => options.onEvent(event);
    this.#revocations = new Revocations({ anchors, vault, onEvent });
    if (options.crl !== undefined) this.#revocations.take(options.crl);
    this.#directory = new Directory({ anchors, revocations: this.#revocations, vault, now, onEvent });
    const devices = new Devices({ vault, self, random });
    this.#keyPackages = new KeyPackages({ vault, devices, random, now });
    const groups = new GroupFollower({ own: self.certificate.fingerprint, directory: this.#directory, random });
    const context: ConversationContext = {
      self,
      vault,
      directory: this.#directory,
      revocations: this.#revocations,
      devices,
      keyPackages: this.#keyPackages,
      groups,
      transcriptsFolder,
      keepHistory,
      random,
      now,
      onEvent,
      connection: () => this.#authenticated(),
      connectionIfOpen: () => (this.#isAuthenticated ? this.#connection : undefined),
    };
    this.#receipts = new Receipts(context);
    this.#conversations = new Conversations(context, {
      receipts: this.#receipts,
      onKeyPackageUsed: () => this.#topUp(),
    });
    this.#words = context;
    this.#timer = setInterval(() => this.#conversations.maintain(), maintenanceMs);
    this.#timer.unref();
  }

  async connect(): Promise<void> {
    const { host, port, chain, key, random, onEvent } = this.#options;
    if (this.#isClosed) throw new ClientError("NOT_CONNECTED", "the client was closed");
    if (this.#connection?.isOpen) return;
    const connection = await Connection.open({
      host,
      port,
      chain,
      key,
      random,
      verifyServer: (serverChain) => this.#directory.verifyServer(serverChain, host),
      onStep: (step) => onEvent({ event: "progress", step }),
      onPush: (push) => this.#take(push),
      onClose: (reason) => this.#disconnected(connection, reason),
    });
    this.#connection = connection;
    const { fingerprint } = connection.server.certificate;
    onEvent({ event: "connected", server: primaryServerName(connection.server), fingerprint });
  }

  async register(account: { email: string; username: string; password: string }): Promise<void> {
    const { email, username, password } = account;
    await this.#enter({ type: "register", email, username, password });
  }

  async login({ email, password }: { email: string; password: string }): Promise<void> {
    await this.#enter({ type: "login", email, password });
  }

  openDirect(username: string): Promise<Hex> {
    return this.#conversations.openDirect(username);
  }

  async send(conversation: Hex, text: string): Promise<Sent> {
    const ready = this.#conversations.loadedWithLog(conversation) ?? (await this.#conversations.ready(conversation));
    return ready.send(text);
  }

  async receipt(conversation: Hex): Promise<VerifiedReceipt> {
    return this.#receipts.make(await this.#conversations.ready(conversation));
  }

  async disclose(conversation: Hex, ranges: readonly IndexRange[] | "all", file?: string) {
    return disclose(this.#words, await this.#conversations.ready(conversation), { ranges, file });
  }

  conversations(): readonly ConversationSummary[] {
    return [...this.#conversations.records()].flatMap(([conversation, { kind, name, size, folder, closed }]) =>
      size === 0 ? [] : [{ conversation, kind, name, size, folder, closed }],
    );
  }

  members(conversation: Hex): readonly Member[] {
    const { state } = this.#conversations.find(conversation);
    return (state?.roster ?? []).map(({ username, email, fingerprint }) => ({
      username,
      email,
      fingerprint,
      isOwn: fingerprint === this.#self.certificate.fingerprint,
      left: state?.senders.get(fingerprint)?.left === true,
    }));
  }

  history(conversation: Hex, count?: number): readonly RememberedMessage[] {
    return history(this.#words, this.#conversations.find(conversation), count);
  }

  async quit(): Promise<void> {
    const failures: unknown[] = [];
    const receipts = [...this.#conversations.loaded].map(async (conversation) => {
      const { standing, state } = conversation;
      if (state === undefined || standing.isStopped) return;
      const { size, receipt_size, receipt_complete } = standing.record;
      if (!this.#isAuthenticated && receipt_complete && receipt_size === size) return;
      try {
        await this.#receipts.make(conversation);
      } catch (error) {
        failures.push(error);
      }
    });
    await Promise.all(receipts);
    await this.#publishing;
    this.close();
    const [first] = failures;
    if (first !== undefined) throw first;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#isAuthenticated = false;
    this.#conversations.closeAll();
    const reason = new ClientError("CONNECTION_LOST", "closed");
    if (this.#connection?.isOpen) this.#connection.close(reason);
    else this.#options.onEvent({ event: "closed", code: "QUIT", message: "closed" });
    this.#vault.close();
  }

  async #enter(
    request:
      | { type: "register"; email: string; username: string; password: string }
      | { type: "login"; email: string; password: string },
  ): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) throw new ClientError("NOT_CONNECTED", "connect first");
    const answer =
      request.type === "register" ? await connection.request(request) : await connection.request(request);
    const { username, email } = this.#self;
    if (answer.username !== username || answer.email !== email)
      throw new ClientError("SERVER_MISBEHAVED", `the server logged in ${visible(answer.username)} instead`);
    this.#isAuthenticated = true;
    const { onEvent, now } = this.#options;
    onEvent({ event: "authenticated", username, email, registered: request.type === "register" });
    const difference = Math.round((answer.time - now()) / 1000);
    if (Math.abs(difference) * 1000 > clockWarningMs)
      onEvent({
        event: "warning",
        code: "CLOCK",
        message: `the server's clock is ${Math.abs(difference)} s ${difference > 0 ? "ahead of" : "behind"} this one: at 300 s nothing is accepted`,
      });
    this.#revocations.warnIfStale(now());
    await this.#keyPackages.topUp(connection, {
      oneTime: answer.one_time_key_packages,
      lastResort: answer.last_resort_key_package,
    });
    await this.#conversations.connected(connection);
  }

  #authenticated(): Connection {
    if (!this.#isAuthenticated || this.#connection === undefined)
      throw new ClientError("NOT_CONNECTED", "there is no connection to the server");
    return this.#connection;
  }

  #take(push: Push): void {
    if (this.#isClosed) return;
    if (push.type !== "crl") {
      this.#conversations.push(push);
      return;
    }
    try {
      if (this.#revocations.take(push.crl)) this.#revoked();
    } catch (error) {
      this.#options.onEvent({
        event: "warning",
        code: "STALE_CRL",
        message: `the server's list of revoked certificates was refused: ${error instanceof Error ? error.message : ""}`,
      });
    }
  }

  /** A newer CRL: the server has to stand up to it, and what waits for members who don't is held back. */
  #revoked(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    try {
      this.#directory.verifyServer(connection.serverChain, this.#options.host);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : "";
      connection.close(
        new ClientError("SERVER_CERTIFICATE", `the server's certificate is refused: ${why}`, { cause }),
      );
      return;
    }
    this.#conversations.revocationsChanged();
  }

  #disconnected(connection: Connection | undefined, reason: ClientError): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#isAuthenticated = false;
    if (!this.#isClosed) this.#conversations.disconnected(reason);
    const code = this.#isClosed ? "QUIT" : reason.code;
    this.#options.onEvent({ event: "closed", code, message: reason.message });
  }

  /** A key package was used: others take its place on the server. */
  #topUp(): void {
    this.#publishing = this.#publishing
      .then(async () => {
        const connection = this.#authenticated();
        const counted = await connection.request({
          type: "publish_key_packages",
          packages: [],
          last_resort: null,
        });
        await this.#keyPackages.topUp(connection, {
          oneTime: counted.one_time,
          lastResort: counted.last_resort,
        });
      })
      // The next login makes up for it.
      .catch(() => undefined);
  }
}
