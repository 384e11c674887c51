import type { Hex } from "../base/hex.ts";
import { visible } from "../base/visible.ts";
import { encodeLeaveBody } from "../log/bodies.ts";
import type { LogState } from "../log/logState.ts";
import { servesAs } from "../log/memberIdentity.ts";
import type { Certificate } from "../pki/certificate.ts";
import type { StoredEntry, WireCheckpoint } from "../wire/sessionMessages.ts";
import { Announcements } from "./announcements.ts";
import type { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";
import {
  asConversationError,
  conversationLost,
  conversationReplaced,
  isConnectionTrouble,
  isExpiry,
} from "./conversationErrors.ts";
import { ConversationKeys } from "./conversationKeys.ts";
import { ConversationSteps } from "./conversationSteps.ts";
import { Impediments } from "./impediments.ts";
import { Inbox } from "./inbox.ts";
import { Intake } from "./intake.ts";
import type { Invitation } from "./inviteDirect.ts";
import { isCommit, Outbox, outcomeOf, type Sent } from "./outbox.ts";
import { OwnEntries } from "./ownEntries.ts";
import { encodePlaintext } from "./plaintext.ts";
import { Poster } from "./poster.ts";
import { Standing } from "./standing.ts";
import { Upkeep } from "./upkeep.ts";
import type { VaultBatch } from "./vault.ts";

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
  /** The server has deleted it. */
  expired(conversation: Conversation): void;
  /** It can't go on until it is read from the vault again. */
  broken(conversation: Conversation, error: ClientError): void;
}

/** One conversation: its parts, and who may do what with it. Its steps do the work. */
export class Conversation {
  readonly id: Hex;
  readonly standing: Standing;
  readonly outbox: Outbox;
  readonly impediments: Impediments;
  readonly #context: ConversationContext;
  readonly #owner: ConversationOwner;
  readonly #keys: ConversationKeys;
  readonly #poster: Poster;
  readonly #upkeep: Upkeep;
  readonly #inbox: Inbox;
  readonly #steps: ConversationSteps;
  readonly #own: OwnEntries;
  #isNew: boolean;

  constructor(context: ConversationContext, owner: ConversationOwner, id: Hex) {
    this.id = id;
    this.#context = context;
    this.#owner = owner;
    this.standing = new Standing(context, id);
    this.#isNew = this.standing.record.size === 0;
    this.#keys = new ConversationKeys(context, id);
    this.outbox = new Outbox(context, id);
    const { standing, outbox } = this;
    this.impediments = new Impediments({ context, conversation: id, standing, outbox });
    this.#inbox = new Inbox(id, standing);
    const announcements = new Announcements({
      context,
      conversation: id,
      standing,
      onKeyPackageUsed: () => owner.keyPackageUsed(),
    });
    const parts = { log: standing.log, keys: this.#keys, outbox };
    const onDue = () => this.#steps.wake();
    this.#upkeep = new Upkeep({ context, conversation: id, parts, onDue });
    this.#poster = new Poster({
      context,
      conversation: id,
      parts,
      onKept: (item) => announcements.kept(item),
      onAccepted: (line, { conversation, index, at, checkpoint }) => {
        if (conversation === id) this.deliver(index, [{ at, line }], checkpoint);
      },
      onDue,
      onRefused: () => {
        if (standing.hasBegun) this.#inbox.mustAsk();
        this.#steps.wake();
      },
    });
    this.#steps = new ConversationSteps(
      context,
      {
        ...{ standing, keys: this.#keys, outbox, impediments: this.impediments, inbox: this.#inbox },
        intake: new Intake({ context, conversation: id, ...parts }),
        ...{ announcements, upkeep: this.#upkeep, poster: this.#poster },
      },
      {
        stored: () => this.#stored(),
        exists: (other) => owner.exists(this, other),
        delayed: (code, message) => context.onEvent({ event: "warning", code, message, conversation: id }),
        rested: () => this.#mustAsk(),
        disconnected: (error) => this.disconnected(error),
        failed: (error) => this.#break(error),
      },
    );
    this.#own = new OwnEntries({
      ...{ context, standing, outbox, impediments: this.impediments },
      ...{ poster: this.#poster, steps: this.#steps },
      onBroken: (error) => this.#break(error),
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
    this.#steps.wake();
  }

  /** Posts the `create` of a new conversation. @returns when it stands in the log */
  begin({ peer, pending, body }: Invitation): Promise<Sent> {
    const { standing, outbox } = this;
    standing.begin(peer);
    this.#keys.prepare(pending, standing.batch);
    const item = outbox.add("create", body, "last");
    outbox.store(item, standing.batch);
    this.#steps.wake();
    return outcomeOf(item);
  }

  /** Commits a fresh path as soon as something can be posted. */
  refreshPath(): void {
    this.#keys.requirePath();
    this.#steps.wake();
  }

  /** The client is about to end. */
  hurry(): void {
    this.#steps.hurry();
  }

  /** A connection is there: catch up, then send what waits. */
  connected(): void {
    this.#steps.startOver();
    this.#upkeep.startOver();
    this.impediments.resume();
    this.#mustAsk();
    this.#steps.wake();
  }

  /** Another conversation counts from now on. What was not sent stays in the vault. */
  replace(): void {
    this.impediments.replace();
    this.#steps.giveUpWaiting(conversationReplaced());
  }

  /** The server has deleted it: it is over. Another server than its own has no say in that. @param refusal with which it said so */
  expire(refusal: ClientError): void {
    if (this.impediments.isExpired) return;
    const home = this.state?.server.name;
    const server = this.#server;
    // Without a connection by now, the next one is asked.
    if (server === undefined) return;
    if (home !== undefined && !servesAs(server, home)) {
      this.#break(conversationLost(home, true));
      return;
    }
    this.interrupted();
    this.#steps.giveUpWaiting(this.impediments.expire(refusal));
    this.#owner.expired(this);
  }

  /** Takes over words from another conversation. @param batch becomes durable with them @returns where they stand */
  take(contents: readonly Uint8Array[], batch: VaultBatch): Promise<Sent>[] {
    return this.#own.take(contents, batch);
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
    this.impediments.revocationsChanged();
    this.#steps.wake();
  }

  /** The connection is gone: nothing is on its way any more. What was not accepted stays in the vault. */
  interrupted(): void {
    this.#poster.startOver();
    this.#mustAsk();
  }

  /** As `interrupted`, and no other connection is being made: nobody waits any longer. */
  disconnected(error: ClientError): void {
    this.interrupted();
    this.#steps.giveUpWaiting(error);
  }

  /** Puts words into the outbox. @returns where they stand once they were accepted and the server's root is the own one */
  send(text: string): Promise<Sent> {
    const content = encodePlaintext(text);
    this.impediments.requireStay();
    return this.#own.add("message", content);
  }

  /** Posts the own person's `leave` behind what waits. @returns when it stands; from this call on nothing more can be sent */
  leave(): Promise<Sent> {
    this.impediments.requireStay();
    return this.#own.add("leave", encodeLeaveBody());
  }

  /** Posts an `acknowledge` when something stands that no own entry has covered. */
  acknowledge(): Promise<void> {
    return this.#own.acknowledge();
  }

  /** Whether somebody else has said something that no own entry covers. */
  get owesAcknowledgement(): boolean {
    return this.#own.owesAcknowledgement;
  }

  /** Resolves when nothing is left to take in or to send. @throws {ClientError} why that can't be */
  idle(): Promise<void> {
    return this.#steps.idle();
  }

  /** As `idle`, but waits for no server that can't take anything now. @returns whether nothing is left */
  calm(): Promise<boolean> {
    return this.#steps.calm();
  }

  close(): void {
    this.#steps.close();
    this.#own.keep();
    this.disconnected(this.impediments.close());
    this.#upkeep.close();
    this.#keys.wipe();
    this.standing.close();
  }

  /** The certificate of the server that this client is connected to. */
  get #server(): Certificate | undefined {
    try {
      return this.#context.connection().server.certificate;
    } catch (error) {
      if (isConnectionTrouble(error)) return undefined;
      throw error;
    }
  }

  /** An own create that never stood leaves nothing to ask for. */
  #mustAsk(): void {
    if (this.standing.hasBegun || !this.outbox.items.some(isCommit)) this.#inbox.mustAsk();
  }

  #stored(): void {
    this.#owner.stored(this);
    if (!this.#isNew) return;
    this.#isNew = false;
    this.#owner.began(this);
  }

  #break(error: unknown): void {
    if (isConnectionTrouble(error) || this.impediments.isBroken) return;
    if (isExpiry(error) && this.standing.record.size > 0) {
      this.expire(error);
      return;
    }
    const reason = asConversationError(error);
    this.interrupted();
    this.impediments.break(reason);
    this.#steps.giveUpWaiting(reason);
    this.#owner.broken(this, reason);
  }
}
