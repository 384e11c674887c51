import type { Hex } from "../base/hex.ts";
import type { OfferedOperator } from "../wire/operatorMessages.ts";
import { ClientError } from "./clientError.ts";
import type { ClientOptions, MemberOptions } from "./clientOptions.ts";
import { type Comparison, compare } from "./comparison.ts";
import { defaultTimeouts } from "./connection.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { ConversationSummary } from "./conversationSummary.ts";
import { Conversations } from "./conversations.ts";
import { Devices, type Self } from "./devices.ts";
import { Directory } from "./directory.ts";
import { GroupFollower } from "./groupFollower.ts";
import { KeyPackages } from "./keyPackages.ts";
import { type Login, loginRequest, mayHaveChanged } from "./loginRequest.ts";
import { type Member, membersOf } from "./member.ts";
import type { Client, OperatorClient } from "./memberClient.ts";
import type { Sent } from "./outbox.ts";
import { Receipts, type VerifiedReceipt } from "./receipts.ts";
import type { ReconnectPolicy } from "./reconnection.ts";
import { Revocations } from "./revocations.ts";
import type { Route } from "./route.ts";
import { Session } from "./session.ts";
import type { Vault } from "./vault.ts";
import { disclose, history, type IndexRange, type RememberedMessage } from "./words.ts";

/** How often it is looked whether a fresh path is due. */
const maintenanceMs = 60 * 1000;

/** Who comes in, and how. */
export interface Entrance {
  readonly self: Self;
  readonly reconnect: ReconnectPolicy | undefined;
  readonly password: NonNullable<ClientOptions["password"]>;
  readonly routeOf: (directory: Directory) => Route;
}

/** An open vault, and what was opened with it: each call is passed on to the part that it is about. */
export class RunningClient implements Client, OperatorClient {
  readonly username: string;
  readonly email: string;
  readonly #context: ConversationContext;
  readonly #session: Session;
  readonly #receipts: Receipts;
  readonly #conversations: Conversations;
  readonly #timer: ReturnType<typeof setInterval>;
  #isClosed = false;

  constructor(options: MemberOptions, { self, reconnect, password, routeOf }: Entrance, vault: Vault) {
    const { anchors, now, random, history: keepHistory, transcriptsFolder, onEvent } = options;
    this.username = self.username;
    this.email = self.email;
    const revocations = new Revocations({ anchors, vault, onEvent });
    revocations.trust(self.verified);
    if (options.crl !== undefined) revocations.takeFile(options.crl);
    const directory = new Directory({ anchors, revocations, vault, now, onEvent });
    const devices = new Devices({ vault, self, random });
    const keyPackages = new KeyPackages({ vault, devices, random, now });
    const groups = new GroupFollower({ own: self.certificate.fingerprint, directory, random });
    const { timeouts = defaultTimeouts } = options;
    const route = routeOf(directory);
    this.#session = new Session(
      {
        ...{ route, self, directory, revocations, keyPackages, random, now, timeouts, onEvent },
        ...{ password, reconnect },
      },
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
      moveOn: (trouble) => this.#session.moveOn(trouble),
      reconnect,
      inviteeNamed: (name) => {
        const { operator } = this.#session;
        return operator?.name === name ? { kind: "operator", ...operator } : { kind: "person", name };
      },
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

  async connect(anew?: boolean): Promise<void> {
    this.#requireOpen();
    await this.#session.connect(anew);
  }

  async register({ email, username, password }: { email: string; username: string; password: string }) {
    await this.#session.enter({ type: "register", email, username, password });
  }

  async login(account: Login): Promise<void> {
    const { fingerprint } = this.#context.self.certificate;
    const enter = (as: Login) => this.#session.enter(loginRequest(as, fingerprint));
    const { email, newPassword } = account;
    try {
      await enter(account);
    } catch (error) {
      if (newPassword === undefined || !mayHaveChanged(error)) throw error;
      await enter({ email, password: newPassword }).catch(() => {
        throw error;
      });
    }
  }

  async attach(): Promise<void> {
    this.#requireOpen();
    await this.#session.attach();
  }

  get operator(): OfferedOperator | undefined {
    return this.#session.operator;
  }

  async openDirect(name: string): Promise<Hex> {
    this.#requireOpen();
    const invitee = this.#context.inviteeNamed(name);
    const conversation = await this.#conversations.direct.open(invitee);
    if (invitee.kind === "operator")
      this.#context.onEvent({ event: "operator", conversation, name, fingerprint: invitee.fingerprint });
    return conversation;
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
                expired: this.#conversations.isExpired(conversation),
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
      const { standing, state, impediments } = conversation;
      if (state === undefined || standing.isStopped || impediments.isExpired) return;
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
