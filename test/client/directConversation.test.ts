import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Vault } from "../../src/client/vault.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { TestServer } from "../server/testServer.ts";
import { Party } from "./testParty.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

/** Two people that no other test knows. */
async function twoParties(test: string): Promise<[Party, Party]> {
  const one = await server.newPerson(`${test}.a`);
  const other = await server.newPerson(`${test}.b`);
  return [new Party(server, one), new Party(server, other)];
}

test("openClient() tells each step of connecting", async () => {
  const [party, other] = await twoParties("steps");
  await using alice = party;
  await using _ = other;
  await alice.register();
  expect(alice.events.map((event) => (event.event === "progress" ? event.step : event.event))).toEqual([
    "connect",
    "certificate",
    "keys",
    "connected",
    "authenticated",
  ]);
});

test("words are told as they were written, a byte order mark in front included", async () => {
  const [partyA, partyB] = await twoParties("mark");
  await using alice = partyA;
  await using bob = partyB;
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "\ufeffhello");
  await bob.until(() => bob.texts.length === 1);
  const told = [...alice.of("kept"), ...alice.of("sent"), ...bob.of("message")].map(({ text }) => text);
  expect(told).toEqual(["\ufeffhello", "\ufeffhello", "\ufeffhello"]);
});

test("two clients write to each other, and both hold the same transcript", async () => {
  const [partyA, partyB] = await twoParties("both");
  await using alice = partyA;
  await using bob = partyB;
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  expect(await alice.client.send(conversation, "hello bob")).toMatchObject({ seqno: 2, index: 1 });
  await bob.until(() => bob.texts.length === 1);
  expect(bob.of("message")[0]).toMatchObject({
    conversation,
    to: alice.person.username,
    from: alice.person.username,
    email: alice.person.email,
    seqno: 2,
    index: 1,
    text: "hello bob",
  });
  expect(await bob.client.openDirect(alice.person.username)).toBe(conversation);
  await bob.client.send(conversation, "hello alice");
  await alice.until(() => alice.texts.length === 1);
  expect(alice.texts).toEqual(["hello alice"]);
  expect(alice.transcript(conversation)).toBe(bob.transcript(conversation));
  expect(alice.client.members(conversation).map(({ username }) => username)).toEqual([
    alice.person.username,
    bob.person.username,
  ]);
  expect(alice.client.history(conversation).map(({ text }) => text)).toEqual(["hello bob", "hello alice"]);
  expect(bob.client.history(conversation, 1).map(({ text }) => text)).toEqual(["hello alice"]);
});

test("send() keeps the order of many messages on their way and waits for none of them", async () => {
  const [partyA, partyB] = await twoParties("pipeline");
  await using alice = partyA;
  await using bob = partyB;
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  const texts = Array.from({ length: 500 }, (_, i) => `message ${i}`);
  const sent = await Promise.all(texts.map((text) => alice.client.send(conversation, text)));
  expect(sent.map(({ seqno }) => seqno)).toEqual(texts.map((_, i) => i + 2));
  await bob.until(() => bob.texts.length === texts.length);
  expect(bob.texts).toEqual(texts);
});

test("both write at the same time, and both hold the same transcript", async () => {
  const [partyA, partyB] = await twoParties("cross");
  await using alice = partyA;
  await using bob = partyB;
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await bob.until(() => bob.of("membership").length === 1);
  const texts = Array.from({ length: 100 }, (_, i) => `message ${i}`);
  await Promise.all(
    texts.flatMap((text) => [alice.client.send(conversation, text), bob.client.send(conversation, text)]),
  );
  await alice.until(() => alice.texts.length === texts.length);
  await bob.until(() => bob.texts.length === texts.length);
  expect(alice.texts).toEqual(texts);
  expect(bob.texts).toEqual(texts);
  expect(alice.transcript(conversation)).toBe(bob.transcript(conversation));
});

test("somebody who is away reads later what was written meanwhile", async () => {
  const [partyA, partyB] = await twoParties("away");
  await using alice = partyA;
  await using bob = partyB;
  await bob.register();
  await bob.quit();
  await alice.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "one");
  await alice.client.send(conversation, "two");
  await bob.login();
  expect(bob.texts).toEqual(["one", "two"]);
  await bob.client.send(conversation, "three");
  await alice.until(() => alice.texts.length === 1);
  expect(alice.transcript(conversation)).toBe(bob.transcript(conversation));
});

test("a client that is restarted goes on in the same conversation", async () => {
  const [partyA, partyB] = await twoParties("restart");
  await using alice = partyA;
  await using bob = partyB;
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "one");
  await bob.until(() => bob.texts.length === 1);
  await alice.quit();
  await bob.client.send(conversation, "two");
  await alice.login();
  expect(alice.texts).toEqual(["two"]);
  expect(await alice.client.openDirect(bob.person.username)).toBe(conversation);
  await alice.client.send(conversation, "three");
  await bob.until(() => bob.texts.length === 2);
  expect(alice.transcript(conversation)).toBe(bob.transcript(conversation));
  expect(alice.client.history(conversation).map(({ text }) => text)).toEqual(["one", "two", "three"]);
});

test("openDirect() of both at once ends in one conversation", async () => {
  const [partyA, partyB] = await twoParties("at.once");
  await using alice = partyA;
  await using bob = partyB;
  await alice.register();
  await bob.register();
  const [ofAlice, ofBob] = await Promise.all([
    alice.client.openDirect(bob.person.username),
    bob.client.openDirect(alice.person.username),
  ]);
  expect(ofAlice).toBe(ofBob);
  await Promise.all([alice.client.send(ofAlice, "from a"), bob.client.send(ofBob, "from b")]);
  await alice.until(() => alice.texts.length === 1);
  await bob.until(() => bob.texts.length === 1);
  expect(alice.transcript(ofAlice)).toBe(bob.transcript(ofBob));
  expect(alice.client.conversations()).toHaveLength(1);
  expect(bob.client.conversations()).toHaveLength(1);
  // The one that lost has left nothing behind.
  for (const party of [alice, bob]) {
    await party.quit();
    const vault = Vault.open({ file: party.vaultFile, key: party.person.key, random: systemRandom });
    const ofConversations = ["conversation", "member", "ratchet", "pending", "outgoing", "told"] as const;
    const keys = ofConversations.flatMap((collection) => vault.list(collection).map(({ key }) => key));
    vault.close();
    expect(new Set(keys)).toEqual(new Set([ofAlice]));
  }
});

test("openDirect() refuses somebody who has no account", async () => {
  const [partyA, partyB] = await twoParties("nobody");
  await using alice = partyA;
  await using bob = partyB;
  await alice.register();
  expect(alice.client.openDirect(bob.person.username)).rejects.toMatchObject({ code: "NO_SUCH_PERSON" });
  expect(alice.client.openDirect(alice.person.username)).rejects.toMatchObject({ code: "NO_SUCH_PERSON" });
});

test("vault and transcript are readable by their owner only", async () => {
  const [partyA, partyB] = await twoParties("modes");
  await using alice = partyA;
  await using bob = partyB;
  await bob.register();
  await alice.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  const folder = alice.folderOf(conversation);
  const files = [
    alice.vaultFile,
    `${alice.vaultFile}-wal`,
    ...readdirSync(folder).map((name) => join(folder, name)),
  ];
  for (const file of files) expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
});
