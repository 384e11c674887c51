import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeHex, type Hex } from "../../src/base/hex.ts";
import { ClientError } from "../../src/client/clientError.ts";
import { Vault } from "../../src/client/vault.ts";
import { decodeOpening, decodeRecord, outgoingSchema } from "../../src/client/vaultRecords.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { TestServer } from "../server/testServer.ts";
import { disposableServer, watchAppends } from "./disposableServer.ts";
import { overriding } from "./overriding.ts";
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
  // The mark behind "first" may not have been written.
  expect(
    after
      .of("sent")
      .map(({ text }) => text)
      .slice(-texts.length),
  ).toEqual(texts);
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
  ["given a byte order mark", (file: string) => writeFileSync(file, `\ufeff${readFileSync(file, "utf8")}`)],
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

test("a transcript that is cut while an own commit waits is repaired before anything is signed", async () => {
  await using own = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("commit", own);
  await using before = alice;
  await using other = bob;
  await before.quit();
  await other.quit();
  await own.stop();
  const [uploading, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  own.wrapStore = (store) =>
    overriding(store, {
      blobs: overriding(store.blobs, {
        async putPiece(piece) {
          uploading.resolve();
          await released.promise;
          return store.blobs.putPiece(piece);
        },
      }),
    });
  await own.start();
  // A fresh path is due.
  for (const one of [own, before, other]) one.skewMs = 25 * 3_600_000;
  const arriving = before.login().catch(() => undefined);
  await uploading.promise;
  await using after = before.kill();
  released.resolve();
  await arriving;
  const [folder = ""] = readdirSync(join(after.folder, "transcripts"));
  const file = join(after.folder, "transcripts", folder, "transcript.jsonl");
  writeFileSync(file, `${readFileSync(file, "utf8").split("\n")[0]}\n`);
  await after.login();
  expect(after.of("warning").map(({ code }) => code)).toContain("TRANSCRIPT_REPAIRED");
  await after.client.send(conversation, "still here");
  await other.login();
  await other.until(() => other.texts.includes("still here"));
  expect(after.of("error")).toEqual([]);
  expect(after.of("membership").map(({ action, by }) => `${action} by ${by}`)).toEqual([
    "update by commit.a",
  ]);
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

test("words that are typed while a step waits for the server are in the vault at once", async () => {
  const { alice, bob, conversation } = await conversationOf("waiting");
  await using before = alice;
  await using other = bob;
  await before.quit();
  await before.open();
  await before.client.connect();
  const { email, password } = before.person;
  const login = before.client.login({ email, password }).catch((error: ClientError) => error.code);
  await before.until(() => before.of("authenticated").length === 2);
  // From here on every question to the server stays without an answer.
  before.link.hold("to client");
  const sending = before.client.send(conversation, "kept").catch((error: ClientError) => error.code);
  await before.until(() => before.of("kept").some(({ text }) => text === "kept"));
  await using after = before.kill();
  expect(await Promise.all([login, sending])).toEqual(["CONNECTION_LOST", "CONNECTION_LOST"]);
  await after.login();
  await other.until(() => other.texts.length === 2);
  expect(other.texts).toEqual(["first", "kept"]);
});

test("words that are typed in the tick in which the client is closed are in the vault", async () => {
  const { alice, bob, conversation } = await conversationOf("closing");
  await using party = alice;
  await using other = bob;
  const sending = party.client.send(conversation, "last words").catch((error: ClientError) => error.code);
  party.client.close();
  expect(await sending).toBe("NOT_CONNECTED");
  await party.login();
  await other.until(() => other.texts.length === 2);
  expect(other.texts).toEqual(["first", "last words"]);
});

test("messages of which a killed client may not have told are told by the next one, and by no other", async () => {
  const { alice, bob, conversation } = await conversationOf("untold");
  await using party = alice;
  await using before = bob;
  await before.quit();
  await party.client.send(conversation, "second");
  const login = before.login().catch((error: ClientError) => error.code);
  await before.until(() => before.texts.includes("second"));
  // In the very tick of the telling, so that the mark behind it can't be durable.
  await using after = before.kill();
  await login;
  await after.login();
  await after.until(() => after.texts.includes("second"));
  expect(after.texts).toEqual(["second"]);
  await after.quit();
  await after.login();
  await party.client.send(conversation, "third");
  await after.until(() => after.texts.includes("third"));
  expect(after.texts).toEqual(["second", "third"]);
});

const day = 24 * 3_600_000 + 900_000;

/** A client that was killed with signed words on their way, which the server never saw. */
async function killedWhilePosting(test: string) {
  const later = await disposableServer();
  const { alice, bob, conversation } = await conversationOf(test, later);
  alice.link.hold("to server");
  const posted = alice.link.nextTraffic();
  const sending = sendAll(alice, conversation);
  await posted;
  const after = alice.kill();
  expect(await sending).toEqual(lost);
  await alice.dispose();
  return { later, after, bob, conversation };
}

const ownActions = (party: Party) =>
  party.of("membership").flatMap(({ by, action }) => (by === party.person.username ? [action] : []));

test("words that were signed before a fresh path came due are sent, then the path", async () => {
  const { later, after, bob, conversation } = await killedWhilePosting("due");
  await using _ = later;
  await using party = after;
  await using other = bob;
  for (const clock of [later, party, other]) clock.skewMs = day;
  await party.login();
  await party.client.send(conversation, "four");
  await other.until(() => other.texts.length === 5);
  expect(other.texts).toEqual(["first", ...texts, "four"]);
  expect(ownActions(party)).toEqual(["update"]);
  expect(party.of("error")).toEqual([]);
});

test("words that were signed in a vault that is older than the own epoch are sent once, after the rejoin", async () => {
  const { later, after, bob, conversation } = await killedWhilePosting("older");
  await using _ = later;
  await using other = bob;
  await using restored = after.kill();
  await using party = after;
  for (const clock of [later, party, restored, other]) clock.skewMs = day;
  await party.login();
  await party.client.send(conversation, "four");
  await other.until(() => other.texts.length === 5);
  await party.quit();
  // The vault as it was when the words were on their way: they stand by now, and some where it can't read them.
  await restored.login();
  await restored.client.send(conversation, "five");
  await other.until(() => other.texts.includes("five"));
  expect(other.texts).toEqual(["first", ...texts, "four", "five"]);
  expect(ownActions(restored)).toEqual(["update", "rejoin"]);
  expect(restored.transcript(conversation)).toBe(other.transcript(conversation));
});

test("words that were signed in a vault whose epoch is over are sent after the rejoin that has to come first", async () => {
  const { later, after, bob, conversation } = await killedWhilePosting("over");
  await using _ = later;
  await using other = bob;
  await using restored = after.kill();
  // Another client of the same person, which has neither those words nor the group's state, rejoins and ends.
  rmSync(after.vaultFile);
  rmSync(`${after.vaultFile}-wal`);
  await using party = after;
  await party.login();
  await party.quit();
  await restored.login();
  await restored.client.send(conversation, "four");
  await other.until(() => other.texts.includes("four"));
  expect(other.texts).toEqual(["first", ...texts, "four"]);
  expect(restored.of("error")).toEqual([]);
});

test("messages that a killed client may not have told are told once the transcript that it tore is repaired", async () => {
  const { alice, bob, conversation } = await conversationOf("torn");
  await using party = alice;
  await using before = bob;
  await before.quit();
  await party.client.send(conversation, "second");
  const login = before.login().catch((error: ClientError) => error.code);
  await before.until(() => before.texts.includes("second"));
  const file = join(before.folderOf(conversation), "transcript.jsonl").slice(before.folder.length);
  await using after = before.kill();
  await login;
  truncateSync(`${after.folder}${file}`, 10);
  await after.login();
  await after.until(() => after.texts.includes("second"));
  expect(after.of("warning").map(({ code }) => code)).toEqual(["TRANSCRIPT_REPAIRED"]);
  expect(after.texts).toEqual(["second"]);
});
