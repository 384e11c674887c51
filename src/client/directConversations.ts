import { type Hex, isHex } from "../base/hex.ts";
import { decodeCreateBody } from "../log/bodies.ts";
import type { LogState } from "../log/logState.ts";
import { isSamePerson } from "../log/roster.ts";
import { ClientError } from "./clientError.ts";
import type { Conversation } from "./conversation.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { isConnectionTrouble, isExpiry } from "./conversationErrors.ts";
import { inviteDirect } from "./inviteDirect.ts";
import type { Invitee } from "./invitee.ts";
import type { Outbox, Sent } from "./outbox.ts";
import { decodePlaintext } from "./plaintext.ts";
import type { ConversationRecord } from "./vaultRecords.ts";

/** What it takes of the conversations of a client. */
export interface ConversationShelf {
  records(): Map<Hex, ConversationRecord>;
  /** @returns it as the vault has it; nothing is asked of the server */
  load(id: Hex): Conversation;
  /** As `load`, and lets it catch up. */
  loadAndConnect(id: Hex): Conversation;
  /** Whether what the server did to it keeps it from going on, now or for good. */
  isStopped(id: Hex): boolean;
  /** Tells once more why it is. */
  tellStopped(id: Hex): void;
  /** Whether another one with the same person counts. */
  isReplaced(id: Hex): boolean;
  /** Whether the server has deleted it, which `isStopped` counts in. */
  isExpired(id: Hex): boolean;
  /** Forgets a conversation that never began. */
  discard(conversation: Conversation): void;
}

/**
 * Conversations of two: which one counts between two people, how one is begun, and how one that can't go on is replaced. Of
 * several that are open the one that was begun last counts, by the server's time in its `create`, so that both come to the same. One
 * that has expired never counts: the next that is begun takes its place.
 */
export class DirectConversations {
  readonly #context: ConversationContext;
  readonly #shelf: ConversationShelf;
  readonly #opening = new Map<string, Promise<Hex>>();
  /** Own creates that lost to another conversation with the same person. */
  readonly #lost = new Map<Hex, Promise<Hex>>();

  constructor(context: ConversationContext, shelf: ConversationShelf) {
    this.#context = context;
    this.#shelf = shelf;
  }

  /** As `Client.openDirect`. */
  open(invitee: Invitee): Promise<Hex> {
    return this.#once(invitee.name, () => this.#open(invitee));
  }

  /**
   * As `Client.fresh`. The server is asked to let the two begin another one; where it has lost the old one it need not be. The
   * old one is replaced as soon as the new one stands, by the same rule as at the other person's client.
   */
  async fresh(id: Hex): Promise<Hex> {
    const record = this.#shelf.records().get(id);
    if (record === undefined) throw new ClientError("NO_SUCH_CONVERSATION", "there is no such conversation");
    const isOver = this.#shelf.isReplaced(id) || record.closed;
    // What the server does to it may be known only once it was asked.
    if (!isOver && !this.#shelf.isStopped(id))
      await this.#shelf
        .loadAndConnect(id)
        .idle()
        .catch(() => undefined);
    if (record.kind !== "direct" || (!isOver && !this.#shelf.isStopped(id)))
      throw new ClientError("NOT_STOPPED", "this conversation can go on: it is ended by leaving it");
    const invitee = this.#context.inviteeNamed(record.name);
    return this.#once(record.name, async () => {
      if (isOver) return this.#open(invitee);
      await this.#release(id);
      const successor = await this.#begin(invitee);
      this.#replace(id, successor);
      return successor;
    });
  }

  /** A conversation has begun: it replaces earlier ones with the same person, or a later one it. */
  began({ standing, state }: Conversation): void {
    if (state?.kind === "direct") this.#current({ kind: kindOfPeer(state), name: standing.name });
  }

  /** Words that were not sent in conversations that this one has replaced or that have expired, in order. */
  unsent({ standing }: Conversation): string[] {
    return this.#endedWith(standing.name).flatMap((outbox) =>
      outbox.messages.map(({ content }) => decodePlaintext(content)),
    );
  }

  /** Moves them to the end of this one's outbox, all or none. @returns where each comes to stand */
  resend(to: Conversation): Promise<Sent>[] {
    to.impediments.requireStay();
    const batch = this.#context.vault.batch();
    const contents = this.#endedWith(to.standing.name).flatMap((outbox) => outbox.takeMessages(batch));
    return to.take(contents, batch);
  }

  /** The server says that the two have another conversation than the one that was to be begun. */
  exists(lost: Conversation, other: string): Promise<Hex> {
    const found = this.#find(lost, other);
    this.#lost.set(lost.id, found);
    return found;
  }

  #once(username: string, open: () => Promise<Hex>): Promise<Hex> {
    const running = this.#opening.get(username);
    if (running !== undefined) return running;
    const opening = open().finally(() => this.#opening.delete(username));
    this.#opening.set(username, opening);
    return opening;
  }

  async #open(invitee: Invitee): Promise<Hex> {
    const id = this.#current(invitee);
    if (id === undefined) return this.#begin(invitee);
    if (this.#shelf.load(id).standing.isStopped) {
      this.#shelf.tellStopped(id);
      return id;
    }
    // When it can't be loaded, that is thrown: the server would refuse a second conversation with this person.
    const conversation = this.#shelf.loadAndConnect(id);
    const { state } = conversation;
    if (state !== undefined) return id;
    // An own create of an earlier session is under way.
    return this.#whenBegun(conversation, conversation.idle());
  }

  async #begin(invitee: Invitee): Promise<Hex> {
    const invitation = await inviteDirect(this.#context, invitee);
    const conversation = this.#shelf.load(invitation.conversation);
    const begun = conversation.begin(invitation);
    this.#shelf.loadAndConnect(invitation.conversation);
    return this.#whenBegun(conversation, begun);
  }

  async #whenBegun(conversation: Conversation, begun: Promise<unknown>): Promise<Hex> {
    try {
      await begun;
      if (conversation.state !== undefined) return conversation.id;
    } catch (error) {
      const found = this.#lost.get(conversation.id);
      if (found !== undefined) return found;
      if (error instanceof ClientError && error.code === "REFUSED") this.#shelf.discard(conversation);
      throw error;
    }
    throw new ClientError("NO_SUCH_CONVERSATION", "the conversation has not begun");
  }

  /** What the server names must be their conversation, and one that can go on. */
  async #find(lost: Conversation, other: string): Promise<Hex> {
    const [create] = lost.outbox.items;
    if (!isHex(other, 16) || other === lost.id || create === undefined)
      throw new ClientError("SERVER_MISBEHAVED", "the server names no conversation");
    if (this.#shelf.isReplaced(other) || this.#shelf.isStopped(other)) {
      this.#shelf.discard(lost);
      throw new ClientError(
        "SERVER_MISBEHAVED",
        "the server lets the two of you begin no other conversation than the one that it has spoilt: use another server",
      );
    }
    const intended = decodeCreateBody(create.content).roster;
    const conversation = this.#shelf.loadAndConnect(other);
    await conversation.idle().catch((error: unknown) => {
      // What keeps it from being read is its own trouble; what counts is what there is of it.
      if (isConnectionTrouble(error)) throw error;
    });
    const { state } = conversation;
    const isSame =
      state?.kind === "direct" &&
      state.roster.every((row) => intended.some((wanted) => isSamePerson(row, wanted)));
    if (!isSame)
      throw new ClientError(
        "SERVER_MISBEHAVED",
        "the server names a conversation that is not with this person alone",
      );
    this.#shelf.discard(lost);
    return other;
  }

  async #release(conversation: Hex): Promise<void> {
    try {
      await this.#context.connection().request({ type: "release_pair", conversation });
    } catch (error) {
      if (!isExpiry(error) && !(error instanceof ClientError && error.refusal === "NOT_FOUND")) throw error;
    }
  }

  /** @returns the conversation with this peer that counts; the others that were open are replaced by it */
  #current({ kind, name }: Peer): Hex | undefined {
    const open = this.#with(name).flatMap(([id, { closed }]) =>
      closed || this.#shelf.isReplaced(id) ? [] : [{ id, state: this.#stateOf(id) }],
    );
    // One that has not begun yet, or can't be read, neither replaces another nor is replaced.
    const alive = open.filter(({ id }) => !this.#shelf.isExpired(id));
    const [first] = alive.filter(({ state }) => state === undefined || kindOfPeer(state) === kind);
    const begun = alive.flatMap(({ id, state }) =>
      state === undefined || kindOfPeer(state) !== kind ? [] : [{ id, at: state.firstAt }],
    );
    begun.sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
    const [latest] = begun;
    if (latest === undefined) return first?.id;
    for (const { id, state } of open)
      if (id !== latest.id && state !== undefined && kindOfPeer(state) === kind) this.#replace(id, latest.id);
    return latest.id;
  }

  #stateOf(id: Hex): LogState | undefined {
    try {
      return this.#shelf.load(id).state;
    } catch (error) {
      if (error instanceof ClientError) return undefined;
      throw error;
    }
  }

  #replace(id: Hex, successor: Hex): void {
    if (this.#shelf.isReplaced(id)) return;
    const conversation = this.#shelf.load(id);
    conversation.replace();
    const { standing, outbox } = conversation;
    this.#context.onEvent({
      event: "replaced",
      conversation: id,
      successor,
      to: standing.name,
      folder: standing.folder.path,
      unsent: outbox.messages.length,
    });
  }

  #endedWith(username: string): Outbox[] {
    return this.#with(username).flatMap(([id]) =>
      this.#shelf.isReplaced(id) || this.#shelf.isExpired(id) ? [this.#shelf.load(id).outbox] : [],
    );
  }

  #with(username: string): [Hex, ConversationRecord][] {
    return [...this.#shelf.records()].filter(([, { kind, name }]) => kind === "direct" && name === username);
  }
}

/** A person and the operator of some server may have one name. */
type Peer = Pick<Invitee, "kind" | "name">;

function kindOfPeer({ roster, server }: LogState): Peer["kind"] {
  return roster.some(({ username, email }) => email === "" && username === server.name)
    ? "operator"
    : "person";
}
