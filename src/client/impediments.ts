import type { Hex } from "../base/hex.ts";
import { ClientError } from "./clientError.ts";
import type { StoppedConversation } from "./clientEvents.ts";
import type { ConversationContext } from "./conversationContext.ts";
import { conversationReplaced, conversationStopped, isServerFault } from "./conversationErrors.ts";
import { departureOf } from "./departure.ts";
import type { Outbox } from "./outbox.ts";
import type { Standing } from "./standing.ts";
import { encodeRecord, replacedSchema } from "./vaultRecords.ts";

/**
 * What keeps a conversation from going on: for good, because the server has contradicted itself or another conversation has taken
 * its place; until it is read from the vault again; or until the next connection. Whatever it is, own words that were taken are kept.
 */
export class Impediments {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #standing: Standing;
  readonly #outbox: Outbox;
  #broken: ClientError | undefined;
  #paused: ClientError | undefined;
  #isReplaced: boolean;

  constructor(options: {
    context: ConversationContext;
    conversation: Hex;
    standing: Standing;
    outbox: Outbox;
  }) {
    this.#context = options.context;
    this.#conversation = options.conversation;
    this.#standing = options.standing;
    this.#outbox = options.outbox;
    this.#isReplaced = this.#context.vault.read("replaced", this.#conversation) !== undefined;
  }

  /** Whether it has to be read from the vault again. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** Whether nothing more is taken in. */
  get isDeaf(): boolean {
    return this.isBroken || this.#standing.isStopped;
  }

  /** Whether another conversation counts now between the same two people: then nothing more is sent here. */
  get isReplaced(): boolean {
    return this.#isReplaced;
  }

  /** Whether what waits may be posted. */
  get mayPost(): boolean {
    return this.#paused === undefined && !this.#isReplaced;
  }

  /** Why nothing can be posted. */
  get trouble(): ClientError | undefined {
    if (this.#standing.isStopped) return conversationStopped(this.#standing.evidence);
    if (this.#broken !== undefined) return this.#broken;
    return this.#isReplaced ? conversationReplaced() : this.#paused;
  }

  /** Whether the trouble passes with the next connection, so that own words can be taken for it. */
  get passes(): boolean {
    return this.trouble === this.#paused;
  }

  /** @throws {ClientError} `CONVERSATION_CLOSED`, `CONVERSATION_REPLACED`: nothing new can be sent */
  requireStay(): void {
    if (this.#isReplaced) throw conversationReplaced();
    const departure = departureOf(this.#standing.log.state, this.#context.self, this.#outbox.items);
    if (departure !== undefined) throw departure;
  }

  /** Until the next connection. */
  pause(error: ClientError): void {
    this.#paused = error;
    if (error.refusal !== "CONVERSATION_EXISTS") this.tell(error);
  }

  resume(): void {
    this.#paused = undefined;
  }

  /** Until it is read from the vault again. */
  break(error: ClientError): void {
    this.#broken = error;
    if (isServerFault(error)) {
      const batch = this.#context.vault.batch();
      this.#outbox.storeMessages(batch);
      this.#context.vault.commit(batch);
    }
    this.tell(error);
  }

  /** The client ends. @returns why nobody need wait any longer */
  close(): ClientError {
    this.#broken ??= new ClientError("NOT_CONNECTED", "the client was closed");
    return this.#broken;
  }

  /** Another conversation counts from now on. */
  replace(): void {
    const { vault, now } = this.#context;
    const batch = vault.batch();
    this.#outbox.storeMessages(batch);
    batch.write("replaced", this.#conversation, encodeRecord(replacedSchema, { at: now() }));
    vault.commit(batch);
    this.#isReplaced = true;
  }

  /** @param error by default what stops it for good */
  tell(error = conversationStopped(this.#standing.evidence)): void {
    const { code, refusal, message } = error;
    const isTold = isServerFault(error) && this.#standing.record.size > 0;
    this.#context.onEvent({
      event: "error",
      code: refusal ?? code,
      message,
      conversation: this.#conversation,
      ...(isTold ? { stopped: this.#stopped } : {}),
    });
  }

  get #stopped(): StoppedConversation {
    const { name: to, evidence } = this.#standing;
    return { to, evidence, unsent: this.#outbox.messages.length };
  }
}
