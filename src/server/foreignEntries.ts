import type { Hex } from "../base/hex.ts";
import type { LogChange } from "../store/changeFeed.ts";
import type { CheckpointRecord, Reader } from "../store/logStore.ts";
import { BoundedCache } from "./boundedCache.ts";
import { checkpointFor } from "./checkpoints.ts";
import { type Delivery, deliver } from "./delivery.ts";
import type { Services } from "./services.ts";

/** Logs of which it is remembered how far they were told, and who reads them. */
const maxTold = 65_536;
const maxReaders = 4_096;
/** Most of one log that is told at once. Of more only the newest entry is: whoever gets that fetches what lies before. */
const maxEntries = 1_024;
const maxBytes = 4 * 1024 * 1024;

type ForeignServices = Pick<Services, "store" | "identity" | "now" | "sessions" | "meter">;

export interface Deliveries {
  readonly deliveries: readonly Delivery[];
  /** By size, for those who see no more than that. */
  readonly checkpoints: ReadonlyMap<number, CheckpointRecord>;
}

export const noDeliveries: Deliveries = { deliveries: [], checkpoints: new Map() };

/**
 * Entries that came into the store past this process: other servers on the same store have put them there, or an answer of the
 * store was lost. Those who are online here are told, once and in the order of the log. Every call for one log must have
 * its turn, between those that append to it.
 */
export class ForeignEntries {
  readonly #services: ForeignServices;
  /** Up to where everybody who is online here was told; unknown where nobody had to be. */
  readonly #told = new BoundedCache<Hex, number>(maxTold);
  /** Good until a change of the members is heard of. */
  readonly #readers = new BoundedCache<Hex, readonly Reader[]>(maxReaders);

  constructor(services: ForeignServices) {
    this.#services = services;
  }

  /** Those who are online have been sent everything up to `size`. @param members whether these are others now */
  told(conversation: Hex, size: number, members: boolean): void {
    this.#told.keep(conversation, size);
    if (members) this.#readers.forget(conversation);
  }

  /** Changes may have been missed. */
  forgetReaders(): void {
    this.#readers.clear();
  }

  /** The logs may be shorter than they were. */
  forget(): void {
    this.#told.clear();
    this.#readers.clear();
  }

  /** Tells those who are online what they have not been told. @throws {StoreError} {Refusal} */
  async tell({ conversation, from: changedFrom, size, members }: LogChange): Promise<void> {
    const { store, sessions, meter } = this.#services;
    if (members) this.#readers.forget(conversation);
    const told = this.#told.find(conversation);
    if (told !== undefined && size <= told) return;
    const from = told ?? changedFrom;
    // Without a query where nobody is concerned: every server hears of every entry.
    const known = sessions.isEmpty
      ? []
      : (this.#readers.find(conversation) ?? (await this.#currentReaders(conversation)));
    if (!known.some((reader) => this.#isOnline(reader, from))) {
      this.#told.forget(conversation);
      return;
    }
    const checkpoint = await store.log.checkpoint(conversation);
    if (checkpoint === undefined || checkpoint.size <= from) return;
    // What came after the change that was heard of may have changed the members.
    const readers = checkpoint.size > size ? await this.#currentReaders(conversation) : known;
    const { deliveries, checkpoints } = await this.#between(conversation, from, checkpoint.size, readers);
    const checkpointOver = (covered: number) => checkpoints.get(covered) ?? checkpoint;
    deliver({ conversation, deliveries, checkpoint, sessions, meter, checkpointOver });
    this.#told.keep(conversation, checkpoint.size);
  }

  /** @returns what those who are online have to be sent before the entry at `index` @throws {StoreError} {Refusal} */
  async before(conversation: Hex, index: number): Promise<Deliveries> {
    const told = this.#told.find(conversation);
    if (told === undefined || told >= index) return noDeliveries;
    return this.#between(conversation, told, index, await this.#currentReaders(conversation));
  }

  async #between(
    conversation: Hex,
    from: number,
    size: number,
    readers: readonly Reader[],
  ): Promise<Deliveries> {
    const { log } = this.#services.store;
    const online = readers.filter((reader) => this.#isOnline(reader, from));
    if (online.length === 0) return noDeliveries;
    const request = { conversation, from, limit: size - from, maxBytes };
    const some = request.limit > maxEntries ? [] : await log.entries(request);
    const records =
      some.length === request.limit ? some : await log.entries({ ...request, from: size - 1, limit: 1 });
    const checkpoints = new Map<number, CheckpointRecord>();
    for (const { until } of online) {
      if (until === undefined || until >= size || checkpoints.has(until)) continue;
      const checkpoint = await checkpointFor(this.#services, conversation, until);
      if (checkpoint !== undefined) checkpoints.set(until, checkpoint);
    }
    const deliveries = records.map((record) => ({
      ...record,
      audience: online
        .filter(({ until }) => until === undefined || record.index < until)
        .map(({ person }) => person),
      post: undefined,
    }));
    return { deliveries, checkpoints };
  }

  /** Whether somebody is here who sees the entry at `from`. */
  #isOnline({ person, until }: Reader, from: number): boolean {
    return (until === undefined || until > from) && this.#services.sessions.has(person);
  }

  async #currentReaders(conversation: Hex): Promise<readonly Reader[]> {
    const era = this.#readers.era;
    const readers = await this.#services.store.log.readers(conversation);
    if (era === this.#readers.era) this.#readers.keep(conversation, readers);
    return readers;
  }
}
