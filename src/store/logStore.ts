import type { Hex } from "../base/hex.ts";
import type { BlobRole } from "./blobStore.ts";

export interface EntryRecord {
  readonly index: number;
  /** The server's receive time, ms. */
  readonly at: number;
  /** The entry as its sender sent it. */
  readonly line: string;
}

export interface NewEntry {
  readonly at: number;
  readonly line: string;
  readonly sender: Hex;
  readonly seqno: number;
  /** Root of the log with this entry as its last, 32 bytes. */
  readonly root: Uint8Array;
}

export interface CheckpointRecord {
  readonly size: number;
  readonly root: Hex;
  readonly at: number;
  /** Fingerprint of the certificate that signed it. */
  readonly server: Hex;
  readonly sig: Uint8Array;
}

/** Entries that go to the end of one log together. */
export interface LogAppend {
  readonly conversation: Hex;
  /** How many entries the caller has judged them after; 0 creates the conversation. */
  readonly expectedSize: number;
  /** Given exactly when `expectedSize` is 0. `pair`: the two persons of a direct conversation. */
  readonly create:
    | { readonly kind: "direct" | "group"; readonly pair: readonly [Hex, Hex] | undefined }
    | undefined;
  readonly entries: readonly [NewEntry, ...NewEntry[]];
  /** Blobs that the entries name; `owner` must have uploaded each. */
  readonly blobs: readonly {
    readonly sha256: Hex;
    readonly role: BlobRole;
    readonly index: number;
    readonly owner: Hex;
  }[];
  /** Certificates that the entry at `index` puts into the roster or takes out of it (those see the log up to and with
   *  that entry), in the order of the entries. They are in the store already. */
  readonly members: readonly {
    readonly change: "joined" | "gone";
    readonly fingerprint: Hex;
    readonly index: number;
  }[];
  /** Whether the log is closed with these entries: a direct pair may then begin another. */
  readonly closes: boolean;
  /** Over the log with all of `entries`. */
  readonly checkpoint: CheckpointRecord;
  /** The caller's own form of what follows from all entries so far, to begin from later. */
  readonly state: Uint8Array | undefined;
}

export type AppendOutcome =
  | { readonly kind: "appended" }
  /** The log has another size than expected. */
  | { readonly kind: "conflict"; readonly size: number }
  /** The pair has an open conversation already. */
  | { readonly kind: "pair_exists"; readonly conversation: Hex }
  /** A blob is not (or no longer) there, or not the owner's. */
  | { readonly kind: "blob_missing"; readonly sha256: Hex };

/** What a person sees of a log. */
export interface Reader {
  readonly person: Hex;
  /** So many entries from the beginning; `undefined`: all, while it is a member. */
  readonly until: number | undefined;
}

/** The conversations' logs, members and newest checkpoints. */
export interface LogStore {
  /** Appends all or nothing. When the promise resolves with `appended`, entries, members, blob references, checkpoint
   *  and state are durable together: they survive the crash of process and machine. Any other outcome changed nothing.
   *  When it rejects with `UNAVAILABLE` the caller doesn't know and has to read again. Appends that are asked for within one turn of the
   *  event loop may share one commit. */
  append(append: LogAppend): Promise<AppendOutcome>;

  /** When it resolves, durably, this conversation no longer counts as the open one of its two persons; nothing else changes. */
  releasePair(conversation: Hex): Promise<void>;

  /** Appends what `judge` makes of the log while nobody else can append to it: those who want to come one after the other, so
   *  that nobody is always too late. `judge` may be called again, from the beginning. Only a log that is just being created
   *  can conflict.
   *  @returns what `judge` returned last, and what became of its append, if it had one */
  appendInTurn<J extends { readonly append: LogAppend | undefined }>(
    conversation: Hex,
    judge: () => Promise<J>,
  ): Promise<{ readonly judged: J; readonly outcome: AppendOutcome | undefined }>;

  /** @returns entries `from`, `from` + 1, …, at most `limit` and `maxBytes` of lines, but at least one if there is one */
  entries(request: {
    readonly conversation: Hex;
    readonly from: number;
    readonly limit: number;
    readonly maxBytes: number;
  }): Promise<readonly EntryRecord[]>;

  entryBySeqno(conversation: Hex, sender: Hex, seqno: number): Promise<EntryRecord | undefined>;

  /** @returns the 32-byte roots of the prefixes of `sizes` (each at least 1), `undefined` where the log is shorter */
  roots(conversation: Hex, sizes: readonly number[]): Promise<readonly (Uint8Array | undefined)[]>;

  size(conversation: Hex): Promise<number>;

  checkpoint(conversation: Hex): Promise<CheckpointRecord | undefined>;

  /** @returns the newest state that was stored with at most `maxSize` entries */
  state(
    conversation: Hex,
    maxSize: number,
  ): Promise<{ readonly size: number; readonly state: Uint8Array } | undefined>;

  /** @returns how many entries from the beginning the person sees: all while one of its certificates is in the roster;
   *  0 if it never was a member or there is no such conversation */
  visibleSize(conversation: Hex, person: Hex): Promise<number>;

  /** @returns the persons who see the whole log */
  members(conversation: Hex): Promise<readonly Hex[]>;

  /** @returns everybody who sees something of the log, in no particular order */
  readers(conversation: Hex): Promise<readonly Reader[]>;

  /** @returns conversations that the person sees, by ascending id, after `after`, with the size that it sees */
  conversationsOf(request: {
    readonly person: Hex;
    readonly after: Hex | undefined;
    readonly limit: number;
  }): Promise<readonly { readonly conversation: Hex; readonly size: number }[]>;

  /** @returns all conversations, by ascending id, after `after` */
  conversations(request: {
    readonly after: Hex | undefined;
    readonly limit: number;
  }): Promise<readonly { readonly conversation: Hex; readonly size: number }[]>;
}
