import { encodeAcknowledgeBody } from "../log/bodies.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { ConversationSteps } from "./conversationSteps.ts";
import type { Impediments } from "./impediments.ts";
import { type Outbox, outcomeOf, type Sent } from "./outbox.ts";
import type { Poster } from "./poster.ts";
import type { Standing } from "./standing.ts";
import type { VaultBatch } from "./vault.ts";

/** What the own person says in a conversation. It waits in the outbox, and is in the vault within one turn of the event loop. */
export class OwnEntries {
  readonly #context: ConversationContext;
  readonly #standing: Standing;
  readonly #outbox: Outbox;
  readonly #impediments: Impediments;
  readonly #poster: Poster;
  readonly #steps: ConversationSteps;
  readonly #onBroken: (error: unknown) => void;
  #isKeeping = false;

  constructor(options: {
    context: ConversationContext;
    standing: Standing;
    outbox: Outbox;
    impediments: Impediments;
    poster: Poster;
    steps: ConversationSteps;
    /** The vault has refused them. */
    onBroken: (error: unknown) => void;
  }) {
    this.#context = options.context;
    this.#standing = options.standing;
    this.#outbox = options.outbox;
    this.#impediments = options.impediments;
    this.#poster = options.poster;
    this.#steps = options.steps;
    this.#onBroken = options.onBroken;
  }

  /** An entry of the outbox, durable with the next tick. */
  add(kind: "message" | "acknowledge" | "leave", content: Uint8Array): Promise<Sent> {
    const { trouble, passes } = this.#impediments;
    if (trouble !== undefined && !passes) return Promise.reject(trouble);
    const item = this.#outbox.add(kind, content, "last");
    this.#steps.wake();
    this.#keepSoon();
    return trouble === undefined ? outcomeOf(item) : Promise.reject(trouble);
  }

  /** Takes over words from another conversation. @param batch becomes durable with them @returns where they stand */
  take(contents: readonly Uint8Array[], batch: VaultBatch): Promise<Sent>[] {
    const items = contents.map((content) => this.#outbox.add("message", content, "last"));
    for (const item of items) this.#outbox.store(item, batch);
    this.#context.vault.commit(batch);
    this.#steps.wake();
    const { trouble } = this.#impediments;
    return items.map((item) => (trouble === undefined ? outcomeOf(item) : Promise.reject(trouble)));
  }

  /** Posts an `acknowledge` when something stands that no own entry has covered. */
  async acknowledge(): Promise<void> {
    // There has to be somebody to say it to, now and when all is said.
    this.#context.connection();
    await this.#steps.idle();
    this.#context.connection();
    if (!this.owesAcknowledgement) return;
    await this.add("acknowledge", encodeAcknowledgeBody(this.#standing.complaints));
    await this.#steps.idle();
  }

  /** Whether somebody else has said something that no own entry covers. */
  get owesAcknowledgement(): boolean {
    const { log } = this.#standing;
    const { fingerprint } = this.#context.self.certificate;
    const own = log.state?.senders.get(fingerprint);
    if (own === undefined || !own.inRoster || own.left) return false;
    return log.lastStatementOfOthers(fingerprint) >= own.lastViewSize;
  }

  /** Makes what was added durable now. */
  keep(): void {
    if (this.#impediments.isBroken) return;
    try {
      this.#poster.keep();
    } catch (error) {
      this.#onBroken(error);
    }
  }

  /** A step that waits for the server must not keep what is added meanwhile from the vault. What is added in one tick goes together. */
  #keepSoon(): void {
    if (this.#isKeeping) return;
    this.#isKeeping = true;
    setImmediate(() => {
      this.#isKeeping = false;
      this.keep();
    });
  }
}
