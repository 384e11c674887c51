import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { ClientError } from "../../src/client/clientError.ts";
import { Vault } from "../../src/client/vault.ts";
import { decodeOpening, decodeRecord, outgoingSchema } from "../../src/client/vaultRecords.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { TestServer } from "../server/testServer.ts";
import { disposableServer, watchAppends } from "./disposableServer.ts";
import { Party } from "./testParty.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

/** Two people that no other test knows, in a conversation. */
async function conversationOf(test: string, on = server) {
  const alice = new Party(on, await on.newPerson(`${test}.a`));
  const bob = new Party(on, await on.newPerson(`${test}.b`));
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "first");
  await bob.until(() => bob.texts.length === 1);
  return { alice, bob, conversation };
}

const texts = ["one", "two", "three"];

/** Sends and notes what becomes of each: its seqno, or the code of the error. */
function sendAll(party: Party, conversation: Hex): Promise<(number | string)[]> {
  const code = (error: unknown) => (error instanceof ClientError ? error.code : String(error));
  return Promise.all(
    texts.map((text) => party.client.send(conversation, text).then(({ seqno }) => seqno, code)),
  );
}

const lost = ["CONNECTION_LOST", "CONNECTION_LOST", "CONNECTION_LOST"];

test("messages that never reached the server are sent once and in order after a kill", async () => {
  const { alice, bob, conversation } = await conversationOf("unposted");
  await using before = alice;
  await using other = bob;
  alice.link.hold("to server");
  const posted = alice.link.nextTraffic();
  const sending = sendAll(alice, conversation);
  await posted;
  await using after = alice.kill();
  expect(await sending).toEqual(lost);
  await after.login();
  await other.until(() => other.texts.length === 4);
  expect(other.texts).toEqual(["first", ...texts]);
  expect(after.transcript(conversation)).toBe(other.transcript(conversation));
  expect(after.client.history(conversation).map(({ text }) => text)).toEqual(["first", ...texts]);
  expect(before.of("sent").map(({ text }) => text)).toEqual(["first"]);
  expect(after.of("sent").map(({ text }) => text)).toEqual(texts);
});

test("messages whose acceptance was never heard of are not sent twice after a kill", async () => {
  const { alice, bob, conversation } = await conversationOf("unheard");
  await using before = alice;
  await using other = bob;
  before.link.hold("to client");
  const sending = sendAll(before, conversation);
  await other.until(() => other.texts.length === 4);
  await using after = before.kill();
  expect(await sending).toEqual(lost);
  await after.login();
  await after.client.send(conversation, "four");
  await other.until(() => other.texts.includes("four"));
  expect(other.texts).toEqual(["first", ...texts, "four"]);
  expect(after.transcript(conversation)).toBe(other.transcript(conversation));
});

test("messages that are old when the client comes back are signed anew under their seqno", async () => {
  await using later = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("old", later);
  await using before = alice;
  await using other = bob;
  before.link.hold("to server");
  const posted = before.link.nextTraffic();
  const sending = sendAll(before, conversation);
  await posted;
  await using after = before.kill();
  expect(await sending).toEqual(lost);
  // Six minutes later for everybody: the signed lines are too old to be accepted.
  const openings = (vault: Vault, rows: (vault: Vault) => Uint8Array[]) => {
    const found = rows(vault).map(encodeHex);
    vault.close();
    return found;
  };
  const vaultOf = (party: Party) =>
    Vault.open({ file: party.vaultFile, key: party.person.key, random: systemRandom });
  const signed = openings(vaultOf(after), (vault) =>
    vault.list("outgoing").map(({ value }) => {
      const { opening, seqno } = decodeRecord(outgoingSchema, value, "entry");
      expect(seqno).toBeGreaterThan(2);
      return opening ?? new Uint8Array(0);
    }),
  );
  later.skewMs = 6 * 60 * 1000;
  after.skewMs = later.skewMs;
  await after.login();
  await other.until(() => other.texts.length === 4);
  expect(other.of("message").map(({ seqno }) => seqno)).toEqual([2, 3, 4, 5]);
  expect(other.texts).toEqual(["first", ...texts]);
  // The same words under the same seqno keep their opening, so there is one commitment for each.
  await after.quit();
  const stood = openings(vaultOf(after), (vault) =>
    vault.list("opening").map(({ value }) => decodeOpening(value).opening),
  );
  expect(stood.slice(1)).toEqual(signed);
  expect(signed).toHaveLength(3);
});

test("send() without a connection keeps the words for the next one", async () => {
  const { alice, bob, conversation } = await conversationOf("offline");
  await using before = alice;
  await using other = bob;
  before.link.cut();
  await before.until(() => before.of("closed").length === 1);
  await expect(before.client.send(conversation, "kept")).rejects.toMatchObject({ code: "NOT_CONNECTED" });
  await before.client.connect();
  const { email, password } = before.person;
  await before.client.login({ email, password });
  await other.until(() => other.texts.length === 2);
  expect(other.texts).toEqual(["first", "kept"]);
});

test("a conversation whose creation was never heard of is there after a kill", async () => {
  await using slow = await disposableServer();
  await using before = new Party(slow, await slow.newPerson("create.a"));
  await using bob = new Party(slow, await slow.newPerson("create.b"));
  await watchAppends(slow, (append) => {
    before.link.hold("to client");
    return append();
  });
  await before.register();
  await bob.register();
  const opening = before.client.openDirect(bob.person.username).catch((error: ClientError) => error.code);
  await bob.until(() => bob.of("membership").length === 1);
  await using after = before.kill();
  expect(await opening).toBe("CONNECTION_LOST");
  before.link.release();
  await after.login();
  const conversation = await after.client.openDirect(bob.person.username);
  expect<string | undefined>(bob.of("membership")[0]?.conversation).toBe(conversation);
  await after.client.send(conversation, "hello");
  await bob.until(() => bob.texts.length === 1);
  expect(after.client.conversations()).toHaveLength(1);
});

for (const [what, damage] of [
  ["torn in its last line", (file: string) => truncateSync(file, readFileSync(file).length - 10)],
  [
    "cut by whole lines",
    (file: string) => writeFileSync(file, `${readFileSync(file, "utf8").split("\n")[0]}\n`),
  ],
  [
    "altered in one byte",
    (file: string) => writeFileSync(file, readFileSync(file, "utf8").replace('"ts":1', '"ts":2')),
  ],
  ["gone", (file: string) => rmSync(file)],
] as const)
  test(`a transcript that is ${what} is repaired from the server`, async () => {
    const { alice, bob, conversation } = await conversationOf(`repair.${what.length}`);
    await using party = alice;
    await using other = bob;
    const file = join(party.folderOf(conversation), "transcript.jsonl");
    await party.quit();
    damage(file);
    await other.client.send(conversation, "meanwhile");
    await party.login();
    expect(party.of("warning").map(({ code }) => code)).toContain("TRANSCRIPT_REPAIRED");
    expect(party.texts).toEqual(["meanwhile"]);
    expect(party.transcript(conversation)).toBe(other.transcript(conversation));
    await party.client.send(conversation, "still here");
    await other.until(() => other.texts.includes("still here"));
  });

test("lines that the transcript has and the vault has not are taken in again", async () => {
  const { alice, bob, conversation } = await conversationOf("surplus");
  await using before = alice;
  await using other = bob;
  const vault = readFileSync(before.vaultFile);
  const log = readFileSync(`${before.vaultFile}-wal`);
  await other.client.send(conversation, "unrecorded");
  await before.until(() => before.texts.length === 1);
  await using after = before.kill();
  writeFileSync(after.vaultFile, vault);
  writeFileSync(`${after.vaultFile}-wal`, log);
  await after.login();
  await after.until(() => after.texts.length === 1);
  expect(after.texts).toEqual(["unrecorded"]);
  expect(after.transcript(conversation)).toBe(other.transcript(conversation));
});
