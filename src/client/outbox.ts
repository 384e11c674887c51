import { equalBytes } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { computeCommitment, type Entry, type EntryKind, openingBytes } from "../log/entry.ts";
import type { ClientError } from "./clientError.ts";
import type { ConversationContext } from "./conversationContext.ts";
import type { VaultBatch } from "./vault.ts";
import { decodeRecord, encodeRecord, numberedKey, numberOfKey, outgoingSchema } from "./vaultRecords.ts";

/** Where an own message has come to stand. */
export interface Sent {
  readonly seqno: number;
  readonly index: number;
  readonly at: number;
}

/** An own entry that does not stand in the log yet. */
export interface OutgoingItem {
  readonly order: number;
  readonly kind: EntryKind;
  /** `message`: the words in UTF-8, which stay; else the body. */
  content: Uint8Array;
  /** `message`: drawn when the words were added, and theirs from then on. */
  opening: Uint8Array | undefined;
  seqno: number | undefined;
  /** What was signed last. */
  line: string | undefined;
  /** Whether `line` is on its way, or was accepted and is not taken in yet. */
  inFlight: boolean;
  /** Whether `line` was refused, so that it has to be signed again. */
  refused: boolean;
  /** Whether the vault has it as it is here. */
  isStored: boolean;
  /** Whether the vault has it, signed or not, and that was told. */
  isKept: boolean;
  settle: { resolve: (sent: Sent) => void; reject: (error: ClientError) => void } | undefined;
}

/**
 * Own entries in the order in which they will stand, from when they are made until the log has them; as durable as the
 * vault. Those that were signed come first, by seqno. A seqno that was signed for a message stays with its
 * words and opening, unless the log has given it to another entry or an own commit has to stand first.
 */
export class Outbox {
  readonly #conversation: Hex;
  readonly #random: (length: number) => Uint8Array;
  #items: OutgoingItem[];
  #nextOrder: number;

  constructor({ vault, random }: Pick<ConversationContext, "vault" | "random">, conversation: Hex) {
    this.#conversation = conversation;
    this.#random = random;
    const items = vault.list("outgoing", `${conversation}/`).map(({ key, value }): OutgoingItem => {
      const record = decodeRecord(outgoingSchema, value, "outgoing entry");
      return {
        order: numberOfKey(key),
        kind: record.kind,
        content: record.content,
        opening: record.opening ?? undefined,
        seqno: record.seqno ?? undefined,
        line: record.line ?? undefined,
        inFlight: false,
        refused: false,
        isStored: true,
        isKept: true,
        settle: undefined,
      };
    });
    this.#nextOrder = Math.max(0, ...items.map(({ order }) => order + 1));
    const signed = items.filter(({ seqno }) => seqno !== undefined);
    signed.sort((a, b) => (a.seqno ?? 0) - (b.seqno ?? 0));
    this.#items = [...signed, ...items.filter(({ seqno }) => seqno === undefined)];
  }

  get items(): readonly OutgoingItem[] {
    return this.#items;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Those whose answer or entry is awaited: the first ones of `items`. */
  get inFlight(): readonly OutgoingItem[] {
    const end = this.#items.findIndex((item) => !item.inFlight);
    return this.#items.slice(0, end < 0 ? this.#items.length : end);
  }

  /** The caller sees to it that it is stored. */
  add(kind: EntryKind, content: Uint8Array, place: "last" | "before unsigned"): OutgoingItem {
    const item: OutgoingItem = {
      order: this.#nextOrder++,
      kind,
      content,
      opening: kind === "message" ? this.#random(openingBytes) : undefined,
      seqno: undefined,
      line: undefined,
      inFlight: false,
      refused: false,
      isStored: false,
      isKept: false,
      settle: undefined,
    };
    const unsigned = this.#items.findIndex(({ seqno }) => seqno === undefined);
    if (place === "last" || unsigned < 0) this.#items.push(item);
    else this.#items.splice(unsigned, 0, item);
    return item;
  }

  store(item: OutgoingItem, batch: VaultBatch): void {
    const { order, kind, content, opening, seqno, line } = item;
    item.isStored = true;
    batch.write(
      "outgoing",
      numberedKey(this.#conversation, order),
      encodeRecord(outgoingSchema, {
        kind,
        content,
        opening: opening ?? null,
        seqno: seqno ?? null,
        line: line ?? null,
      }),
    );
  }

  /** Stores words that the vault does not have yet. */
  storeMessages(batch: VaultBatch): void {
    for (const item of this.messages) if (!item.isStored) this.store(item, batch);
  }

  remove(item: OutgoingItem, batch: VaultBatch): void {
    this.#items = this.#items.filter((other) => other !== item);
    batch.remove("outgoing", numberedKey(this.#conversation, item.order));
  }

  /**
   * An own entry stands in the log: finds the item that it came from and takes it out. Words are known by their commitment,
   * whatever seqno they were to have here: a restored vault may be behind. Items that lost a seqno to another entry are signed
   * anew under the next ones.
   */
  land(entry: Entry, line: string, batch: VaultBatch): OutgoingItem | undefined {
    const item = this.#items.find((one) => one.line === line || isOrigin(one, entry));
    if (item !== undefined) this.remove(item, batch);
    if (this.#items.some(({ seqno }) => seqno === entry.seqno)) this.#displace(this.#items, batch);
    return item;
  }

  /**
   * What was signed before an own commit and can't be posted before it makes room: it is signed anew behind it. For when the
   * log has been fetched, and so shows that none of it stands.
   */
  giveWay(batch: VaultBatch): void {
    const commit = this.#items.find(isCommit);
    if (commit === undefined) return;
    this.#displace(this.#items, batch);
    const before = this.#items.slice(0, this.#items.indexOf(commit));
    const free = before.filter(({ kind }) => kind === "acknowledge");
    const held = before.filter(({ kind }) => kind !== "acknowledge");
    this.#items = [...free, commit, ...held, ...this.#items.slice(before.length + 1)];
  }

  /** What was signed under a seqno that the log has given to another entry, and has itself not landed, is signed anew. */
  renumber(nextSeqno: number, batch: VaultBatch): void {
    if (this.#items.some(({ seqno }) => seqno !== undefined && seqno < nextSeqno))
      this.#displace(this.#items, batch);
  }

  #displace(items: readonly OutgoingItem[], batch: VaultBatch): void {
    for (const item of items)
      if (item.seqno !== undefined) {
        item.seqno = undefined;
        item.line = undefined;
        this.store(item, batch);
      }
  }

  /** The connection is gone: nothing is on its way any more. */
  landed(): void {
    for (const item of this.#items) item.inFlight = false;
  }

  /** Nobody waits any longer; the items stay for the next time. */
  rejectAll(error: ClientError): void {
    for (const item of this.#items) {
      item.settle?.reject(error);
      item.settle = undefined;
    }
  }

  /** Words that do not stand yet, in their order; of those on their way it is not known. */
  get messages(): readonly OutgoingItem[] {
    return this.#items.filter(({ kind, inFlight }) => kind === "message" && !inFlight);
  }

  /** Takes them out, for another conversation with the same person. @returns the words */
  takeMessages(batch: VaultBatch): Uint8Array[] {
    const moved = this.messages;
    for (const item of moved) this.remove(item, batch);
    return moved.map(({ content }) => content);
  }
}

/** @returns where the entry comes to stand; rejects when nobody can wait for that any longer */
export function outcomeOf(item: OutgoingItem): Promise<Sent> {
  return new Promise((resolve, reject) => {
    item.settle = { resolve, reject };
  });
}

/** The others in the group take their keys from it. */
export function isCommit({ kind }: { kind: string }): boolean {
  return kind === "create" || kind === "membership";
}

function isOrigin({ kind, content, opening, seqno }: OutgoingItem, entry: Entry): boolean {
  if (kind !== entry.kind) return false;
  if (kind !== "message") return seqno === entry.seqno && equalBytes(entry.ct, content);
  return (
    opening !== undefined && computeCommitment({ ...entry, opening, plaintext: content }) === entry.commitment
  );
}
