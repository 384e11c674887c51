import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEntry } from "../../src/log/entry.ts";
import type { Store } from "../../src/store/store.ts";
import { StoreError } from "../../src/store/storeError.ts";
import { createTestAuthority } from "../pki/testAuthority.ts";
import { spawnServer } from "./childServer.ts";
import { FaultyStore } from "./faultyStore.ts";
import { RawClient } from "./rawClient.ts";
import { directConversation, TestConversation } from "./testConversation.ts";
import { personOf, TestServer } from "./testServer.ts";
import { withLog } from "./wrappedStore.ts";

const post = (line: string) => ({ type: "post", line }) as const;

/** A store whose next append fails, before or after it was stored. */
function failingOnce(store: Store, fail: { next: "before" | "after" | undefined }): Store {
  return withLog(store, {
    async append(wanted) {
      const { next } = fail;
      fail.next = undefined;
      if (next === "before") throw new StoreError("UNAVAILABLE", "the disk is full");
      const outcome = await store.log.append(wanted);
      if (next === "after") throw new StoreError("UNAVAILABLE", "the answer was lost");
      return outcome;
    },
  });
}

describe("a store that fails", () => {
  for (const when of ["before", "after"] as const)
    test(`${when} storing: the post is refused as UNAVAILABLE, and posting again puts it into the log once`, async () => {
      const fail: { next: "before" | "after" | undefined } = { next: undefined };
      const server = await TestServer.create();
      await server.stop();
      server.wrapStore = (store) => failingOnce(store, fail);
      await server.start();
      const { alice, aliceClient, bobClient, conversation } = await directConversation(server, [
        "alice",
        "bob",
      ]);
      const line = conversation.message(alice);
      fail.next = when;
      expect(await aliceClient.refusalCode(post(line))).toBe("UNAVAILABLE");
      await conversation.post(aliceClient, line);
      await conversation.post(aliceClient, conversation.message(alice));
      const { entries } = await bobClient.expect("entries", {
        type: "fetch_entries",
        conversation: conversation.id,
        from: 0,
        limit: 9,
      });
      expect(entries.map((one) => one.line)).toHaveLength(3);
      expect(entries[1]?.line).toBe(line);
      expect(server.log).toContain("[ERROR]");
      await server.dispose();
    });

  test("after storing: whoever is online is told all the same, and the operator once", async () => {
    const server = await TestServer.create();
    await server.stop();
    let faulty: FaultyStore | undefined;
    server.wrapStore = (store) => {
      faulty = new FaultyStore(store);
      return faulty.store;
    };
    await server.start();
    const { alice, aliceClient, bobClient, conversation } = await directConversation(server, [
      "alice",
      "bob",
    ]);
    const line = conversation.message(alice);
    faulty?.arm("log.append", "stored");
    expect(await aliceClient.refusalCode(post(line))).toBe("UNAVAILABLE");
    expect(server.running.isStoreReachable).toBe(false);
    // Nobody posts again.
    for (const client of [bobClient, aliceClient]) {
      const pushed = await client.push("pushed");
      expect([pushed.from, pushed.entries.map((one) => one.line)]).toEqual([1, [line]]);
      expect(pushed.checkpoint.size).toBe(2);
    }
    while (!server.running.isStoreReachable) await Bun.sleep(10);
    expect(server.log.match(/ERROR\] The store fails: made to fail: log\.append/g)).toHaveLength(1);
    expect(server.log.match(/INFO\] The store works again after/g)).toHaveLength(1);
    await server.dispose();
  });

  test("because somebody else appended: the entry is judged again after theirs", async () => {
    const server = await TestServer.create();
    const { alice, bob, aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
    // A second server on the same store, as another node would be.
    const first = server.running;
    await server.start();
    const second = server.running;
    const bobClient = await server.login(bob);
    for (let i = 0; i < 3; i++) {
      await conversation.post(aliceClient, conversation.message(alice));
      await conversation.post(bobClient, conversation.message(bob));
    }
    const view = { size: 7, root: conversation.rootAt(7) };
    const lines = Array.from({ length: 20 }, (_, i) => [
      conversation.message(alice, { seqno: 5 + i, view }),
      conversation.message(bob, { seqno: 4 + i, view }),
    ]);
    const answers = await Promise.all(
      lines.flatMap(([a, b]) => [
        aliceClient.expect("accepted", post(a ?? "")),
        bobClient.expect("accepted", post(b ?? "")),
      ]),
    );
    expect(new Set(answers.map(({ index }) => index)).size).toBe(40);
    await second.stop();
    await first.stop();
    await server.start();
    const { entries, checkpoint } = await (await server.login(alice)).expect("entries", {
      type: "fetch_entries",
      conversation: conversation.id,
      from: 7,
      limit: 256,
    });
    for (const { at, line } of entries) conversation.take(line, at);
    expect([checkpoint.size, checkpoint.root]).toEqual([47, conversation.state.root]);
    await server.dispose();
  });
});

test("what was accepted before kill -9 is there afterwards, exactly once, under the root that was signed", async () => {
  const authority = await createTestAuthority();
  const identity = await authority.issueServer(["localhost", "127.0.0.1"]);
  const folder = mkdtempSync(join(tmpdir(), "securechat-kill-"));
  const people = await Promise.all(
    ["alice", "bob"].map(async (name) =>
      personOf(await authority.issueUser(name), name, `${name}@example.org`),
    ),
  );
  const [alice, bob] = people;
  if (alice === undefined || bob === undefined) throw new Error("nobody");
  const conversation = new TestConversation({ authority, identity }, alice, bob);
  const accepted = new Map<number, string>();
  let seqno = 1;
  for (let round = 0; round < 3; round++) {
    const { child, port } = await spawnServer(folder, { authority, identity });
    const clients: RawClient[] = [];
    for (const { email, username, password, chain, key } of people) {
      const client = await RawClient.connect(port, { chain, key }, { ca: authority.ca });
      const type = round === 0 ? "register" : "login";
      const request = type === "register" ? { type, email, username, password } : { type, email, password };
      await client.expect("authenticated", request as never);
      clients.push(client);
    }
    const [client] = clients;
    if (client === undefined) throw new Error("nobody");
    if (round === 0) await conversation.post(client, await conversation.create(client, alice, [bob]));
    else {
      const page = await client.expect("entries", {
        type: "fetch_entries",
        conversation: conversation.id,
        from: conversation.state.size,
        limit: 256,
      });
      for (const [i, { line, at }] of page.entries.entries()) {
        const index = conversation.state.size;
        if (accepted.has(index)) expect(line).toBe(accepted.get(index) ?? "");
        expect([i, page.from + i]).toEqual([i, index]);
        conversation.take(line, at);
      }
      expect([...accepted.keys()].every((index) => index < conversation.state.size)).toBe(true);
      expect([page.checkpoint.size, page.checkpoint.root]).toEqual([
        conversation.state.size,
        conversation.state.root,
      ]);
      seqno = conversation.state.senders.get(alice.certificate.fingerprint)?.lastSeqno ?? 0;
    }
    const view = { size: conversation.state.size, root: conversation.state.root };
    const lines = Array.from({ length: 80 }, () => conversation.message(alice, { seqno: ++seqno, view }));
    let count = 0;
    const killed = Promise.withResolvers<void>();
    for (const line of lines)
      client.request(post(line)).then(
        (answer) => {
          if (answer.type === "accepted") accepted.set(answer.index, line);
          count += 1;
          if (count === 20) killed.resolve();
        },
        () => undefined,
      );
    await killed.promise;
    child.kill("SIGKILL");
    await child.exited;
    await Promise.all(clients.map((one) => one.ended));
  }
  expect(accepted.size).toBeGreaterThanOrEqual(60);
  expect(parseEntry(accepted.values().next().value ?? "").sender).toBe(alice.certificate.fingerprint);
  rmSync(folder, { recursive: true });
}, 60_000);
