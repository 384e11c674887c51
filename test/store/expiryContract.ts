import { describe, expect, test } from "bun:test";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import type { CertificateRecord } from "../../src/store/accountStore.ts";
import type { AppendOutcome, LogAppend } from "../../src/store/logStore.ts";
import type { Store } from "../../src/store/store.ts";
import { certificateRecord, randomHex } from "./certificateRecord.ts";

const day = 86_400_000;
/** Long before whatever the rest of the contract puts into the same store. */
const t0 = 1_400_000_000_000;
const sweepAt = (nowMs: number) => ({ nowMs, unnamedBlobMs: 1, welcomeMs: 1, counterMs: 1 });
const keptTen = { ...sweepAt(t0 + 10 * day), conversationMs: 10 * day };

/** What every backend has to do about conversations whose time is over. */
export function describeExpiry(
  stores: () => { readonly store: Store; readonly other: Store },
  openAgain: () => Promise<Store>,
): void {
  describe("conversations that expire", () => {
    test("sweep() deletes one that is older as a whole, and nothing else", async () => {
      const { store, other } = stores();
      const [alice, bob] = [await withCertificate(store), await withCertificate(store)];
      const shared = systemRandom(30);
      const own = systemRandom(30);
      const [old, young] = [randomHex(16), randomHex(16)];
      // More entries than are deleted at once.
      const blobs = [await putBlob(store, alice, shared), await putBlob(store, alice, own)];
      const pair: readonly [Hex, Hex] = [alice.person, bob.person];
      const lines = 600;
      const first = append(old, alice, { at: t0 - 1, count: lines, pair, members: [alice, bob], blobs });
      await appended(store, first);
      await store.receipts.save(receipt(old, 599), t0);
      const again = await putBlob(store, alice, shared);
      await appended(store, append(young, alice, { at: t0, members: [alice, bob], blobs: [again] }));
      const readable = async (digest: Hex | undefined) =>
        digest !== undefined &&
        (await other.blobs.readBlob({ person: bob.person, sha256: digest, offset: 0, maxBytes: 1 })) !==
          undefined;

      expect(await store.sweep(sweepAt(t0 + 20 * day))).toEqual({ expiredConversations: 0 });
      expect(await other.log.size(old)).toBe(lines);
      expect(await Promise.all(blobs.map(readable))).toEqual([true, true]);
      expect(await store.sweep(keptTen)).toEqual({ expiredConversations: 1 });

      expect(await other.log.expired(old)).toEqual({
        size: lines,
        root: encodeHex(first.entries.at(-1)?.root ?? new Uint8Array(0)),
        expiredAtMs: keptTen.nowMs,
      });
      expect(await other.log.size(old)).toBe(0);
      expect(await other.log.checkpoint(old)).toBeUndefined();
      expect(await other.log.entries({ conversation: old, from: 0, limit: 9, maxBytes: 999 })).toEqual([]);
      expect(await other.log.entryBySeqno(old, alice.fingerprint, 1)).toBeUndefined();
      expect(await other.log.roots(old, [1, lines])).toEqual([undefined, undefined]);
      expect(await other.log.state(old, lines)).toBeUndefined();
      expect([await other.log.members(old), await other.log.readers(old)]).toEqual([[], []]);
      expect(await other.log.visibleSize(old, bob.person)).toBe(0);
      expect([await other.receipts.sizes(old), await other.receipts.receipt(old, 599)]).toEqual([
        [],
        undefined,
      ]);
      expect(await Promise.all(blobs.map(readable))).toEqual([true, false]);
      const listed = { after: undefined, limit: 1_000 };
      expect(await other.log.conversationsOf({ person: bob.person, ...listed })).toEqual([
        { conversation: young, size: 1 },
      ]);
      const all = (await other.log.conversations(listed)).map(({ conversation }) => conversation);
      expect([all.includes(young), all.includes(old)]).toEqual([true, false]);
      // The one whose last entry is exactly as old as that stays, with everything.
      expect(await other.log.expired(young)).toBeUndefined();
      expect(await store.sweep(keptTen)).toEqual({ expiredConversations: 0 });
    });

    test("append() and save() refuse the id of an expired one for ever, the pair begins another", async () => {
      const { store, other } = stores();
      const [alice, bob] = [await withCertificate(store), await withCertificate(store)];
      const [conversation, next] = [randomHex(16), randomHex(16)];
      const pair: readonly [Hex, Hex] = [alice.person, bob.person];
      await appended(store, append(conversation, alice, { at: t0 - 1, pair, members: [alice, bob] }));
      expect(await store.sweep(keptTen)).toEqual({ expiredConversations: 1 });
      for (const request of [
        append(conversation, alice, { at: t0, pair, members: [alice, bob] }),
        append(conversation, alice, { at: t0, expectedSize: 1, seqno: 2 }),
        append(conversation, alice, { at: t0, expectedSize: 1, seqno: 2, members: [bob] }),
      ])
        expect(await other.log.append(request)).toEqual({ kind: "expired" });
      expect(await other.receipts.save(receipt(conversation, 1), t0)).toBe(false);
      await other.log.releasePair(conversation);
      expect(await other.log.size(conversation)).toBe(0);
      await appended(other, append(next, alice, { at: t0, pair, members: [alice, bob] }));
    });

    test("sweep() and append() at the same time: the entry keeps the conversation whole, or is refused", async () => {
      const { store, other } = stores();
      const alice = await withCertificate(store);
      for (let round = 0; round < 4; round++) {
        const conversations = Array.from({ length: 24 }, () => randomHex(16));
        for (const one of conversations)
          await appended(store, append(one, alice, { at: t0 - 1, members: [alice], count: 2 }));
        const sweeping = store.sweep(keptTen);
        const appends: Promise<AppendOutcome>[] = [];
        // One in every turn of the event loop, so that some come between each look of the sweep and what it does then.
        for (const [i, conversation] of conversations.entries()) {
          const members = i % 2 === 0 ? [] : [alice];
          const next = append(conversation, alice, { at: t0, expectedSize: 2, seqno: 3, members });
          appends.push(other.log.append(next));
          await new Promise((resolve) => setImmediate(resolve));
        }
        const outcomes = await Promise.all(appends);
        await sweeping;
        for (const [i, conversation] of conversations.entries()) {
          const size = await other.log.size(conversation);
          const expired = await other.log.expired(conversation);
          expect([outcomes[i]?.kind, size, expired?.size]).toEqual(
            outcomes[i]?.kind === "appended" ? ["appended", 3, undefined] : ["expired", 0, 2],
          );
          const read = await other.log.entries({ conversation, from: 0, limit: 9, maxBytes: 9_999 });
          expect(read).toHaveLength(size);
        }
      }
    });

    test("sweep() by two at the same time lets each expire once", async () => {
      const { store, other } = stores();
      const alice = await withCertificate(store);
      const conversations = Array.from({ length: 20 }, () => randomHex(16));
      for (const conversation of conversations)
        await appended(store, append(conversation, alice, { at: t0 - 1, members: [alice] }));
      const counts = await Promise.all([store.sweep(keptTen), other.sweep(keptTen)]);
      const sum = counts.reduce((all, { expiredConversations }) => all + expiredConversations, 0);
      // One that was locked by the other is left for the next time, and none is counted twice.
      const rest = await store.sweep(keptTen);
      expect(sum + rest.expiredConversations).toBe(conversations.length);
      for (const conversation of conversations) expect((await other.log.expired(conversation))?.size).toBe(1);
    });

    test("sweep() goes on with what one that was interrupted has left", async () => {
      const { store } = stores();
      const alice = await withCertificate(store);
      const conversation = randomHex(16);
      await appended(store, append(conversation, alice, { at: t0 - 1, members: [alice], count: 2_000 }));
      const third = await openAgain();
      const sweeping = third.sweep(keptTen).then(
        () => "done",
        () => "interrupted",
      );
      while ((await store.log.expired(conversation)) === undefined)
        await new Promise((resolve) => setImmediate(resolve));
      await third.close();
      expect(await sweeping).toBe("interrupted");
      const last = { conversation, from: 1_999, limit: 1, maxBytes: 999 };
      expect(await store.log.entries(last)).toHaveLength(1);
      // Without a retention as well: these are gone already.
      await store.sweep(sweepAt(t0));
      expect(await store.log.entries(last)).toEqual([]);
    });
  });
}

function append(
  conversation: Hex,
  sender: CertificateRecord,
  options: {
    at: number;
    expectedSize?: number;
    seqno?: number;
    count?: number;
    pair?: readonly [Hex, Hex];
    members?: readonly CertificateRecord[];
    blobs?: readonly Hex[];
  },
): LogAppend {
  const { at, expectedSize = 0, seqno = 1, count = 1, pair, members = [], blobs = [] } = options;
  const entryOf = (offset: number) => ({
    at: offset === count - 1 ? at : at - 1,
    line: `{"seqno":${seqno + offset}}`,
    sender: sender.fingerprint,
    seqno: seqno + offset,
    root: systemRandom(32),
  });
  const size = expectedSize + count;
  const kind = pair === undefined ? "group" : "direct";
  return {
    conversation,
    expectedSize,
    create: expectedSize === 0 ? { kind, pair } : undefined,
    entries: [entryOf(0), ...Array.from({ length: count - 1 }, (_, i) => entryOf(i + 1))],
    blobs: blobs.map((sha256) => ({ sha256, role: "commit", index: expectedSize, owner: sender.person })),
    members: members.map(({ fingerprint }) => ({ change: "joined", fingerprint, index: expectedSize })),
    closes: false,
    checkpoint: { size, root: randomHex(32), at, server: randomHex(32), sig: systemRandom(70) },
    state: systemRandom(10),
  };
}

async function appended(store: Store, request: LogAppend): Promise<void> {
  expect(await store.log.append(request)).toEqual({ kind: "appended" });
}

async function withCertificate(store: Store): Promise<CertificateRecord> {
  const record = certificateRecord();
  expect(await store.accounts.putCertificate(record, t0)).toBe("stored");
  return record;
}

async function putBlob(
  store: Store,
  { person: uploader }: CertificateRecord,
  data: Uint8Array,
): Promise<Hex> {
  const digest = encodeHex(sha256(data));
  const piece = {
    uploader,
    sha256: digest,
    size: data.length,
    offset: 0,
    data,
    quotaBytes: 1 << 20,
    nowMs: t0,
  };
  await store.blobs.putPiece(piece);
  await store.blobs.finishUpload(uploader, digest, t0);
  return digest;
}

function receipt(conversation: Hex, size: number) {
  return { conversation, size, statement: systemRandom(9), signedData: systemRandom(9), version: 1 };
}
