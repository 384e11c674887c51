import type { Hex } from "../base/hex.ts";
import type { LogState } from "../log/conversationLog.ts";
import { maxEntriesPerAnswer } from "../wire/sessionMessages.ts";
import type { FollowedLog } from "./conversationLogs.ts";
import { fetchEntries } from "./directory.ts";
import { personsOf } from "./person.ts";
import type { Services } from "./services.ts";
import type { Session } from "./sessionRegistry.ts";

/** What was known when an append was asked for whose outcome nobody was told. */
interface Uncertain {
  /** Entries up to here were delivered. */
  readonly size: number;
  readonly persons: ReadonlySet<Hex>;
}

type LateServices = Pick<Services, "store" | "identity" | "now" | "sessions">;

/**
 * Entries that came to stand without this server's knowing: the store took them and its answer was lost. Their posters
 * were told that the outcome is unknown; those who are online are pushed them as soon as the store can be asked.
 */
export class LateDelivery {
  readonly #services: LateServices;
  readonly #uncertain = new Map<Hex, Uncertain>();

  constructor(services: LateServices) {
    this.#services = services;
  }

  /** The conversations whose end is not known. */
  get conversations(): readonly Hex[] {
    return [...this.#uncertain.keys()];
  }

  has(conversation: Hex): boolean {
    return this.#uncertain.has(conversation);
  }

  /** An append behind `state` has failed, perhaps only its answer. */
  note(conversation: Hex, state: LogState | undefined): void {
    if (this.#uncertain.has(conversation)) return;
    const persons = state === undefined ? new Set<Hex>() : personsOf(state);
    this.#uncertain.set(conversation, { size: state?.size ?? 0, persons });
  }

  /** In the log's turn, before anything else of it is delivered: pushes what had come to stand. @throws {StoreError} */
  async settle(conversation: Hex, log: FollowedLog | undefined): Promise<void> {
    const uncertain = this.#uncertain.get(conversation);
    if (uncertain === undefined) return;
    if (log !== undefined && log.state.size > uncertain.size)
      for (const person of uncertain.persons.union(personsOf(log.state)))
        for (const session of this.#services.sessions.of(person))
          await this.#push(session, conversation, uncertain.size);
    this.#uncertain.delete(conversation);
  }

  /** As much as the session may see from `from` on. */
  async #push(session: Session, conversation: Hex, from: number): Promise<void> {
    for (let next = from; ; ) {
      const request = {
        type: "fetch_entries",
        id: 1,
        conversation,
        from: next,
        limit: maxEntriesPerAnswer,
      } as const;
      const { entries, checkpoint } = await fetchEntries(request, session.member, this.#services);
      if (entries.length === 0) return;
      session.send({ type: "pushed", conversation, from: next, entries, checkpoint });
      next += entries.length;
    }
  }
}
