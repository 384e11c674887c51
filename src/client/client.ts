import type { Hex } from "../base/hex.ts";
import { ClientError } from "./clientError.ts";
import type { ClientOptions } from "./clientOptions.ts";
import { type Comparison, compare } from "./comparison.ts";
import { defaultTimeouts } from "./connection.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { Conversations } from "./conversations.ts";
import { Devices, type Self } from "./devices.ts";
import { Directory } from "./directory.ts";
import { GroupFollower } from "./groupFollower.ts";
import { KeyPackages } from "./keyPackages.ts";
import { type Member, membersOf } from "./member.ts";
import { openSelf } from "./openSelf.ts";
import type { Sent } from "./outbox.ts";
import { Receipts, type VerifiedReceipt } from "./receipts.ts";
import { Revocations } from "./revocations.ts";
import { Session } from "./session.ts";
import { Vault } from "./vault.ts";
import { disclose, history, type IndexRange, type RememberedMessage } from "./words.ts";

export type { ClientEvent } from "./clientEvents.ts";
export type { ClientOptions } from "./clientOptions.ts";
export type { Comparison } from "./comparison.ts";
export type { Member } from "./member.ts";
export type { Sent } from "./outbox.ts";
export type { VerifiedReceipt } from "./receipts.ts";
export { growingDelays, type ReconnectPolicy } from "./reconnection.ts";
export type { IndexRange, RememberedMessage } from "./words.ts";

export interface ConversationSummary {
  readonly conversation: Hex;
  readonly kind: "direct" | "group";
  /** The other one's name, or the title. */
  readonly name: string;
  readonly size: number;
  readonly folder: string;
  readonly closed: boolean;
  /** Another conversation with the same person counts now. */
  readonly replaced: boolean;
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
  /**
   * Gives up a conversation of two that can't go on because of what the server did or has lost, and begins another with the
   * same person. Its evidence stays, and what was not sent in it waits for `resend`.
   *
   * @returns the id of the new one
   * @throws {ClientError} `NOT_STOPPED` it can go on; as `openDirect`
   */
  fresh(conversation: Hex): Promise<Hex>;
  /** Messages that were not sent in earlier conversations with the other one of this conversation. */
  unsent(conversation: Hex): readonly string[];
  /** Sends them here. @returns for each, as `send` */
  resend(conversation: Hex): readonly Promise<Sent>[];
  /**
   * Many may be on their way; they stand in the order of the calls. While a lost connection is brought back they wait; when
   * none comes they reject, and the words are sent after the next login all the same.
   */
  send(conversation: Hex, text: string): Promise<Sent>;
  /**
   * Leaves with all own devices, after what waits to be sent. A conversation of two is over then, for both; receipts over it
   * can still be made.
   *
   * @returns where the `leave` stands
   * @throws {ClientError} `CONVERSATION_CLOSED` somebody was faster
   */
  leave(conversation: Hex): Promise<Sent>;
  receipt(conversation: Hex): Promise<VerifiedReceipt>;
  /** @param file a new file to write instead of the folder's `disclosure.json` */
  disclose(
    conversation: Hex,
    ranges: readonly IndexRange[] | "all",
    file?: string,
  ): Promise<{ file: string; indexes: readonly number[] }>;
  conversations(): readonly ConversationSummary[];
  members(conversation: Hex): readonly Member[];
  /** What to compare with another member over another channel. @param size of the prefix; by default all that is durable */
  comparison(conversation: Hex, size?: number): Comparison;
  history(conversation: Hex, count?: number): readonly RememberedMessage[];
  /** The user wants to end: a lost connection is brought back at once, or within a limited time not at all. */
  hurry(): void;
  /** As `hurry`; waits for what is on its way, makes receipts, closes everything. @throws {ClientError} `NOT_COUNTERSIGNED`, after closing */
  quit(): Promise<void>;
  /** Closes everything at once, without receipts; what was not sent waits in the vault. Harmless after `quit`. */
  close(): void;
}

/**
 * Opens the vault and gets ready; nothing is sent.
 *
 * @throws {ClientError} `CERTIFICATE_REFUSED`, `CRL_REFUSED`, `VAULT_IN_USE`, `VAULT_WRONG_KEY`, `VAULT_UNUSABLE`
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

/** How often it is looked whether a fresh path is due. */
const maintenanceMs = 60 * 1000;

class RunningClient implements Client {
  readonly username: string;
  readonly email: string;
  readonly #context: ConversationContext;
  readonly #session: Session;
  readonly #receipts: Receipts;
  readonly #conversations: Conversations;
  readonly #timer: ReturnType<typeof setInterval>;
  #isClosed = false;

  constructor(options: ClientOptions, self: Self, vault: Vault) {
    const { host, port, anchors, now, random, history: keepHistory, transcriptsFolder, onEvent } = options;
    this.username = self.username;
    this.email = self.email;
    const revocations = new Revocations({ anchors, vault, onEvent });
    revocations.trust(self.verified);
    if (options.crl !== undefined) revocations.takeFile(options.crl);
    const directory = new Directory({ anchors, revocations, vault, now, onEvent });
    const devices = new Devices({ vault, self, random });
    const keyPackages = new KeyPackages({ vault, devices, random, now });
    const groups = new GroupFollower({ own: self.certificate.fingerprint, directory, random });
    const { timeouts = defaultTimeouts, reconnect } = options;
    this.#session = new Session(
      { host, port, self, directory, revocations, keyPackages, random, now, timeouts, reconnect, onEvent },
      {
        entered: (connection) => this.#conversations.connected(connection),
        pushed: (push) => this.#conversations.push(push),
        revocationsChanged: () => this.#conversations.revocationsChanged(),
        interrupted: () => this.#conversations.interrupted(),
        left: (reason) => this.#conversations.disconnected(reason),
      },
    );
    const common = { self, vault, directory, revocations, devices, keyPackages, groups };
    this.#context = {
      ...common,
      ...{ transcriptsFolder, keepHistory, random, now, onEvent },
      connection: () => this.#session.require(),
      connectionIfOpen: () => (this.#conversations.isReturning ? undefined : this.#session.connection),
      isMending: () => this.#session.isMending || this.#conversations.isReturning,
      reconnect,
    };
    this.#receipts = new Receipts(this.#context);
    this.#conversations = new Conversations(this.#context, {
      receipts: this.#receipts,
      acknowledgeEveryMs: options.acknowledgeEveryMs,
      onKeyPackageUsed: () => this.#session.topUp(),
    });
    this.#timer = setInterval(() => {
      this.#conversations.maintain();
      revocations.warnIfStale(now());
    }, maintenanceMs);
    this.#timer.unref();
  }

  async connect(): Promise<void> {
    this.#requireOpen();
    await this.#session.connect();
  }

  async register({ email, username, password }: { email: string; username: string; password: string }) {
    await this.#session.enter({ type: "register", email, username, password });
  }

  async login({ email, password }: { email: string; password: string }): Promise<void> {
    await this.#session.enter({ type: "login", email, password });
  }

  async openDirect(username: string): Promise<Hex> {
    this.#requireOpen();
    return this.#conversations.direct.open(username);
  }

  async fresh(conversation: Hex): Promise<Hex> {
    this.#requireOpen();
    return this.#conversations.direct.fresh(conversation);
  }

  unsent(conversation: Hex): readonly string[] {
    this.#requireOpen();
    return this.#conversations.direct.unsent(this.#conversations.find(conversation));
  }

  resend(conversation: Hex): readonly Promise<Sent>[] {
    this.#requireOpen();
    return this.#conversations.direct.resend(this.#conversations.find(conversation));
  }

  async send(conversation: Hex, text: string): Promise<Sent> {
    this.#requireOpen();
    // Without an await where there is nothing to wait for: calls keep their order.
    const ready =
      this.#conversations.loadedWithLog(conversation) ?? (await this.#conversations.ready(conversation));
    return ready.send(text);
  }

  async leave(conversation: Hex): Promise<Sent> {
    this.#requireOpen();
    const ready =
      this.#conversations.loadedWithLog(conversation) ?? (await this.#conversations.ready(conversation));
    return ready.leave();
  }

  async receipt(conversation: Hex): Promise<VerifiedReceipt> {
    this.#requireOpen();
    return this.#receipts.make(await this.#conversations.ready(conversation));
  }

  async disclose(conversation: Hex, ranges: readonly IndexRange[] | "all", file?: string) {
    this.#requireOpen();
    return disclose(this.#context, await this.#conversations.ready(conversation), { ranges, file });
  }

  conversations(): readonly ConversationSummary[] {
    this.#requireOpen();
    return [...this.#conversations.records()].flatMap(
      ([conversation, { kind, name, size, folder, closed }]) =>
        size === 0
          ? []
          : [
              {
                ...{ conversation, kind, name, size, folder, closed },
                replaced: this.#conversations.isReplaced(conversation),
              },
            ],
    );
  }

  members(conversation: Hex): readonly Member[] {
    this.#requireOpen();
    const { deliveries } = this.#conversations;
    return membersOf(this.#conversations.find(conversation), {
      own: this.#context.self.certificate.fingerprint,
      deliveries,
    });
  }

  comparison(conversation: Hex, size?: number): Comparison {
    this.#requireOpen();
    return compare(this.#conversations.find(conversation), size);
  }

  history(conversation: Hex, count?: number): readonly RememberedMessage[] {
    this.#requireOpen();
    return history(this.#context, this.#conversations.find(conversation), count);
  }

  hurry(): void {
    this.#conversations.hurry();
    void this.#session.hurry();
  }

  async quit(): Promise<void> {
    if (this.#isClosed) return;
    this.#conversations.hurry();
    await this.#session.hurry();
    const failures: unknown[] = [];
    const receipts = [...this.#conversations.awake].map(async (conversation) => {
      const { standing, state } = conversation;
      if (state === undefined || standing.isStopped) return;
      const { size, receipt_size, receipt_complete } = standing.record;
      const isDone = receipt_complete && receipt_size === size;
      if (isDone && this.#session.connection === undefined) return;
      try {
        await this.#receipts.make(conversation).catch(async (error: unknown) => {
          if (!this.#session.isMending) throw error;
          await this.#session.hurry();
          await this.#receipts.make(conversation);
        });
      } catch (error) {
        failures.push(error);
      }
    });
    await Promise.all(receipts);
    await this.#session.published();
    this.close();
    const [first] = failures;
    if (first !== undefined) throw first;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#conversations.closeAll();
    this.#session.close();
    this.#context.vault.close();
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new ClientError("NOT_CONNECTED", "the client was closed");
  }
}
