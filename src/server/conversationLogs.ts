import { encodeHex, type Hex } from "../base/hex.ts";
import { decodeBody } from "../log/bodies.ts";
import { type LogContext, type LogState, verifyEntry } from "../log/conversationLog.ts";
import { type Entry, parseEntry } from "../log/entry.ts";
import { LogError } from "../log/logError.ts";
import type { EntryRecord, LogStore } from "../store/logStore.ts";
import { StoreError } from "../store/storeError.ts";
import { BoundedCache } from "./boundedCache.ts";
import type { CertificateBook } from "./certificateBook.ts";
import { decodeLogState } from "./logStateRecord.ts";
import { TimeSlice } from "./turns.ts";

const maxLogs = 4_096;
/** Newest roots that are kept in memory per log: most views are that fresh. */
const maxRoots = 64;
/** Entries that are read at once. */
const chunkEntries = 256;
const chunkBytes = 4 * 1024 * 1024;

/** A log as far as the server has followed it, and its newest roots by size. */
export interface FollowedLog {
  readonly state: LogState;
  readonly roots: ReadonlyMap<number, Hex>;
}

/**
 * The states of the logs in the store. What is kept in memory is checked against the store's size before it is used, so
 * that several processes may append to the same logs.
 */
export class ConversationLogs {
  readonly #store: LogStore;
  readonly #certificates: CertificateBook;
  readonly #onLost: (conversation: Hex) => Promise<void>;
  readonly #followed = new BoundedCache<Hex, FollowedLog>(maxLogs);

  /** @param onLost the store has fewer entries of a log than it once had */
  constructor(store: LogStore, certificates: CertificateBook, onLost: (conversation: Hex) => Promise<void>) {
    this.#store = store;
    this.#certificates = certificates;
    this.#onLost = onLost;
  }

  /** @returns the log up to its end, or `undefined` when there is none */
  async open(conversation: Hex): Promise<FollowedLog | undefined> {
    const known = this.#followed.find(conversation);
    const size = await this.#store.size(conversation);
    // What was durable is gone: nothing may come to stand in its place.
    const isShorter = known !== undefined && known.state.size > size;
    if (isShorter && (await this.#store.expired(conversation)) === undefined)
      await this.#onLost(conversation);
    if (size === 0) return undefined;
    if (known?.state.size === size) return known;
    const isBehind = known !== undefined && known.state.size < size;
    try {
      const log = await this.#follow(conversation, size, isBehind ? known : undefined);
      this.#followed.keep(conversation, log);
      return log;
    } catch (error) {
      // It may have expired while it was being read.
      if ((await this.#store.size(conversation)) === 0) return undefined;
      throw error;
    }
  }

  /** @returns the state of the first `size` entries, which are there */
  async stateAt(conversation: Hex, size: number): Promise<LogState> {
    const log = this.#followed.find(conversation);
    return log?.state.size === size ? log.state : (await this.#follow(conversation, size, undefined)).state;
  }

  /** Forgets how long the logs were: that they are shorter is known of all. */
  forget(): void {
    this.#followed.clear();
  }

  /** The log goes on from here: what was judged is in the store now. */
  advance(state: LogState, roots: ReadonlyMap<number, Hex>): void {
    this.#followed.keep(state.conversation, { state, roots: newest(roots) });
  }

  /** Brings at hand what the rules need for these entries: certificates, and roots of old views. */
  async prepare(
    conversation: Hex,
    known: ReadonlyMap<number, Hex> | undefined,
    entries: readonly Entry[],
  ): Promise<LogContext> {
    const fingerprints = new Set<Hex>();
    const sizes = new Set<number>();
    const roots = new Map(known);
    for (const entry of entries) {
      for (const fingerprint of certificatesOf(entry)) fingerprints.add(fingerprint);
      if (entry.view.size > 0 && !roots.has(entry.view.size)) sizes.add(entry.view.size);
    }
    await this.#certificates.load(fingerprints);
    const wanted = [...sizes];
    const found = wanted.length === 0 ? [] : await this.#store.roots(conversation, wanted);
    for (const [i, size] of wanted.entries()) {
      const root = found[i];
      if (root !== undefined) roots.set(size, encodeHex(root));
    }
    return {
      certificateAt: (fingerprint, atMs) => this.#certificates.at(fingerprint, atMs),
      rootAt: (size) => roots.get(size),
    };
  }

  /**
   * Goes on from `from`, or from the newest state that is stored, to `size`. What is read was judged before it was stored: an
   * entry that does not stand now, or another root than the one that was signed then, means that the store has been changed.
   *
   * @throws {StoreError} `CORRUPT`
   */
  async #follow(conversation: Hex, size: number, from: FollowedLog | undefined): Promise<FollowedLog> {
    let state = from?.state ?? (await this.#storedState(conversation, size));
    const roots = new Map(from?.roots);
    const slice = new TimeSlice();
    while ((state?.size ?? 0) < size) {
      const records: readonly EntryRecord[] = await this.#store.entries({
        conversation,
        from: state?.size ?? 0,
        limit: Math.min(chunkEntries, size - (state?.size ?? 0)),
        maxBytes: chunkBytes,
      });
      if (records.length === 0) throw corrupt(conversation, `it ends before entry ${size - 1}`);
      const entries = records.map(parseStored);
      const context = await this.prepare(conversation, roots, entries);
      for (const [i, entry] of entries.entries()) {
        await slice.orNextTurn();
        const before = state;
        state = sound(() => verifyEntry(before, entry, records[i]?.at ?? 0, context));
        roots.set(state.size, state.root);
      }
    }
    const [root] = await this.#store.roots(conversation, [size]);
    if (state === undefined || root === undefined || encodeHex(root) !== state.root)
      throw corrupt(conversation, `its first ${size} entries have another root`);
    return { state, roots: newest(roots) };
  }

  async #storedState(conversation: Hex, size: number): Promise<LogState | undefined> {
    const stored = await this.#store.state(conversation, size);
    return stored === undefined ? undefined : decodeLogState(stored.state);
  }
}

/** @throws {StoreError} `CORRUPT` */
export function parseStored({ line }: EntryRecord): Entry {
  return sound(() => parseEntry(line));
}

/** What was judged before it was stored is no fault of the client that asks: it must not be told the code of a rule. */
function sound<T>(judge: () => T): T {
  try {
    return judge();
  } catch (cause) {
    if (!(cause instanceof LogError)) throw cause;
    throw new StoreError("CORRUPT", `an entry in the store is damaged: ${cause.message}`, { cause });
  }
}

/** The certificates that the rules look at for this entry. */
export function certificatesOf(entry: Entry): Hex[] {
  if (entry.kind !== "create" && entry.kind !== "membership") return [entry.sender];
  try {
    const body = decodeBody(entry);
    if (body.kind !== "create" && body.kind !== "membership") return [entry.sender];
    const server = body.kind === "create" ? [body.body.server.fingerprint] : [];
    return [entry.sender, ...server, ...body.body.roster.map(({ fingerprint }) => fingerprint)];
  } catch {
    // The rules refuse a body that can't be read before they ask for anything.
    return [entry.sender];
  }
}

function corrupt(conversation: Hex, what: string): StoreError {
  return new StoreError("CORRUPT", `the log ${conversation} in the store is damaged: ${what}`);
}

function newest(roots: ReadonlyMap<number, Hex>): ReadonlyMap<number, Hex> {
  return roots.size <= maxRoots ? roots : new Map([...roots].sort(([a], [b]) => a - b).slice(-maxRoots));
}
