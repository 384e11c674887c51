import { decodeUtf8 } from "../base/bytes.ts";
import type { Hex } from "../base/hex.ts";
import { decodeBody, decodeCreateBody } from "../log/bodies.ts";
import { formatCheckpoint } from "../log/checkpoint.ts";
import { type Entry, parseEntry } from "../log/entry.ts";
import type { ReceiptRecord } from "../store/receiptStore.ts";
import type { Store } from "../store/store.ts";
import { transcriptLine } from "./transcriptLine.ts";

const chunkEntries = 256;
const chunkBytes = 1024 * 1024;
const pageConversations = 256;
const pageCertificates = 64;

type Reading = Pick<Store, "log" | "receipts" | "accounts">;

/** For somebody who looks for one of the conversations in a store. */
export interface StoredConversation {
  readonly conversation: Hex;
  readonly size: number;
  /** Who it began with. Under control of who created it, as the title is. */
  readonly names: readonly string[];
  /** Empty for a conversation of two. */
  readonly title: string;
}

/** What a store holds of one conversation, as it was when the reading began: what comes later is left out. */
export interface StoredEvidence {
  readonly size: number;
  /** The line of `checkpoints.jsonl`. */
  readonly checkpoint: string;
  /** Ascending by size. */
  readonly receipts: readonly ReceiptRecord[];
  /** The lines of `transcript.jsonl` without their ends, some at a time. */
  lines(): AsyncGenerator<readonly string[]>;
  /** Of everybody and every server that the lines read so far and the checkpoint name, with their issuing CAs, DER. */
  certificates(): Promise<readonly Uint8Array[]>;
}

/** All conversations of a store, by id. Nothing is verified. */
export async function* storedConversations({ log }: Reading): AsyncGenerator<StoredConversation> {
  for (let after: Hex | undefined; ; ) {
    const page = await log.conversations({ after, limit: pageConversations });
    for (const { conversation, size } of page) {
      const [first] = await log.entries({ conversation, from: 0, limit: 1, maxBytes: 1 });
      if (first === undefined) continue;
      const { roster, title } = decodeCreateBody(parseEntry(first.line).ct);
      yield { conversation, size, names: [...new Set(roster.map(({ username }) => username))], title };
    }
    after = page.at(-1)?.conversation;
    if (after === undefined) return;
  }
}

/**
 * Reads what the server has signed, stored and forwarded of one conversation: the evidence that every member has. Nothing
 * is verified: that is for whoever reads the evidence.
 *
 * @returns `undefined` when there is no such conversation
 */
export async function storedEvidence(store: Reading, conversation: Hex): Promise<StoredEvidence | undefined> {
  // The checkpoint is stored with the last entry that it covers.
  const newest = await store.log.checkpoint(conversation);
  if (newest === undefined) return undefined;
  const { size } = newest;
  const receipts: ReceiptRecord[] = [];
  for (const one of await store.receipts.sizes(conversation)) {
    const receipt = one <= size ? await store.receipts.receipt(conversation, one) : undefined;
    if (receipt !== undefined) receipts.push(receipt);
  }
  const named = new Set<Hex>([newest.server]);
  return {
    size,
    checkpoint: formatCheckpoint({ conversation, ...newest }),
    receipts,
    async *lines() {
      for (let from = 0; from < size; ) {
        const limit = Math.min(chunkEntries, size - from);
        const records = await store.log.entries({ conversation, from, limit, maxBytes: chunkBytes });
        if (records.length === 0) throw new Error(`log ${conversation} ends before entry ${size - 1}`);
        for (const { line } of records)
          for (const fingerprint of namedBy(parseEntry(line))) named.add(fingerprint);
        yield records.map((record) => decodeUtf8(transcriptLine(record))?.slice(0, -1) ?? "");
        from += records.length;
      }
    },
    async certificates() {
      const chains: (readonly Uint8Array[])[] = [];
      const wanted = [...named];
      for (let from = 0; from < wanted.length; from += pageCertificates)
        for (const { chain } of await store.accounts.certificates(
          wanted.slice(from, from + pageCertificates),
        ))
          chains.push(chain);
      return chains.flat();
    },
  };
}

function namedBy(entry: Entry): Hex[] {
  const decoded = decodeBody(entry);
  switch (decoded.kind) {
    case "create":
      return [decoded.body.server.fingerprint, ...decoded.body.roster.map(({ fingerprint }) => fingerprint)];
    case "membership":
      return decoded.body.roster.map(({ fingerprint }) => fingerprint);
    default:
      return [];
  }
}
