import type { AccountControl } from "./accountControl.ts";
import type { AccountStore } from "./accountStore.ts";
import type { BlobStore } from "./blobStore.ts";
import type { ChangeFeed } from "./changeFeed.ts";
import type { CrlStore } from "./crlStore.ts";
import type { KeyPackageStore } from "./keyPackageStore.ts";
import type { LogStore } from "./logStore.ts";
import type { ReceiptStore } from "./receiptStore.ts";
import type { RestorationStore } from "./restorationStore.ts";
import type { TicketStore } from "./ticketStore.ts";

/**
 * What a server keeps. Every call says what is durable and atomic when its promise resolves; every call may reject with
 * `StoreError`. A write that rejects with `UNAVAILABLE` was stored as a whole or not at all, and the caller does not know
 * which; with any other code nothing was stored. Reads see every write that has resolved. Several processes may work on one store at the same time: what
 * has to be decided once (an account's name, the next index of a log, who takes a key package) is decided here.
 * Times are ms since the epoch and come from the caller.
 */
export interface Store {
  readonly accounts: AccountStore;
  readonly control: AccountControl;
  readonly tickets: TicketStore;
  readonly keyPackages: KeyPackageStore;
  readonly blobs: BlobStore;
  readonly log: LogStore;
  readonly receipts: ReceiptStore;
  readonly restoration: RestorationStore;
  /** Only where other processes can be heard of: what they do, and what they hand on. */
  readonly changes?: ChangeFeed;
  readonly crls?: CrlStore;

  /** Each kind by itself, all of it durable when it resolves. Deletes what has expired: key packages, uploads and blobs that
   *  no entry names after `unnamedBlobMs`, welcomes after `welcomeMs`, tickets that have expired, endings and counters after
   *  `counterMs`, when they have no effect any more; and, when there is a `conversationMs`, conversations whose last entry is
   *  older than that, as `ExpiredConversation` says. Works in small transactions, so that others go on meanwhile. Safe at any
   *  time, also at several processes at once. */
  sweep(request: {
    readonly nowMs: number;
    readonly unnamedBlobMs: number;
    readonly welcomeMs: number;
    readonly counterMs: number;
    readonly conversationMs?: number;
  }): Promise<{ readonly expiredConversations: number }>;

  /** Finishes the writes that were asked for, then lets go of the file or connection. Later calls reject with `CLOSED`. */
  close(): Promise<void>;
}
