import { type Hex, isHex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { decodeCreateBody } from "../log/bodies.ts";
import type { LogState } from "../log/logState.ts";
import { isSamePerson } from "../log/roster.ts";
import { ClientError } from "./clientError.ts";
import type { Connection, Push } from "./connection.ts";
import { Conversation, type ConversationOwner } from "./conversation.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { isFreshPathDue } from "./conversationKeys.ts";
import { type Invitee, inviteDirect } from "./inviteDirect.ts";
import type { Receipts } from "./receipts.ts";
import { type ConversationRecord, conversationSchema, decodeRecord, memberSchema } from "./vaultRecords.ts";

/** Conversations that catch up at a time. */
const maxCatchingUp = 8;

/** The conversations of a client: read from the vault when they are needed, found on the server, begun. */
export class Conversations implements ConversationOwner {
  readonly #context: ConversationContext;
  readonly #receipts: Receipts;
  readonly #onKeyPackageUsed: () => void;
  readonly #loaded = new Map<Hex, Conversation>();
  readonly #opening = new Map<string, Promise<Hex>>();
  /** Own creates that lost to another conversation with the same person. */
  readonly #replaced = new Map<Hex, Promise<Hex>>();

  constructor(context: ConversationContext, options: { receipts: Receipts; onKeyPackageUsed: () => void }) {
    this.#context = context;
    this.#receipts = options.receipts;
    this.#onKeyPackageUsed = options.onKeyPackageUsed;
  }

  get loaded(): Iterable<Conversation> {
    return this.#loaded.values();
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
    const conversation =
      this.#loaded.get(id) ?? (this.records().has(id) ? this.#loadConnected(id) : undefined);
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
    const conversation =
      this.#loaded.get(id) ?? (this.records().has(id) ? this.#loadConnected(id) : undefined);
    if (conversation !== undefined && conversation.state === undefined) await conversation.idle();
    return this.find(id);
  }

  /** Catches up with everything that the server has, and sends what waits. Trouble with one is told and stops no other. */
  async connected(connection: Connection): Promise<void> {
    const known = this.records();
    const due = new Set<Hex>([...this.#loaded.keys()]);
    for (const row of this.#context.vault.list("outgoing")) {
      const id = row.key.slice(0, row.key.indexOf("/"));
      if (isHex(id, 16)) due.add(id);
    }
    for (const [id, record] of known)
      if (record.contradiction === null && record.receipt_size > 0 && !record.receipt_complete) due.add(id);
    for (const id of this.#duePaths()) due.add(id);
    for (let after: Hex | null = null, more = true; more; ) {
      const answer: { conversations: readonly { conversation: Hex; size: number }[]; more: boolean } =
        await connection.request({ type: "list_conversations", after });
      for (const { conversation, size } of answer.conversations) {
        const record = known.get(conversation);
        if (record?.contradiction === null ? record.size !== size : record === undefined)
          due.add(conversation);
      }
      const last = answer.conversations.at(-1)?.conversation;
      if (answer.more && (last === undefined || (after !== null && last <= after)))
        throw new ClientError("SERVER_MISBEHAVED", "the server's list of conversations does not go on");
      more = answer.more;
      after = last ?? null;
    }
    const queue = [...due];
    const worker = async () => {
      for (let id = queue.shift(); id !== undefined; id = queue.shift()) await this.#catchUp(id);
    };
    await Promise.all(Array.from({ length: maxCatchingUp }, worker));
  }

  /** The connection was lost, and another is being made. */
  interrupted(): void {
    for (const conversation of this.#loaded.values()) conversation.interrupted();
  }

  disconnected(error: ClientError): void {
    for (const conversation of [...this.#loaded.values()]) conversation.disconnected(error);
  }

  push(push: Extract<Push, { type: "pushed" | "receipt" }>): void {
    const { conversation: id } = push;
    if (push.type === "receipt") {
      const conversation = this.#loaded.get(id);
      if (conversation !== undefined)
        this.#receipts.take(conversation, { size: push.size, signedData: push.signed_data });
      return;
    }
    const conversation = this.#loaded.get(id) ?? this.#loadConnected(id);
    conversation?.deliver(push.from, push.entries, push.checkpoint);
  }

  /**
   * The conversation with a person or the server's operator: the one that there is, or a new one.
   *
   * @throws {ClientError} `NO_SUCH_PERSON`, `CERTIFICATE_REFUSED`, `IDENTITY_CHANGED`, `REFUSED`, …
   */
  openDirect(invitee: Invitee): Promise<Hex> {
    const { name } = invitee;
    const running = this.#opening.get(name);
    if (running !== undefined) return running;
    const opening = this.#openDirect(invitee).finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    return opening;
  }

  keyPackageUsed(): void {
    this.#onKeyPackageUsed();
  }

  exists(conversation: Conversation, other: string): void {
    const replaced = this.#replace(conversation, other);
    this.#replaced.set(conversation.id, replaced);
    replaced.catch((error: unknown) => this.#tell(error, conversation.id));
  }

  broken(conversation: Conversation): void {
    this.#loaded.delete(conversation.id);
    conversation.close();
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
      return isFreshPathDue(decodeRecord(memberSchema, value, "membership"), nowMs) ? [key] : [];
    });
  }

  async #openDirect(invitee: Invitee): Promise<Hex> {
    for (const [id, { kind, name, closed, contradiction }] of this.records())
      if (kind === "direct" && name === invitee.name && !closed && contradiction === null) {
        // When it can't be loaded, that is thrown: the server would refuse a second conversation with this person.
        const conversation = this.#loaded.get(id) ?? this.#loadOrThrow(id);
        const { state } = conversation;
        // An own create of an earlier session is under way.
        if (state === undefined) return this.#whenBegun(conversation, conversation.idle());
        if (isWith(state, invitee)) return id;
      }
    const invitation = await inviteDirect(this.#context, invitee);
    const conversation = this.#load(invitation.conversation);
    return this.#whenBegun(conversation, conversation.begin(invitation));
  }

  async #whenBegun(conversation: Conversation, begun: Promise<unknown>): Promise<Hex> {
    try {
      await begun;
      if (conversation.state !== undefined) return conversation.id;
    } catch (error) {
      const replaced = this.#replaced.get(conversation.id);
      if (replaced !== undefined) return replaced;
      if (error instanceof ClientError && error.code === "REFUSED") this.#discard(conversation);
      throw error;
    }
    throw new ClientError("NO_SUCH_CONVERSATION", "the conversation has not begun");
  }

  /** The server says that the two have a conversation: it must be just that. */
  async #replace(lost: Conversation, other: string): Promise<Hex> {
    const [create] = lost.outbox.items;
    if (!isHex(other, 16) || other === lost.id || create === undefined)
      throw new ClientError("SERVER_MISBEHAVED", "the server names no conversation");
    const intended = decodeCreateBody(create.content).roster;
    const conversation = this.#loaded.get(other) ?? this.#loadConnected(other);
    await conversation?.idle();
    const state = conversation?.state;
    const isSame =
      state?.kind === "direct" &&
      state.roster.every((row) => intended.some((wanted) => isSamePerson(row, wanted)));
    if (!isSame)
      throw new ClientError(
        "SERVER_MISBEHAVED",
        "the server names a conversation that is not with this person alone",
      );
    this.#discard(lost);
    return other;
  }

  async #catchUp(id: Hex): Promise<void> {
    const conversation = this.#loaded.get(id);
    try {
      if (conversation === undefined) {
        const loaded = this.#loadConnected(id);
        await loaded?.idle();
        if (loaded !== undefined) await this.#receipts.complete(loaded);
      } else {
        conversation.connected();
        await conversation.idle();
        await this.#receipts.complete(conversation);
      }
    } catch (error) {
      // The conversation has told its own trouble; what is left is that of its receipt.
      if (
        error instanceof ClientError &&
        (error.code === "NOT_COUNTERSIGNED" || error.code === "BAD_RECEIPT")
      )
        this.#tell(error, id);
    }
  }

  #loadConnected(id: Hex): Conversation | undefined {
    try {
      return this.#loadOrThrow(id);
    } catch (error) {
      this.#tell(error, id);
      return undefined;
    }
  }

  #loadOrThrow(id: Hex): Conversation {
    const conversation = this.#load(id);
    conversation.connected();
    return conversation;
  }

  #load(id: Hex): Conversation {
    const known = this.#loaded.get(id);
    if (known !== undefined) return known;
    const conversation = new Conversation(this.#context, this, id);
    this.#loaded.set(id, conversation);
    return conversation;
  }

  /** Forgets a conversation that never began. */
  #discard(conversation: Conversation): void {
    const { vault } = this.#context;
    const { id } = conversation;
    const batch = vault.batch();
    for (const collection of ["conversation", "member", "ratchet", "group", "pending"] as const)
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

/** A person and the operator of some server may have one name. */
function isWith({ roster, server }: LogState, { kind, name }: Invitee): boolean {
  const isOperators = roster.some((row) => row.username === name && row.email === "");
  return kind === "operator" ? isOperators && server.name === name : !isOperators;
}
