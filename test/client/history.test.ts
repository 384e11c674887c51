import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import type { Hex } from "../../src/base/hex.ts";
import { collections, Vault } from "../../src/client/vault.ts";
import { decodeChains } from "../../src/client/vaultRecords.ts";
import { crypto } from "../../src/crypto/crypto.ts";
import { labels } from "../../src/crypto/labels.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { exportChains } from "../../src/group/conversationGroup.ts";
import { messageKey, nextChain, openMessage } from "../../src/group/ratchet.ts";
import { associatedData } from "../../src/log/entry.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import { TestServer } from "../server/testServer.ts";
import { Party } from "./testParty.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

const words = ["the first secret", "the second secret", "the third secret"];

async function exchange(test: string, history: boolean) {
  const alice = new Party(server, await server.newPerson(`${test}.a`));
  const bob = new Party(server, await server.newPerson(`${test}.b`));
  await alice.register({ history });
  await bob.register({ history });
  const conversation = await alice.client.openDirect(bob.person.username);
  for (const text of words) await alice.client.send(conversation, text);
  await bob.until(() => bob.texts.length === words.length);
  for (const text of words) await bob.client.send(conversation, text);
  await alice.until(() => alice.texts.length === words.length);
  return { alice, bob, conversation };
}

/** How many of the log's messages somebody can read who has its lines and these chains. */
function readable(transcript: string, chains: ReadonlyMap<Hex, Uint8Array>): number {
  const entries = transcript
    .trimEnd()
    .split("\n")
    .map((line) => parseTranscriptLine(line).entry)
    .filter(({ kind }) => kind === "message");
  return entries.filter((entry) => {
    let chain = chains.get(entry.sender);
    for (let step = 0; chain !== undefined && step < 20; step++) {
      const key = messageKey(chain);
      if (openMessage({ key, associatedData: associatedData(entry), ct: entry.ct }) !== undefined)
        return true;
      chain = nextChain(chain);
    }
    return false;
  }).length;
}

function vaultKey(file: string, secret: Uint8Array): Uint8Array {
  const database = new Database(file);
  const row = database.query<{ wrapped: Uint8Array }, []>("SELECT wrapped FROM vault_key").get();
  database.close();
  if (row === null) throw new Error("no key");
  const { wrapped } = row;
  const key = crypto().aesGcmOpen(
    secret,
    wrapped.subarray(0, 12),
    wrapped.subarray(12),
    encodeUtf8(labels.vaultWrap),
  );
  if (key === undefined) throw new Error("wrong key");
  return key;
}

for (const who of ["alice", "bob"] as const)
  test(`without history nothing that is left with ${who} reads the captured traffic`, async () => {
    const parties = await exchange(`none.${who}`, false);
    await using alice = parties.alice;
    await using bob = parties.bob;
    const party = who === "alice" ? alice : bob;
    const { conversation } = parties;
    const transcript = party.transcript(conversation);
    // A process that is killed has not tidied up.
    await using left = party.kill();
    expect(statSync(`${left.vaultFile}-wal`).size).toBe(0);
    const file = readFileSync(left.vaultFile);
    const key = vaultKey(left.vaultFile, party.person.key.deriveSecret(labels.vaultWrap));

    const vault = Vault.open({ file: left.vaultFile, key: party.person.key, random: systemRandom });
    const values = collections.flatMap((collection) => vault.list(collection));
    for (const { value } of values)
      for (const text of words) expect(Buffer.from(value).includes(text)).toBe(false);
    expect(vault.list("opening")).toEqual([]);
    expect(vault.list("outgoing")).toEqual([]);
    const ratchet = vault.read("ratchet", conversation);
    const state = vault.read("group", conversation);
    vault.close();
    if (ratchet === undefined || state === undefined) throw new Error("no keys");
    expect(readable(transcript, decodeChains(ratchet))).toBe(0);
    await expect(exportChains(state)).rejects.toMatchObject({ code: "EXPORTED" });

    // Nor does any page of the file hold an older state of the ratchets.
    const context = encodeUtf8(`${labels.vaultValue}\nratchet\n${conversation}\n`);
    const sealedBytes = 12 + ratchet.length + 16;
    const found: number[] = [];
    for (let at = 0; at + sealedBytes <= file.length; at++) {
      const sealed = file.subarray(at, at + sealedBytes);
      const chains = crypto().aesGcmOpen(key, sealed.subarray(0, 12), sealed.subarray(12), context);
      if (chains !== undefined) found.push(readable(transcript, decodeChains(chains)));
    }
    expect(found).toEqual([0]);
  }, 30_000);

test("the ratchets as they were before would have read it", async () => {
  const { alice, bob, conversation } = await exchange("control", false);
  await using first = alice;
  await using second = bob;
  await using earlier = first.kill();
  const vault = Vault.open({ file: earlier.vaultFile, key: first.person.key, random: systemRandom });
  const ratchet = vault.read("ratchet", conversation);
  vault.close();
  await second.client.send(conversation, "later");
  expect(readable(second.transcript(conversation), decodeChains(ratchet ?? new Uint8Array(0)))).toBe(1);
});

test("without history nothing can be shown again or disclosed", async () => {
  const { alice, bob, conversation } = await exchange("plain", false);
  await using party = alice;
  await using _ = bob;
  expect(party.client.history(conversation).map(({ text }) => text)).toEqual(Array(6).fill(undefined));
  await expect(party.client.disclose(conversation, "all")).rejects.toMatchObject({ code: "NO_HISTORY" });
});

test("with history the words of both can be shown again after a restart", async () => {
  const { alice, bob, conversation } = await exchange("kept", true);
  await using party = alice;
  await using _ = bob;
  await party.quit();
  await party.open();
  expect(party.client.history(conversation).map(({ from, text }) => [from, text])).toEqual([
    ...words.map((text) => ["kept.a", text]),
    ...words.map((text) => ["kept.b", text]),
  ]);
});
