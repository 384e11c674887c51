import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { renameSync } from "node:fs";
import { backUpSqlite } from "../../src/store/sqliteBackup.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { overriding } from "../client/overriding.ts";
import { randomHex } from "../store/certificateRecord.ts";
import { directConversation, statementOf, TestConversation } from "./testConversation.ts";
import { TestServer } from "./testServer.ts";

// Real keys on a loaded machine.
setDefaultTimeout(60_000);

const day = 86_400_000;

let server: TestServer;
beforeEach(async () => {
  server = await TestServer.create();
});
afterEach(() => server.dispose());

/** Serves `days` later until what has expired by then is deleted, then goes on with the right clock. */
async function letPass(days: number, retentionDays: number | undefined): Promise<void> {
  await server.stop();
  const swept = Promise.withResolvers<void>();
  server.wrapStore = (store) =>
    overriding(store, { sweep: (request) => store.sweep(request).finally(() => swept.resolve()) });
  const options = retentionDays === undefined ? {} : { retentionDays };
  server.skewMs = days * day;
  await server.start(options);
  await swept.promise;
  await server.stop();
  server.skewMs = 0;
  await server.start(options);
}

test("--retention deletes what is older, says so in the log, and answers EXPIRED to everything about it", async () => {
  const { alice, bob, aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
  await conversation.post(aliceClient, conversation.message(alice));
  const statement = await statementOf(aliceClient, conversation);
  await letPass(29, 30);
  expect(server.log).not.toContain("Deleted");
  const member = await server.login(bob);
  const { id } = conversation;
  const all = { type: "fetch_entries", conversation: id, from: 0, limit: 9 } as const;
  expect((await member.expect("entries", all)).entries).toHaveLength(2);

  await letPass(31, 30);
  expect(server.log).toContain("Deleted 1 conversation without an entry for more than 30 days");
  const client = await server.login(alice);
  expect(await client.refusal(all)).toMatchObject({ code: "EXPIRED", detail: "30" });
  const about = { conversation: id } as const;
  for (const request of [
    { type: "fetch_receipt", ...about, size: 2 },
    { type: "sign_receipt", ...about, statement, signed_data: statement },
    { type: "release_pair", ...about },
    { type: "post", line: conversation.message(alice) },
  ] as const)
    expect([request.type, await client.refusalCode(request)]).toEqual([request.type, "EXPIRED"]);
  const { conversations } = await client.expect("conversations", { type: "list_conversations", after: null });
  expect(conversations).toEqual([]);
  const marks = [{ conversation: id, size: 2 }];
  expect((await client.expect("delivery_marks", { type: "delivered", marks })).marks).toEqual([]);
});

test("an id that has expired begins no other conversation, another id does, for the same pair", async () => {
  const { alice, bob, conversation } = await directConversation(server, ["alice", "bob"]);
  await letPass(2, 1);
  const client = await server.login(alice);
  const again = Object.assign(new TestConversation(server, alice, bob), { id: conversation.id });
  const create = await again.create(client, alice, [bob]);
  expect(await client.refusalCode({ type: "post", line: create })).toBe("EXPIRED");
  const next = new TestConversation(server, alice, bob);
  await next.post(client, await next.create(client, alice, [bob]));
});

test("a server that was put back deletes nothing whose end its members may still hand back", async () => {
  const { alice, conversation } = await directConversation(server, ["alice", "bob"]);
  await server.stop();
  // What was written since the backup is lost, and younger than what is in it.
  backUpSqlite(server.file, `${server.folder}/backup.db`, Date.now());
  renameSync(`${server.folder}/backup.db`, server.file);
  await letPass(31, 30);
  expect(server.log).not.toContain("Deleted");
  const client = await server.login(alice);
  const page = { type: "fetch_entries", conversation: conversation.id, from: 0, limit: 9 } as const;
  expect((await client.expect("entries", page)).entries).toHaveLength(1);
  await letPass(62, 30);
  expect(server.log).toContain("Deleted 1 conversation without an entry for more than 30 days");
});

test("an unknown id stays NOT_FOUND, and no retention deletes nothing", async () => {
  const { alice, conversation } = await directConversation(server, ["alice", "bob"]);
  await letPass(300, undefined);
  const client = await server.login(alice);
  const request = { type: "fetch_entries", from: 0, limit: 1 } as const;
  await client.expect("entries", { ...request, conversation: conversation.id });
  expect(await client.refusalCode({ ...request, conversation: randomHex(16) })).toBe("NOT_FOUND");
});

test("a post that is judged before its conversation expires and stored after that is refused", async () => {
  const { alice, conversation } = await directConversation(server, ["alice", "bob"]);
  await server.stop();
  const other = await openSqliteStore({ file: server.file });
  server.wrapStore = (store) =>
    overriding(store, {
      log: overriding(store.log, {
        async append(append) {
          const nowMs = Date.now() + 2 * day;
          const windows = { unnamedBlobMs: 9 * day, welcomeMs: 9 * day, counterMs: 9 * day };
          await other.sweep({ nowMs, ...windows, conversationMs: day });
          return await store.log.append(append);
        },
      }),
    });
  await server.start({ retentionDays: 1 });
  const client = await server.login(alice);
  const post = { type: "post", line: conversation.message(alice) } as const;
  expect(await client.refusal(post)).toMatchObject({ code: "EXPIRED", detail: "1" });
  expect(await other.log.size(conversation.id)).toBe(0);
  await other.close();
});
