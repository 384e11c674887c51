import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { Hex } from "../../src/base/hex.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { TestServer } from "../server/testServer.ts";
import { randomHex } from "../store/certificateRecord.ts";
import { overriding } from "./overriding.ts";
import { Party } from "./testParty.ts";

const day = 86_400_000;
const lie = { size: 1, root: randomHex(32), expiredAtMs: 1 };

let server: TestServer;
let alice: Party;
let bob: Party;
let conversation: Hex;

beforeEach(async () => {
  server = await TestServer.create({ retentionDays: 1 });
  alice = new Party(server, await server.person("alice"));
  bob = new Party(server, await server.person("bob"));
  await bob.register();
  await alice.register();
  conversation = await alice.client.openDirect("bob");
  await alice.client.send(conversation, "hello");
  await bob.until(() => bob.texts.length > 0);
  await bob.client.send(conversation, "hello alice");
  await alice.until(() => alice.texts.length > 0);
});
afterEach(async () => {
  await Promise.all([alice.dispose(), bob.dispose()]);
  await server.dispose();
});

/** Deletes what is older than a day as if two had passed, as another node of the server does. */
async function letPass(): Promise<void> {
  const store = await openSqliteStore({ file: server.file });
  const windows = { unnamedBlobMs: 9 * day, welcomeMs: 9 * day, counterMs: 9 * day };
  const swept = await store.sweep({ nowMs: Date.now() + 2 * day, ...windows, conversationMs: day });
  expect(swept).toEqual({ expiredConversations: 1 });
  await store.close();
}

test("a conversation that has expired is over and says so once, its evidence and its words stay usable", async () => {
  await alice.quit();
  await bob.quit();
  await letPass();
  await alice.login();
  expect(alice.of("error")).toEqual([]);
  const folder = alice.folderOf(conversation);
  const expired = { conversation, to: "bob", keptDays: 1, folder, countersigned: true, unsent: 0 };
  expect(alice.of("expired")).toMatchObject([expired]);
  expect(alice.client.conversations()).toMatchObject([{ conversation, expired: true, replaced: false }]);
  await expect(alice.client.send(conversation, "too late")).rejects.toMatchObject({
    code: "CONVERSATION_EXPIRED",
  });
  await expect(alice.client.leave(conversation)).rejects.toMatchObject({ code: "CONVERSATION_EXPIRED" });
  expect(alice.client.history(conversation).map(({ text }) => text)).toEqual(["hello", "hello alice"]);
  const { indexes, file } = await alice.client.disclose(conversation, "all");
  expect([indexes.length, existsSync(file)]).toEqual([2, true]);
  // It was complete, and is again without the server.
  expect(await alice.client.receipt(conversation)).toMatchObject({ countersigned: true, folder });
  await alice.quit();
  await alice.login();
  expect(alice.of("expired")).toHaveLength(1);
});

test("a receipt that was not countersigned in time is said to be impossible, the own signature stays", async () => {
  alice.client.close();
  await bob.quit();
  await letPass();
  await alice.login();
  expect(alice.of("expired")).toMatchObject([{ countersigned: false }]);
  const failure = await alice.client.receipt(conversation).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: "NOT_COUNTERSIGNED" });
  expect(String(failure)).toContain("it can't be had any more");
  expect(readFileSync(join(alice.folderOf(conversation), "receipt.json"), "utf8")).toContain(conversation);
  // Nothing of it is due at the end.
  await alice.quit();
});

test("what a damaged transcript still holds is left alone where the server has nothing to repair it with", async () => {
  const file = join(alice.folderOf(conversation), "transcript.jsonl");
  alice.client.close();
  await bob.quit();
  await letPass();
  // As after a loss of power that the vault has survived.
  const whole = readFileSync(file, "utf8");
  truncateSync(file, statSync(file).size - 10);
  await alice.login();
  expect(alice.of("warning").map(({ code }) => code)).toContain("TRANSCRIPT_REPAIRED");
  expect(alice.of("expired")).toMatchObject([{ conversation }]);
  expect(readFileSync(file, "utf8")).toBe(whole.slice(0, whole.lastIndexOf("\n", whole.length - 2) + 1));
});

test("openDirect() begins another by itself, for both, and what was not sent can be sent there", async () => {
  await bob.quit();
  alice.link.cut();
  await alice.until(() => alice.of("closed").length > 0);
  await expect(alice.client.send(conversation, "typed offline")).rejects.toMatchObject({
    code: "NOT_CONNECTED",
  });
  alice.client.close();
  await letPass();
  await bob.login();
  await alice.login();
  expect(alice.of("expired")).toMatchObject([{ unsent: 1 }]);
  const next = await alice.client.openDirect("bob");
  expect(next).not.toBe(conversation);
  for (const party of [alice, bob]) {
    await party.until(() => party.of("replaced").length > 0);
    expect(party.of("replaced")).toMatchObject([{ conversation, successor: next }]);
  }
  expect(alice.client.unsent(next)).toEqual(["typed offline"]);
  await Promise.all(alice.client.resend(next));
  await bob.until(() => bob.texts.includes("typed offline"));
  expect(alice.client.unsent(next)).toEqual([]);
  expect(await alice.client.openDirect("bob")).toBe(next);
  expect(await bob.client.openDirect("alice")).toBe(next);
});

test("a line that finds its conversation expired is kept, and the next openDirect() begins another", async () => {
  await letPass();
  await expect(alice.client.send(conversation, "into the void")).rejects.toMatchObject({
    code: "CONVERSATION_EXPIRED",
  });
  expect(alice.of("expired")).toMatchObject([{ conversation, keptDays: 1, countersigned: false, unsent: 1 }]);
  expect(alice.of("error")).toEqual([]);
  const next = await alice.client.openDirect("bob");
  await Promise.all(alice.client.resend(next));
  await bob.until(() => bob.texts.includes("into the void"));
  // Bob, who has not asked for the old one, goes on in the new one all the same.
  await bob.client.send(await bob.client.openDirect("alice"), "out of it");
  await alice.until(() => alice.texts.includes("out of it"));
  await alice.quit();
  expect(bob.of("expired")).toEqual([]);
  await expect(bob.quit()).rejects.toMatchObject({ code: "NOT_COUNTERSIGNED" });
  expect(bob.of("expired")).toMatchObject([{ conversation, countersigned: false }]);
});

test("a server that says so of a conversation that it still names gets no other begun there, and no further words", async () => {
  await Promise.all([alice.quit(), bob.quit()]);
  await server.stop();
  let isLying = true;
  server.wrapStore = (store) =>
    overriding(store, {
      log: overriding(store.log, {
        expired: async (id) => (isLying && id === conversation ? lie : await store.log.expired(id)),
        visibleSize: async (id, person) =>
          isLying && id === conversation ? 0 : await store.log.visibleSize(id, person),
        conversationsOf: async (request) => (isLying ? [] : await store.log.conversationsOf(request)),
      }),
    });
  await server.start({ retentionDays: 1 });
  await bob.login();
  await alice.login();
  expect(alice.of("expired")).toMatchObject([{ conversation }]);
  await expect(alice.client.openDirect("bob")).rejects.toMatchObject({ code: "SERVER_MISBEHAVED" });
  isLying = false;
  await expect(alice.client.send(conversation, "lured back")).rejects.toMatchObject({
    code: "CONVERSATION_EXPIRED",
  });
  // As with one that the server has spoilt, what it still counts as theirs is given up.
  const next = await alice.client.fresh(conversation);
  await alice.client.send(next, "somewhere else");
  await bob.until(() => bob.texts.includes("somewhere else"));
});

test("another server that says so of a conversation that it never had ends nothing", async () => {
  const { authority } = server;
  const identity = await authority.issueServer(["other.example", "127.0.0.1"]);
  const other = await TestServer.create({}, { authority, identity });
  try {
    await other.stop();
    other.wrapStore = (store) =>
      overriding(store, { log: overriding(store.log, { expired: async () => lie }) });
    await other.start({ retentionDays: 1 });
    alice.client.close();
    await alice.register({ port: other.port });
    expect(alice.of("expired")).toEqual([]);
    await expect(alice.client.send(conversation, "lost?")).rejects.toMatchObject({
      code: "CONVERSATION_LOST",
    });
    alice.client.close();
    await alice.login();
    await alice.client.send(conversation, "at home again");
    await bob.until(() => bob.texts.includes("at home again"));
  } finally {
    await other.dispose();
  }
});
