import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import type { Hex } from "../../src/base/hex.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import { personOf, TestServer } from "../server/testServer.ts";
import { disposableServer, watchAppends } from "./disposableServer.ts";
import { Party } from "./testParty.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

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

function actions(party: Party): string[] {
  return party.of("membership").map(({ action, by }) => `${action} by ${by}`);
}

async function exchange(one: Party, other: Party, conversation: Hex): Promise<void> {
  const [before, beforeOther] = [one.texts.length, other.texts.length];
  await Promise.all([one.client.send(conversation, "ping"), other.client.send(conversation, "pong")]);
  await one.until(() => one.texts.length > before);
  await other.until(() => other.texts.length > beforeOther);
  expect([one.texts.at(-1), other.texts.at(-1)]).toEqual(["pong", "ping"]);
  expect(one.transcript(conversation)).toBe(other.transcript(conversation));
}

test("a client that lost its vault and transcripts comes back with a new device, which is announced", async () => {
  const { alice, bob, conversation } = await conversationOf("lost");
  await using party = bob;
  await using other = alice;
  await party.quit();
  rmSync(party.vaultFile);
  rmSync(party.transcripts, { recursive: true });
  party.events.length = 0;
  await party.login();
  const rejoin = `rejoin by ${party.person.username}`;
  expect(actions(party)).toContain(rejoin);
  await other.until(() => actions(other).includes(rejoin));
  await exchange(party, other, conversation);
  // What was written before its device was there can't be read any more, and nobody is blamed for it.
  expect(party.texts).not.toContain("first");
  expect(party.of("warning").map(({ code }) => code)).toEqual(["UNREADABLE"]);
  expect(other.of("warning").map(({ code }) => code)).toEqual(["NEW_DEVICE"]);
});

test("a client that lost its vault reads what others begin while it is away, from the first word on", async () => {
  await using server = await disposableServer();
  await using alice = new Party(server, await server.person("alice"));
  await using bob = new Party(server, await server.person("bob"));
  await bob.register();
  await alice.register();
  await bob.quit();
  // Its key packages wait on the server still; their private halves are gone.
  rmSync(bob.vaultFile);
  await bob.login();
  await bob.quit();
  const conversation = await alice.client.openDirect("bob");
  for (const text of ["one", "two"]) await alice.client.send(conversation, text);
  await bob.login();
  expect(bob.texts).toEqual(["one", "two"]);
  expect(actions(bob)).toEqual(["create by alice"]);
});

test("of a person's two machines, which take turns under certificates over one key, one loses its vault and the other reads all", async () => {
  const { alice, bob, conversation } = await conversationOf("turns");
  await using desk = alice;
  await using other = bob;
  const { username, email, issued } = desk.person;
  const second = await server.authority.issueUser(username, email, { pkcs8: issued.pkcs8 });
  await using laptop = new Party(server, personOf(second, username, email));
  const says = async (party: Party, text: string) => {
    await party.client.send(conversation, text);
    await other.until(() => other.texts.includes(text));
  };
  await laptop.login();
  // The server has one session for an account, and tells the one that gives way why.
  await desk.until(() => desk.of("closed").some(({ code }) => code === "REPLACED"));
  desk.client.close();
  await says(laptop, "from the laptop");
  await other.client.send(conversation, "to the laptop");
  await laptop.until(() => laptop.texts.includes("to the laptop"));
  await laptop.quit();
  rmSync(laptop.vaultFile);
  await laptop.login();
  await says(laptop, "from the laptop again");
  await laptop.quit();
  await desk.login();
  await desk.until(() => desk.texts.length === 3);
  await says(desk, "from the desk");
  expect(desk.client.history(conversation).map(({ text }) => text)).toEqual([
    ...["first", "from the laptop", "to the laptop", "from the laptop again", "from the desk"],
  ]);
  expect(other.texts).toEqual(["first", "from the laptop", "from the laptop again", "from the desk"]);
  // The laptop came in beside the desk, and again in its own place.
  expect(
    desk.client
      .members(conversation)
      .map(({ username: name }) => name)
      .sort(),
  ).toEqual([username, username, other.person.username].sort());
  expect(actions(other).filter((action) => action.startsWith("rejoin"))).toHaveLength(2);
  expect(desk.transcript(conversation)).toBe(other.transcript(conversation));
});

test("a client with an old copy of its vault catches up and goes on", async () => {
  const { alice, bob, conversation } = await conversationOf("old");
  await using party = alice;
  await using other = bob;
  await party.quit();
  copyFileSync(party.vaultFile, `${party.vaultFile}.old`);
  await party.login();
  await exchange(party, other, conversation);
  await party.quit();
  copyFileSync(`${party.vaultFile}.old`, party.vaultFile);
  await party.login();
  await exchange(party, other, conversation);
});

test("a client whose vault is from before an own commit rejoins", async () => {
  await using later = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("older", later);
  await using party = alice;
  await using other = bob;
  await party.quit();
  copyFileSync(party.vaultFile, `${party.vaultFile}.old`);
  // A day and a quarter of an hour later a fresh path is due.
  const day = 24 * 3_600_000 + 900_000;
  for (const clock of [later, party, other]) clock.skewMs = day;
  await party.login();
  await other.until(() => actions(other).includes(`update by ${party.person.username}`));
  await exchange(party, other, conversation);
  await party.quit();
  copyFileSync(`${party.vaultFile}.old`, party.vaultFile);
  party.events.length = 0;
  await party.login();
  expect(actions(party)).toContain(`rejoin by ${party.person.username}`);
  await exchange(party, other, conversation);
  expect(party.of("error")).toEqual([]);
});

test("every device commits a fresh path after a day, and both go on in the new epoch", async () => {
  await using later = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("day", later);
  await using party = alice;
  await using other = bob;
  await party.quit();
  await other.quit();
  const day = 24 * 3_600_000 + 900_000;
  for (const clock of [later, party, other]) clock.skewMs = day;
  await party.login();
  expect(actions(party).at(-1)).toBe(`update by ${party.person.username}`);
  await other.login();
  expect(actions(other).slice(-2)).toEqual([
    `update by ${party.person.username}`,
    `update by ${other.person.username}`,
  ]);
  await party.until(() => actions(party).length === 3);
  await exchange(party, other, conversation);
  const epochs = party
    .transcript(conversation)
    .trimEnd()
    .split("\n")
    .map((line) => parseTranscriptLine(line).entry.epoch);
  expect(epochs.at(-1)).toBe(3);
});

test("who joins by a last-resort key package commits a fresh path at once and publishes another", async () => {
  const bob = new Party(server, await server.newPerson("last.b"));
  await using party = bob;
  await party.register();
  await party.quit();
  // Twenty people take the one-time packages.
  const others: Party[] = [];
  for (let i = 0; i < 21; i++) others.push(new Party(server, await server.newPerson(`last.${i}`)));
  for (const other of others) {
    await other.register();
    await other.client.openDirect(party.person.username);
  }
  await party.login();
  const updates = actions(party).filter((action) => action === `update by ${party.person.username}`);
  expect(updates).toHaveLength(1);
  const last = others.at(-1);
  if (last === undefined) throw new Error("no others");
  const conversation = await last.client.openDirect(party.person.username);
  await last.until(() => actions(last).length === 2);
  await exchange(last, party, conversation);
  const count = await server.login(party.person);
  const published = await count.expect("published", {
    type: "publish_key_packages",
    packages: [],
    last_resort: null,
  });
  expect(published).toMatchObject({ one_time: 20, last_resort: true });
  for (const other of others) await other.dispose();
}, 30_000);

test("messages on their way when an epoch ends are sealed again for the next one", async () => {
  await using later = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("stale", later);
  await using party = alice;
  await using other = bob;
  await party.quit();
  const day = 24 * 3_600_000 + 900_000;
  for (const clock of [later, party, other]) clock.skewMs = day;
  // The other one's messages are made in the old epoch, while the update is on its way.
  const login = party.login();
  const texts = Array.from({ length: 40 }, (_, i) => `message ${i}`);
  const sending: Promise<unknown>[] = [];
  for (const text of texts) {
    sending.push(other.client.send(conversation, text));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await login;
  await Promise.all(sending);
  await party.until(() => party.texts.length === texts.length);
  expect(party.texts).toEqual(texts);
  await exchange(party, other, conversation);
  expect([...party.of("error"), ...other.of("error")]).toEqual([]);
});

test("the vault of a removed transcript folder alone is enough to go on", async () => {
  const { alice, bob, conversation } = await conversationOf("folder");
  await using party = alice;
  await using other = bob;
  const transcript = party.transcript(conversation);
  await party.quit();
  rmSync(party.transcripts, { recursive: true });
  await party.login();
  await exchange(party, other, conversation);
  expect(
    readFileSync(`${party.folderOf(conversation)}/transcript.jsonl`, "utf8").startsWith(transcript),
  ).toBe(true);
});

const day = 24 * 3_600_000 + 900_000;

/** Two people whose fresh paths are due, on a server of their own; nobody is connected. */
async function dayLater() {
  const later = await disposableServer();
  const { alice, bob, conversation } = await conversationOf("day", later);
  await alice.quit();
  await bob.quit();
  for (const clock of [later, alice, bob]) clock.skewMs = day;
  return { later, alice, bob, conversation };
}

test("of two commits for one epoch one stands, and the other is made again", async () => {
  const { later, alice, bob, conversation } = await dayLater();
  await using _ = later;
  await using one = alice;
  await using other = bob;
  await Promise.all([one.login(), other.login()]);
  const updates = [`update by ${one.person.username}`, `update by ${other.person.username}`];
  for (const party of [one, other])
    await party.until(() => updates.every((update) => actions(party).includes(update)));
  await exchange(one, other, conversation);
  expect([...one.of("error"), ...other.of("error")]).toEqual([]);
});

for (const isAccepted of [true, false])
  test(`a kill while a commit ${isAccepted ? "was" : "was not"} accepted, unheard of, loses nothing`, async () => {
    const { later, alice, bob, conversation } = await dayLater();
    await using _ = later;
    await using one = alice;
    await using other = bob;
    let isArmed = true;
    const arrived = new Promise<void>((resolve) => {
      void watchAppends(later, async (append) => {
        if (!isArmed) return append();
        isArmed = false;
        one.link.hold("to client");
        try {
          if (isAccepted) return await append();
          throw new Error("the disk is full");
        } finally {
          resolve();
        }
      }).then(() => one.login().catch(() => undefined));
    });
    await arrived;
    await using killed = one.kill();
    await killed.login();
    expect(actions(killed)).toEqual([`update by ${one.person.username}`]);
    await other.login();
    await exchange(killed, other, conversation);
    expect([...killed.of("error"), ...other.of("error")]).toEqual([]);
  });

test("a device commits a fresh path after a thousand messages of its own", async () => {
  const { alice, bob, conversation } = await conversationOf("thousand");
  await using one = alice;
  await using other = bob;
  const sending: Promise<unknown>[] = [];
  for (let i = 0; i < 1_100; i++) sending.push(one.client.send(conversation, `message ${i}`));
  await Promise.all(sending);
  await other.until(() => other.texts.length === 1_101);
  expect(actions(other)).toEqual([`create by ${one.person.username}`, `update by ${one.person.username}`]);
  await exchange(one, other, conversation);
}, 30_000);
