import type { Hex } from "../base/hex.ts";
import { ClientError } from "./clientError.ts";
import type { StoppedConversation } from "./clientEvents.ts";
import type { ConversationContext } from "./conversationContext.ts";
import {
  conversationExpired,
  conversationReplaced,
  conversationStopped,
  isServerFault,
} from "./conversationErrors.ts";
import { departureOf } from "./departure.ts";
import type { Outbox } from "./outbox.ts";
import type { Standing } from "./standing.ts";
import {
  decodeRecord,
  type ExpiredRecord,
  encodeRecord,
  expiredSchema,
  keptDaysOf,
  replacedSchema,
} from "./vaultRecords.ts";

/**
 * What keeps a conversation from going on: for good, because the server has contradicted itself or let it expire, or another
 * conversation has taken its place; until it is read from the vault again; or until the next connection. Whatever it is, own words that were taken are kept.
 */
export class Impediments {
  readonly #context: ConversationContext;
  readonly #conversation: Hex;
  readonly #standing: Standing;
  readonly #outbox: Outbox;
  #broken: ClientError | undefined;
  #paused: ClientError | undefined;
  #isReplaced: boolean;
  #expired: ExpiredRecord | undefined;

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
    const { vault } = this.#context;
    this.#isReplaced = vault.read("replaced", this.#conversation) !== undefined;
    const expired = vault.read("expired", this.#conversation);
    this.#expired = expired && decodeRecord(expiredSchema, expired, "expired conversation");
  }

  /** Whether it has to be read from the vault again. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** Whether nothing more is taken in. */
  get isDeaf(): boolean {
    return this.isBroken || this.#standing.isStopped || this.isExpired;
  }

  /** Whether another conversation counts now between the same two people: then nothing more is sent here. */
  get isReplaced(): boolean {
    return this.#isReplaced;
  }

  /** Whether the server has deleted it. */
  get isExpired(): boolean {
    return this.#expired !== undefined;
  }

  /** Whether what waits may be posted. */
  get mayPost(): boolean {
    return this.#paused === undefined && !this.#isReplaced && !this.isExpired;
  }

  /** Why nothing can be posted. */
  get trouble(): ClientError | undefined {
    if (this.#standing.isStopped) return conversationStopped(this.#standing.evidence);
    if (this.#broken !== undefined) return this.#broken;
    if (this.#isReplaced) return conversationReplaced();
    return this.#expiry ?? this.#paused;
  }

  /** Whether the trouble passes with the next connection, so that own words can be taken for it. */
  get passes(): boolean {
    return this.trouble === this.#paused;
  }

  /** @throws {ClientError} `CONVERSATION_CLOSED`, `CONVERSATION_REPLACED`, `CONVERSATION_EXPIRED`: nothing new can be sent */
  requireStay(): void {
    if (this.#isReplaced) throw conversationReplaced();
    if (this.#expiry !== undefined) throw this.#expiry;
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

  /** Another list of revoked certificates may let those be removed that were in the way. */
  revocationsChanged(): void {
    const { code, refusal = code } = this.#paused ?? {};
    if (refusal === "REKEY_NEEDED") this.resume();
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
    this.#end("replaced", encodeRecord(replacedSchema, { at: this.#context.now() }));
    this.#isReplaced = true;
  }

  /** The server has deleted it. @param refusal with which it said so @returns why nobody need wait any longer */
  expire({ detail }: ClientError): ClientError {
    const record: ExpiredRecord = { at: this.#context.now(), kept_days: keptDaysOf(detail) };
    this.#end("expired", encodeRecord(expiredSchema, record));
    this.#expired = record;
    const { name: to, folder, record: standing, log } = this.#standing;
    this.#context.onEvent({
      event: "expired",
      conversation: this.#conversation,
      to,
      keptDays: record.kept_days,
      folder: folder.path,
      countersigned: standing.receipt_complete && standing.receipt_size === log.size,
      unsent: this.#outbox.messages.length,
    });
    return conversationExpired(record.kept_days, folder.path);
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

  get #expiry(): ClientError | undefined {
    if (this.#expired === undefined) return undefined;
    return conversationExpired(this.#expired.kept_days, this.#standing.folder.path);
  }

  /** What was not sent stays in the vault. */
  #end(collection: "replaced" | "expired", record: Uint8Array): void {
    const { vault } = this.#context;
    const batch = vault.batch();
    this.#outbox.storeMessages(batch);
    batch.write(collection, this.#conversation, record);
    vault.commit(batch);
  }

  get #stopped(): StoppedConversation {
    const { name: to, evidence } = this.#standing;
    return { to, evidence, unsent: this.#outbox.messages.length };
  }
}
