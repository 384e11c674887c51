import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { encodeAcknowledgeBody, encodeLeaveBody } from "../log/bodies.ts";
import type { LogState } from "../log/logState.ts";
import type { StoredEntry, WireCheckpoint } from "../wire/sessionMessages.ts";
import { Announcements } from "./announcements.ts";
import type { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";
import {
  asConversationError,
  conversationClosed,
  conversationLeft,
  conversationReplaced,
  isConnectionTrouble,
  notConnected,
} from "./conversationErrors.ts";
import { ConversationKeys } from "./conversationKeys.ts";
import { hasLeft } from "./departure.ts";
import { IdleWaiters } from "./idleWaiters.ts";
import { Impediments } from "./impediments.ts";
import { Inbox } from "./inbox.ts";
import { Intake } from "./intake.ts";
import type { Invitation } from "./inviteDirect.ts";
import { Outbox, type OutgoingItem, outcomeOf, type Sent } from "./outbox.ts";
import { encodePlaintext } from "./plaintext.ts";
import { isCommit, noComplaints, Poster } from "./poster.ts";
import { isServerTrouble, ServerRest } from "./serverRest.ts";
import { Standing } from "./standing.ts";
import { Upkeep } from "./upkeep.ts";
import type { VaultBatch } from "./vault.ts";

/** Entries that are taken in before they are made durable together. */
const maxBatchEntries = 256;

/** What a conversation tells the client that it belongs to. */
export interface ConversationOwner {
  /** A key package was used up: it is time to publish another. */
  keyPackageUsed(): void;
  /** It has its first entries. */
  began(conversation: Conversation): void;
  /** What was taken in so far is durable. */
  stored(conversation: Conversation): void;
  /** The server has another conversation with the same person. */
  exists(conversation: Conversation, other: string): void;
  /** It can't go on until it is read from the vault again. */
  broken(conversation: Conversation, error: ClientError): void;
}

/**
 * One conversation: what arrives is taken in entry by entry, made durable in batches, then told; what is due is posted.
 * One step runs at a time. Whatever arrives meanwhile starts another. (Beyond 300 lines: what is left here is that step, and
 * who may start it.)
 */
export class Conversation {
  readonly id: Hex;
  readonly standing: Standing;
  readonly outbox: Outbox;
  readonly impediments: Impediments;
  readonly #context: ConversationContext;
  readonly #owner: ConversationOwner;
  readonly #keys: ConversationKeys;
  readonly #intake: Intake;
  readonly #poster: Poster;
  readonly #upkeep: Upkeep;
  readonly #inbox: Inbox;
  readonly #announcements: Announcements;
  readonly #rest: ServerRest;
  #running: Promise<void> | undefined;
  #wanted = false;
  #isNew: boolean;
  readonly #idle = new IdleWaiters();
  readonly #calm = new IdleWaiters();

  constructor(context: ConversationContext, owner: ConversationOwner, id: Hex) {
    this.id = id;
    this.#context = context;
    this.#owner = owner;
    this.standing = new Standing(context, id);
    this.#isNew = this.standing.record.size === 0;
    this.#keys = new ConversationKeys(context, id);
    this.outbox = new Outbox(context.vault, id);
    const { standing, outbox } = this;
    this.impediments = new Impediments({ context, conversation: id, standing, outbox });
    const parts = { log: standing.log, keys: this.#keys, outbox };
    this.#intake = new Intake({ context, conversation: id, ...parts });
    this.#upkeep = new Upkeep({ context, conversation: id, parts });
    this.#poster = new Poster({
      context,
      conversation: id,
      parts,
      onAccepted: (line, { conversation, index, at, checkpoint }) => {
        if (conversation === id) this.deliver(index, [{ at, line }], checkpoint);
      },
      onRefused: () => {
        if (this.standing.log.size > 0) this.#inbox.mustAsk();
        this.wake();
      },
    });
    this.#inbox = new Inbox(id, this.standing);
    this.#announcements = new Announcements({
      context,
      conversation: id,
      standing: this.standing,
      onKeyPackageUsed: () => owner.keyPackageUsed(),
    });
    this.#rest = new ServerRest({
      policy: context.reconnect,
      onBegin: ({ message }) =>
        context.onEvent({
          event: "warning",
          code: "SERVER_UNAVAILABLE",
          message: `${message}; what was written is kept and sent as soon as it can be`,
          conversation: id,
        }),
      onOver: () => {
        this.#mustAsk();
        this.wake();
      },
    });
  }

  get state(): LogState | undefined {
    return this.standing.log.state;
  }

  /** Entries as the server gives them, from `from` on, with its signed root. */
  deliver(from: number, entries: readonly StoredEntry[], checkpoint: WireCheckpoint): void {
    if (this.impediments.isDeaf) return;
    try {
      this.#inbox.add(from, entries, checkpoint);
    } catch (error) {
      this.#break(error);
      return;
    }
    this.wake();
  }

  /** Posts the `create` of a new conversation. @returns when it stands in the log */
  begin({ peer, pending, body }: Invitation): Promise<Sent> {
    const { standing, outbox } = this;
    standing.begin(peer);
    this.#keys.prepare(pending, standing.batch);
    const item = outbox.add("create", body, "last");
    outbox.store(item, standing.batch);
    this.wake();
    return outcomeOf(item);
  }

  /** Commits a fresh path as soon as something can be posted. */
  refreshPath(): void {
    this.#keys.requirePath();
    this.wake();
  }

  /** The client is about to end. */
  hurry(): void {
    this.#rest.hurry();
  }

  /** A connection is there: catch up, then send what waits. */
  connected(): void {
    this.#rest.stop();
    this.#upkeep.forgetUploads();
    this.impediments.resume();
    this.#mustAsk();
    this.wake();
  }

  /** Another conversation counts from now on. What was not sent stays in the vault. */
  replace(): void {
    this.impediments.replace();
    this.#giveUpWaiting(conversationReplaced());
  }

  /** Takes over words from another conversation. @param batch becomes durable with them @returns where they stand */
  take(contents: readonly Uint8Array[], batch: VaultBatch): Promise<Sent>[] {
    const items = contents.map((content) => this.outbox.add("message", content, "last"));
    for (const item of items) this.outbox.store(item, batch);
    this.#context.vault.commit(batch);
    this.wake();
    const { trouble } = this.impediments;
    return items.map((item) => (trouble === undefined ? outcomeOf(item) : Promise.reject(trouble)));
  }

  /** A newer CRL: tells of members who are revoked now; upkeep sees to what follows. */
  revocationsChanged(): void {
    const { directory, onEvent } = this.#context;
    for (const { username, fingerprint } of this.state?.roster ?? [])
      if (directory.isRevoked(fingerprint))
        onEvent({
          event: "warning",
          code: "REVOKED",
          message: `a certificate of ${visible(username)} is revoked: ${fingerprint}`,
          conversation: this.id,
        });
    this.wake();
  }

  /** The connection is gone: nothing is on its way any more. What was not accepted stays in the vault. */
  interrupted(): void {
    this.#poster.startOver();
    this.#mustAsk();
  }

  /** As `interrupted`, and no other connection is being made: nobody waits any longer. */
  disconnected(error: ClientError): void {
    this.interrupted();
    this.#giveUpWaiting(error);
  }

  /** Puts words into the outbox. @returns where they stand once they were accepted and the server's root is the own one */
  send(text: string): Promise<Sent> {
    const content = encodePlaintext(text);
    this.impediments.requireStay();
    return this.#enqueue("message", content);
  }

  /** Posts the own person's `leave` behind what waits. @returns when it stands; from this call on nothing more can be sent */
  leave(): Promise<Sent> {
    this.impediments.requireStay();
    return this.#enqueue("leave", encodeLeaveBody());
  }

  /** Posts an `acknowledge` when something stands that no own entry has covered. */
  async acknowledge(): Promise<void> {
    // There has to be somebody to say it to, now and when all is said.
    this.#context.connection();
    await this.idle();
    this.#context.connection();
    if (!this.owesAcknowledgement) return;
    await this.#enqueue("acknowledge", encodeAcknowledgeBody(this.standing.complaints));
    await this.idle();
  }

  /** Whether somebody else has said something that no own entry covers. */
  get owesAcknowledgement(): boolean {
    const { log } = this.standing;
    const { fingerprint } = this.#context.self.certificate;
    const own = log.state?.senders.get(fingerprint);
    if (own === undefined || !own.inRoster || own.left) return false;
    return log.lastStatementOfOthers(fingerprint) >= own.lastViewSize;
  }

  /** Resolves when nothing is left to take in or to send. @throws {ClientError} why that can't be */
  idle(): Promise<void> {
    const { trouble } = this.impediments;
    if (trouble !== undefined) return Promise.reject(trouble);
    if (this.#running === undefined) {
      if (this.#isDone) return Promise.resolve();
      if (this.#isAlone) return Promise.reject(notConnected());
    }
    return this.#idle.wait();
  }

  /** As `idle`, but waits for no server that can't take anything now. @returns whether nothing is left */
  async calm(): Promise<boolean> {
    if (this.#rest.isRunning) return false;
    await Promise.race([this.idle(), this.#calm.wait()]);
    return !this.#rest.isRunning;
  }

  /** Runs another step, at the end of this tick if none is running. */
  wake(): void {
    this.#wanted = true;
    if (this.#running !== undefined || this.impediments.isDeaf) return;
    this.#running = new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => this.#run())
      .catch((error: unknown) => this.#inbox.explain(error, this.#context.connectionIfOpen()))
      .catch((error: unknown) => {
        if (isServerTrouble(error)) this.#rests(error);
        else this.#break(error);
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#wanted && !this.impediments.isBroken) this.wake();
        else if (this.#isDone) this.#settle(undefined);
      });
  }

  close(): void {
    this.#rest.stop();
    this.disconnected(this.impediments.close());
    this.#keys.wipe();
    this.standing.close();
  }

  #settle(error: ClientError | undefined): void {
    this.#idle.settle(error);
    this.#calm.settle(error);
  }

  /** An entry of the outbox, durable when the step that follows has run. */
  #enqueue(kind: "message" | "acknowledge" | "leave", content: Uint8Array): Promise<Sent> {
    const { trouble, passes } = this.impediments;
    if (trouble !== undefined && !passes) return Promise.reject(trouble);
    const item = this.outbox.add(kind, content, "last");
    this.wake();
    return trouble === undefined ? outcomeOf(item) : Promise.reject(trouble);
  }

  /** An own create that never stood leaves nothing to ask for. */
  #mustAsk(): void {
    if (this.standing.log.size > 0 || !this.outbox.items.some(isCommit)) this.#inbox.mustAsk();
  }

  /** Whether there is no connection, nor is one being made. */
  get #isAlone(): boolean {
    return this.#context.connectionIfOpen() === undefined && !this.#context.isMending();
  }

  get #isDone(): boolean {
    return this.outbox.isEmpty && !this.#announcements.isWaiting;
  }

  async #run(): Promise<void> {
    const mayPost = (item: OutgoingItem) => this.#upkeep.mayPost(item);
    const { impediments } = this;
    while (this.#wanted && !impediments.isBroken) {
      this.#wanted = false;
      if (!this.#rest.isRunning) {
        await this.#takeArrivals();
        await this.#inbox.judge();
      }
      if (impediments.isBroken) return;
      this.#announcements.tell(this.standing.flush(this.#keys));
      this.#noteStored();
      const connection = this.#rest.isRunning ? undefined : this.#context.connectionIfOpen();
      if (connection !== undefined && !this.#wanted) {
        if (this.#inbox.isBehind) {
          await this.#inbox.fetch(connection);
          this.#wanted = true;
          continue;
        }
        this.#resolveRefusal();
        if (this.#rest.isRunning) continue;
        if (impediments.mayPost) await this.#upkeep.run(connection);
        if (this.#wanted || impediments.isBroken) continue;
      }
      const complaints = hasLeft(this.state, this.#context.self) ? noComplaints : this.standing.complaints;
      // The step may have outlived its connection.
      const live = connection === this.#context.connectionIfOpen() ? connection : undefined;
      this.#poster.pump(impediments.mayPost ? live : undefined, { complaints, mayPost });
      const hindrance = live === undefined || this.#wanted ? undefined : this.#upkeep.hindrance;
      if (this.#isAlone) this.disconnected(notConnected());
      else if (hindrance !== undefined && impediments.mayPost) this.#pause(hindrance);
    }
  }

  #noteStored(): void {
    if (this.standing.record.size === 0) return;
    this.#owner.stored(this);
    if (!this.#isNew) return;
    this.#isNew = false;
    this.#owner.began(this);
  }

  async #takeArrivals(): Promise<void> {
    const { standing } = this;
    const name = () => standing.name;
    for (let taken = 0; taken < maxBatchEntries; taken++) {
      const arrival = this.#inbox.next;
      if (arrival === undefined) return;
      const isKnown = standing.isKnown(arrival.index);
      const effects = await this.#intake.take(arrival, { isKnown, batch: standing.batch, name });
      this.#inbox.taken(arrival);
      if (isKnown) standing.requireKnownRoot();
      for (const effect of effects) {
        this.#announcements.note(effect);
        if (effect.kind !== "landed") continue;
        this.#poster.landed();
        this.#rest.proved();
        if (isCommit(effect.item)) this.#upkeep.succeeded();
      }
    }
    this.#wanted = true;
  }

  /** What a refusal, or the end of the conversation, means for what waits. */
  #resolveRefusal(): void {
    const resolution = this.#poster.resolve();
    if (resolution?.kind === "rest") this.#rests(resolution.error);
    if (resolution?.kind === "upload again") this.#upkeep.forgetUploads();
    if (resolution?.kind === "later" || resolution?.kind === "exists") this.#pause(resolution.error);
    if (resolution?.kind === "exists") this.#owner.exists(this, resolution.error.detail);
    if (hasLeft(this.state, this.#context.self)) this.#poster.dropWaiting(() => true, conversationLeft());
    else if (this.state?.closed)
      this.#poster.dropWaiting(({ kind }) => kind !== "acknowledge", conversationClosed());
  }

  /** The server can't do anything now: it is asked again after a while, or with the next connection. */
  #rests(error: ClientError): void {
    if (!this.#rest.begin(error)) {
      this.#pause(error);
      return;
    }
    this.#calm.settle(undefined);
    this.wake();
  }

  /** Sends nothing more until the next connection; what waits stays in the vault. */
  #pause(error: ClientError): void {
    this.impediments.pause(error);
    this.#giveUpWaiting(error);
  }

  #break(error: unknown): void {
    if (isConnectionTrouble(error) || this.impediments.isBroken) return;
    const reason = asConversationError(error);
    this.interrupted();
    this.impediments.break(reason);
    this.#giveUpWaiting(reason);
    this.#owner.broken(this, reason);
  }

  #giveUpWaiting(error: ClientError): void {
    this.outbox.rejectAll(error);
    this.#settle(error);
  }
}
