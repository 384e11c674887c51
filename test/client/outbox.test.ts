import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { Outbox, type OutgoingItem } from "../../src/client/outbox.ts";
import { Vault } from "../../src/client/vault.ts";
import { crypto, type PrivateKey } from "../../src/crypto/crypto.ts";
import { systemRandom as random } from "../../src/crypto/systemRandom.ts";
import { computeCommitment, type Entry, formatEntry } from "../../src/log/entry.ts";

let folder: string;
let key: PrivateKey;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "securechat-outbox-"));
  key = crypto().importPrivateKey(await crypto().generatePrivateKey("p256"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const conversation = encodeHex(random(16));
const sender = encodeHex(random(32));

function openOutbox(name: string) {
  const vault = Vault.open({ file: join(folder, name), key, random });
  const outbox = new Outbox({ vault, random }, conversation);
  const commit = (change: (batch: ReturnType<Vault["batch"]>) => unknown) => {
    const batch = vault.batch();
    const result = change(batch);
    vault.commit(batch);
    return result;
  };
  return { vault, outbox, commit, [Symbol.dispose]: () => vault.close() };
}

/** Words that were signed under a seqno and are not known to stand. */
function signed(outbox: Outbox, text: string, seqno: number): OutgoingItem {
  const item = outbox.add("message", encodeUtf8(text), "last");
  item.seqno = seqno;
  item.line = `line ${seqno}`;
  return item;
}

/** What stands when these words were signed under this seqno, by whichever client, and sealed under any key. */
function entryOf({ content: plaintext, opening }: OutgoingItem, seqno: number): Entry {
  if (opening === undefined) throw new Error("words without an opening");
  const commitment = computeCommitment({ opening, conversation, sender, seqno, plaintext });
  const view: { size: number; root: Hex } = { size: 1, root: encodeHex(random(32)) };
  const sealed = { ct: random(64), sig: random(70) };
  return { v: 2, conversation, sender, seqno, ts: 1, kind: "message", view, epoch: 1, commitment, ...sealed };
}

const kinds = (outbox: Outbox) => outbox.items.map(({ kind }) => kind);

test("giveWay() puts an own commit before signed words, which lose their seqnos and keep their openings, also on disk", () => {
  const openings: (Hex | undefined)[] = [];
  {
    using box = openOutbox("way");
    const words = ["one", "two"].map((text, i) => signed(box.outbox, text, i + 5));
    openings.push(...words.map(({ opening }) => opening && encodeHex(opening)));
    const membership = box.outbox.add("membership", encodeUtf8("{}"), "before unsigned");
    expect(kinds(box.outbox)).toEqual(["message", "message", "membership"]);
    box.commit((batch) => {
      for (const item of box.outbox.items) box.outbox.store(item, batch);
    });
    box.commit((batch) => box.outbox.giveWay(batch));
    expect(kinds(box.outbox)).toEqual(["membership", "message", "message"]);
    membership.seqno = 5;
    box.commit((batch) => box.outbox.store(membership, batch));
  }
  using box = openOutbox("way");
  expect(kinds(box.outbox)).toEqual(["membership", "message", "message"]);
  expect(box.outbox.items.map(({ seqno }) => seqno)).toEqual([5, undefined, undefined]);
  expect(box.outbox.items.slice(1).map(({ opening }) => opening && encodeHex(opening))).toEqual(openings);
});

test("giveWay() leaves an acknowledge before the commit", () => {
  using box = openOutbox("acknowledge");
  signed(box.outbox, "one", 5);
  box.outbox.add("membership", encodeUtf8("{}"), "before unsigned");
  box.outbox.add("acknowledge", encodeUtf8("{}"), "before unsigned");
  box.commit((batch) => box.outbox.giveWay(batch));
  expect(kinds(box.outbox)).toEqual(["acknowledge", "membership", "message"]);
});

test("land() knows words by their commitment, whatever seqno they were to have, and no others", () => {
  using box = openOutbox("land");
  const [one, two] = [signed(box.outbox, "same words", 5), signed(box.outbox, "same words", 6)];
  const unsigned = box.outbox.add("message", encodeUtf8("same words"), "last");
  const land = (entry: Entry) => box.commit((batch) => box.outbox.land(entry, formatEntry(entry), batch));
  expect(land(entryOf(two, 5))).toBe(two);
  // Its seqno went to other words: it is signed anew.
  expect(one.seqno).toBeUndefined();
  expect(land(entryOf(unsigned, 6))).toBe(unsigned);
  const foreign = { ...entryOf(one, 7), commitment: encodeHex(random(32)) };
  expect(land(foreign)).toBeUndefined();
  expect(box.outbox.items).toEqual([one]);
});

test("renumber() frees words whose seqno the log has given to another entry, and leaves others alone", () => {
  using box = openOutbox("renumber");
  const one = signed(box.outbox, "one", 5);
  box.commit((batch) => box.outbox.renumber(5, batch));
  expect(one.seqno).toBe(5);
  box.commit((batch) => box.outbox.renumber(6, batch));
  expect(one.seqno).toBeUndefined();
});
