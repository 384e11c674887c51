import { type Hex, isHex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { catchUp } from "./catchUp.ts";
import { ClientError } from "./clientError.ts";
import type { Connection, Push } from "./connection.ts";
import { Conversation, type ConversationOwner } from "./conversation.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { isServerFault } from "./conversationErrors.ts";
import { isFreshPathDue } from "./conversationKeys.ts";
import { Deliveries } from "./deliveries.ts";
import { type ConversationShelf, DirectConversations } from "./directConversations.ts";
import type { Receipts } from "./receipts.ts";
import { type ConversationRecord, conversationSchema, decodeRecord, memberSchema } from "./vaultRecords.ts";

/** The conversations of a client: read from the vault when they are needed, found on the server, begun. */
export class Conversations implements ConversationOwner, ConversationShelf {
  /** Those of two people. */
  readonly direct: DirectConversations;
  readonly deliveries: Deliveries;
  readonly #acknowledgements: Acknowledgements | undefined;
  readonly #context: ConversationContext;
  readonly #receipts: Receipts;
  readonly #onKeyPackageUsed: () => void;
  readonly #loaded = new Map<Hex, Conversation>();
  /** Those among them that were only looked at: they have not asked the server for anything. */
  readonly #asleep = new WeakSet<Conversation>();
  /** What the server has done to conversations on this connection. */
  readonly #faults = new Map<Hex, ClientError>();
  /** The connection on which the server is being given back what it lacks. */
  #returningOn: Connection | undefined;

  /** @param options.acknowledgeEveryMs `undefined`: only when it is asked for */
  constructor(
    context: ConversationContext,
    options: {
      receipts: Receipts;
      acknowledgeEveryMs: number | undefined;
      onKeyPackageUsed: () => void;
    },
  ) {
    this.#context = context;
    const { acknowledgeEveryMs: everyMs } = options;
    this.#acknowledgements = everyMs === undefined ? undefined : new Acknowledgements(everyMs);
    this.direct = new DirectConversations(context, this);
    this.deliveries = new Deliveries({
      own: context.self.certificate.fingerprint,
      connection: context.connectionIfOpen,
      find: (id) => this.#loaded.get(id),
      onEvent: context.onEvent,
    });
    this.#receipts = options.receipts;
    this.#onKeyPackageUsed = options.onKeyPackageUsed;
  }

  /** Those that follow the server. */
  get awake(): Iterable<Conversation> {
    return [...this.#loaded.values()].filter((conversation) => !this.#asleep.has(conversation));
  }

  /** All that the vault knows, by id. */
  records(): Map<Hex, ConversationRecord> {
    const records = new Map<Hex, ConversationRecord>();
    for (const { key, value } of this.#context.vault.list("conversation"))
      if (isHex(key, 16)) records.set(key, decodeRecord(conversationSchema, value, "conversation"));
    return records;
  }

  /** @throws {ClientError} `NO_SUCH_CONVERSATION` */
  find(id: Hex): Conversation {
    const conversation = this.#known(id);
    if (conversation?.state === undefined)
      throw new ClientError("NO_SUCH_CONVERSATION", `there is no conversation ${visible(id)}`);
    return conversation;
  }

  /** The conversation if nothing has to be waited for. */
  loadedWithLog(id: Hex): Conversation | undefined {
    const conversation = this.#loaded.get(id);
    return conversation?.state === undefined ? undefined : conversation;
  }

  /** As `find`, after its transcript has come from the server again where it was lost. */
  async ready(id: Hex): Promise<Conversation> {
    const conversation = this.#known(id);
    if (conversation !== undefined && conversation.state === undefined) await conversation.idle();
    return this.find(id);
  }

  /** Catches up with everything that the server has, and sends what waits. Trouble with one is told and stops no other. */
  async connected(connection: Connection): Promise<void> {
    this.#faults.clear();
    this.deliveries.connected();
    this.#returningOn = connection;
    try {
      await catchUp(this.#context, connection, {
        shelf: this,
        duePaths: () => this.#duePaths(),
        onReturned: () => this.#returned(connection),
        follow: (id) => this.#catchUp(id),
        onTrouble: (error, id) => this.#tell(error, id),
      });
    } finally {
      this.#returned(connection);
    }
  }

  /** Whether the server may lack what it will be given back: until then no conversation asks it for anything. */
  get isReturning(): boolean {
    return this.#returningOn !== undefined;
  }

  #returned(connection: Connection): void {
    if (this.#returningOn === connection) this.#returningOn = undefined;
  }

  /** The client is about to end. */
  hurry(): void {
    for (const conversation of this.#loaded.values()) conversation.hurry();
  }

  /** The connection was lost, and another is being made. */
  interrupted(): void {
    for (const conversation of this.#loaded.values()) conversation.interrupted();
  }

  disconnected(error: ClientError): void {
    for (const conversation of [...this.#loaded.values()]) conversation.disconnected(error);
  }

  push(push: Exclude<Push, { type: "crl" }>): void {
    const { conversation: id } = push;
    if (push.type === "delivered") {
      this.deliveries.take([push]);
      return;
    }
    if (push.type === "receipt") {
      const conversation = this.#loaded.get(id);
      if (conversation !== undefined)
        this.#receipts.take(conversation, { size: push.size, signedData: push.signed_data });
      return;
    }
    const conversation = this.#loaded.get(id) ?? (this.#isOver(id) ? undefined : this.#loadConnected(id));
    conversation?.deliver(push.from, push.entries, push.checkpoint);
  }

  keyPackageUsed(): void {
    this.#onKeyPackageUsed();
  }

  began(conversation: Conversation): void {
    this.direct.began(conversation);
  }

  stored(conversation: Conversation): void {
    if (conversation.impediments.isReplaced) return;
    this.deliveries.stored(conversation);
    this.#acknowledgements?.stored(conversation);
  }

  exists(conversation: Conversation, other: string): void {
    this.direct.exists(conversation, other).catch((error: unknown) => this.#tell(error, conversation.id));
  }

  broken(conversation: Conversation, error: ClientError): void {
    if (isServerFault(error)) this.#faults.set(conversation.id, error);
    this.#loaded.delete(conversation.id);
    this.deliveries.forget(conversation.id);
    conversation.close();
  }

  expired(conversation: Conversation): void {
    this.deliveries.forget(conversation.id);
  }

  tellStopped(id: Hex): void {
    this.load(id).impediments.tell();
  }

  isStopped(id: Hex): boolean {
    return this.#faults.has(id) || this.isExpired(id) || this.load(id).standing.isStopped;
  }

  /** A newer CRL: says who is revoked, and lets each look at what it may still send. */
  revocationsChanged(): void {
    for (const conversation of this.#loaded.values()) conversation.revocationsChanged();
  }

  /** Wakes those whose device is due for a fresh path. */
  maintain(): void {
    if (this.#context.connectionIfOpen() === undefined) return;
    for (const id of this.#duePaths()) this.#loadConnected(id);
  }

  closeAll(): void {
    this.deliveries.stop();
    this.#acknowledgements?.stop();
    for (const conversation of [...this.#loaded.values()]) conversation.close();
    this.#loaded.clear();
  }

  #duePaths(): Hex[] {
    const nowMs = this.#context.now();
    const records = this.records();
    return this.#context.vault.list("member").flatMap(({ key, value }) => {
      const record = isHex(key, 16) ? records.get(key) : undefined;
      if (record === undefined || record.closed || record.contradiction !== null || !isHex(key, 16))
        return [];
      if (this.#isOver(key)) return [];
      return isFreshPathDue(decodeRecord(memberSchema, value, "membership"), nowMs) ? [key] : [];
    });
  }

  async #catchUp(id: Hex): Promise<void> {
    const conversation = this.#loaded.get(id);
    try {
      const loaded = conversation ?? this.#loadConnected(id);
      if (conversation !== undefined) conversation.connected();
      if (loaded !== undefined && (await loaded.calm())) await this.#receipts.complete(loaded);
    } catch (error) {
      // The conversation has told its own trouble; what is left is that of its receipt.
      if (
        error instanceof ClientError &&
        (error.code === "NOT_COUNTERSIGNED" || error.code === "BAD_RECEIPT")
      )
        this.#tell(error, id);
    }
  }

  #known(id: Hex): Conversation | undefined {
    const known = this.#loaded.get(id);
    if (known !== undefined || !this.records().has(id)) return known;
    return this.#isOver(id) ? this.load(id) : this.#loadConnected(id);
  }

  /** Whether another conversation has taken its place: then it is left as it is. */
  isReplaced(id: Hex): boolean {
    return this.#context.vault.read("replaced", id) !== undefined;
  }

  isExpired(id: Hex): boolean {
    return this.#context.vault.read("expired", id) !== undefined;
  }

  /** Whether nothing is asked of the server about it any more. */
  #isOver(id: Hex): boolean {
    return this.isReplaced(id) || this.isExpired(id);
  }

  #loadConnected(id: Hex): Conversation | undefined {
    try {
      return this.loadAndConnect(id);
    } catch (error) {
      this.#tell(error, id);
      return undefined;
    }
  }

  loadAndConnect(id: Hex): Conversation {
    const conversation = this.load(id);
    if (this.#asleep.delete(conversation)) conversation.connected();
    return conversation;
  }

  load(id: Hex): Conversation {
    const known = this.#loaded.get(id);
    if (known !== undefined) return known;
    const conversation = new Conversation(this.#context, this, id);
    this.#loaded.set(id, conversation);
    this.#asleep.add(conversation);
    return conversation;
  }

  discard(conversation: Conversation): void {
    const { vault } = this.#context;
    const { id } = conversation;
    const batch = vault.batch();
    for (const collection of ["conversation", "member", "ratchet", "group", "pending", "told"] as const)
      batch.remove(collection, id);
    for (const { key } of vault.list("outgoing", `${id}/`)) batch.remove("outgoing", key);
    this.#loaded.delete(id);
    conversation.close();
    vault.commit(batch);
  }

  #tell(error: unknown, conversation: Hex): void {
    const code = error instanceof ClientError ? (error.refusal ?? error.code) : "SERVER_MISBEHAVED";
    const message = error instanceof Error ? error.message : "";
    this.#context.onEvent({ event: "error", code, message, conversation });
  }
}
