import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, rmSync } from "node:fs";
import { encodeHex } from "../../src/base/hex.ts";
import { proveConsistency } from "../../src/evidence/consistencyProof.ts";
import { DigestList } from "../../src/evidence/digestList.ts";
import { signCheckpoint } from "../../src/log/checkpoint.ts";
import { leafHash, parseEntry } from "../../src/log/entry.ts";
import { backUpSqlite } from "../../src/store/sqliteBackup.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { Store } from "../../src/store/store.ts";
import type { WireCheckpoint } from "../../src/wire/sessionMessages.ts";
import { overriding } from "../client/overriding.ts";
import type { Issued } from "../pki/testAuthority.ts";
import { randomHex } from "../store/certificateRecord.ts";
import { FaultyStore } from "./faultyStore.ts";
import type { RawClient } from "./rawClient.ts";
import { directConversation, TestConversation } from "./testConversation.ts";
import { newKeyPackage, type Person, TestServer } from "./testServer.ts";
import { withLog } from "./wrappedStore.ts";

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.dispose();
});

interface Held {
  readonly at: number;
  readonly line: string;
}

/** A server that has lost the entries behind the third, and somebody who has them all. */
class Loss {
  readonly server: TestServer;
  readonly conversation: TestConversation;
  readonly alice: Person;
  readonly bob: Person;
  readonly held: readonly Held[];
  readonly checkpoint: WireCheckpoint;

  constructor(
    server: TestServer,
    parties: { conversation: TestConversation; alice: Person; bob: Person },
    log: { held: readonly Held[]; checkpoint: WireCheckpoint },
  ) {
    this.server = server;
    this.conversation = parties.conversation;
    this.alice = parties.alice;
    this.bob = parties.bob;
    this.held = log.held;
    this.checkpoint = log.checkpoint;
  }

  /** @param copy makes the backup; by default as `serve backup` does */
  static async create(copy: (from: string, to: string) => void = backUp): Promise<Loss> {
    const server = await TestServer.create();
    servers.push(server);
    const { alice, bob, aliceClient, bobClient, conversation } = await directConversation(server, [
      "alice",
      "bob",
    ]);
    const packages = await Promise.all([newKeyPackage(bob.device), newKeyPackage(bob.device)]);
    await bobClient.expect("published", {
      type: "publish_key_packages",
      packages: packages.map(({ publicPackage }) => publicPackage),
      last_resort: (await newKeyPackage(bob.device, { lastResort: true })).publicPackage,
    });
    for (let i = 0; i < 2; i++) await conversation.post(aliceClient, conversation.message(alice));
    await server.stop();
    copy(server.file, `${server.folder}/backup.db`);
    await server.start();
    const again = await server.login(alice);
    for (let i = 0; i < 2; i++) await conversation.post(again, conversation.message(alice));
    await conversation.post(again, await conversation.commit(again, alice));
    await conversation.post(again, conversation.message(alice));
    const { entries, checkpoint } = await again.expect("entries", page(conversation));
    await server.stop();
    rmSync(server.file);
    copyFileSync(`${server.folder}/backup.db`, server.file);
    await server.start();
    return new Loss(server, { conversation, alice, bob }, { held: entries, checkpoint });
  }

  /** A request that is right but for what the test replaces. */
  request(over: { held?: readonly Held[]; checkpoint?: WireCheckpoint; from?: number; to?: number } = {}) {
    const { held = this.held, checkpoint = this.checkpoint, from = 3, to = held.length } = over;
    const leaves = new DigestList();
    for (const { at, line } of held) leaves.append(leafHash(parseEntry(line), at));
    const chains: readonly (readonly Uint8Array[])[] = [];
    const path = to <= checkpoint.size ? proveConsistency(leaves, to, checkpoint.size) : [];
    return {
      type: "return_entries" as const,
      conversation: this.conversation.id,
      from,
      entries: held.slice(from, to),
      chains,
      checkpoint,
      path: path.map((hash) => encodeHex(hash)),
    };
  }

  /** The same statement, signed by somebody else. */
  signedBy(
    { certificate, key }: Pick<Issued, "certificate" | "key">,
    at = this.checkpoint.at,
  ): WireCheckpoint {
    const { size, root } = this.checkpoint;
    const server = certificate.fingerprint;
    const { conversation: _, ...signed } = signCheckpoint(
      { conversation: this.conversation.id, size, root, at, server },
      key,
    );
    return signed;
  }

  async size(client: RawClient): Promise<number> {
    return (await client.expect("entries", page(this.conversation))).entries.length;
  }
}

const page = ({ id }: TestConversation) =>
  ({ type: "fetch_entries", conversation: id, from: 0, limit: 256 }) as const;
const post = (line: string) => ({ type: "post", line }) as const;

function backUp(from: string, to: string): void {
  backUpSqlite(from, to, Date.now());
}

describe("entries that a restored server lacks", () => {
  test("are taken back byte for byte under the checkpoint that it had signed, also in several messages", async () => {
    const loss = await Loss.create();
    const alice = await loss.server.login(loss.alice);
    expect(await loss.size(alice)).toBe(3);
    expect(await alice.expect("entries_taken", loss.request({ to: 5 }))).toMatchObject({ size: 5 });
    expect(await alice.expect("entries_taken", loss.request({ from: 5 }))).toMatchObject({ size: 7 });
    const { entries, checkpoint } = await alice.expect("entries", page(loss.conversation));
    expect(entries).toEqual([...loss.held]);
    expect(checkpoint).toEqual(loss.checkpoint);
    // Once more changes nothing, nor what does not come next.
    expect(await alice.expect("entries_taken", loss.request())).toMatchObject({ size: 7 });
    expect(await loss.size(alice)).toBe(7);
  });

  test("that the store has taken without saying so reach those who are online", async () => {
    const loss = await Loss.create();
    const { server } = loss;
    await server.stop();
    let faulty: FaultyStore | undefined;
    server.wrapStore = (store) => {
      faulty = new FaultyStore(store);
      return faulty.store;
    };
    await server.start();
    const bob = await server.login(loss.bob);
    const alice = await server.login(loss.alice);
    faulty?.arm("log.append", "stored");
    expect(await alice.refusalCode(loss.request())).toBe("UNAVAILABLE");
    const pushed = () => bob.received.flatMap((one) => (one.type === "pushed" ? one.entries : []));
    while (pushed().length < 4) await Bun.sleep(5);
    expect(pushed()).toEqual(loss.held.slice(3));
  });

  test("are not taken from what does not begin where the log ends", async () => {
    const loss = await Loss.create();
    const alice = await loss.server.login(loss.alice);
    expect(await alice.expect("entries_taken", loss.request({ from: 4 }))).toMatchObject({ size: 3 });
    expect(await loss.size(alice)).toBe(3);
  });

  test("are refused when they were changed, moved, left out or never accepted, and when no own checkpoint covers them", async () => {
    const loss = await Loss.create();
    const { server, conversation, held, checkpoint } = loss;
    const alice = await server.login(loss.alice);
    const swapped = held.map((one, i) => held[i === 3 ? 4 : i === 4 ? 3 : i] ?? one);
    const later = held.map((one, i) => (i === 6 ? { ...one, at: one.at + 1 } : one));
    const made = { at: Date.now(), line: conversation.message(loss.alice) };
    const other = await server.authority.issueServer(["elsewhere.example"]);
    const foreign = await server.authority.issueUser("mallory");
    const refused: [string, ReturnType<Loss["request"]>][] = [
      ["BAD_VIEW", loss.request({ held: swapped })],
      ["BAD_VIEW", loss.request({ held: later })],
      ["BAD_VIEW", { ...loss.request({ to: 6 }), entries: [3, 5, 6].flatMap((i) => held[i] ?? []) }],
      ["BAD_VIEW", loss.request({ held: [...held, made] })],
      ["BAD_VIEW", { ...loss.request({ to: 5 }), path: [] }],
      ["BAD_SIGNATURE", loss.request({ checkpoint: { ...checkpoint, at: checkpoint.at + 1 } })],
      ["BAD_SIGNATURE", loss.request({ checkpoint: { ...checkpoint, size: 6 }, to: 6 })],
      [
        "CERTIFICATE_INVALID",
        { ...loss.request({ checkpoint: loss.signedBy(other) }), chains: [other.chain] },
      ],
      [
        "CERTIFICATE_INVALID",
        { ...loss.request({ checkpoint: loss.signedBy(foreign) }), chains: [foreign.chain] },
      ],
      ["CERTIFICATE_INVALID", loss.request({ checkpoint: loss.signedBy(other) })],
      ["MALFORMED", { ...loss.request(), entries: [{ at: 1, line: "{}" }] }],
    ];
    for (const [code, request] of refused)
      expect([code, await alice.refusalCode(request)]).toEqual([code, code]);
    expect(await loss.size(alice)).toBe(3);
    expect(await alice.expect("entries_taken", loss.request())).toMatchObject({ size: 7 });
  });

  test("bring certificates with them that the server has lost, and a conversation that it does not know", async () => {
    const server = await TestServer.create();
    servers.push(server);
    const [alice, bob] = [await server.person("alice"), await server.person("bob")];
    await server.register(alice);
    await server.stop();
    backUp(server.file, `${server.folder}/backup.db`);
    await server.start();
    const [first, bobBefore] = [await server.login(alice), await server.register(bob)];
    const conversation = new TestConversation(server, alice, bob);
    await conversation.post(first, await conversation.create(first, alice, [bob]));
    await conversation.post(bobBefore, conversation.message(bob));
    const { entries: held, checkpoint } = await first.expect("entries", page(conversation));
    await server.stop();
    rmSync(server.file);
    copyFileSync(`${server.folder}/backup.db`, server.file);
    await server.start();

    const loss = new Loss(server, { conversation, alice, bob }, { held, checkpoint });
    const request = { ...loss.request({ from: 0 }), chains: [bob.chain] };
    const mallory = await server.register(await server.person("mallory"));
    expect(await mallory.refusalCode(request)).toBe("NOT_FOUND");
    const again = await server.login(alice);
    expect(await again.refusalCode({ ...request, chains: [] })).toBe("CERTIFICATE_INVALID");
    expect(await again.refusalCode({ ...request, chains: [alice.chain] })).toBe("CERTIFICATE_INVALID");
    expect(await again.expect("entries_taken", request)).toMatchObject({ size: 2 });
    // bob has no account any more; what he wrote is his all the same.
    const bobAgain = await server.register(bob);
    expect((await bobAgain.expect("entries", page(conversation))).entries).toEqual(held);
    for (const client of [again, bobAgain]) await client.expect("logs_noted", { type: "logs_returned" });
    await conversation.post(bobAgain, conversation.message(bob));
  });

  test("are refused from somebody who never was a member", async () => {
    const loss = await Loss.create();
    const mallory = await loss.server.register(await loss.server.person("mallory"));
    expect(await mallory.refusalCode(loss.request())).toBe("NOT_FOUND");
  });
});

/** Two people on a server under whose hands every log gets this short, as when its store is put back while it runs. */
async function putBackUnderIt(size: number, wrap: (store: Store) => Store = (store) => store) {
  const server = await TestServer.create();
  servers.push(server);
  let isBack = false;
  await server.stop();
  server.wrapStore = (store) =>
    withLog(wrap(store), { size: (one) => (isBack ? Promise.resolve(size) : store.log.size(one)) });
  await server.start();
  const putBack = () => {
    isBack = true;
  };
  return { server, putBack, ...(await directConversation(server, ["alice", "bob"])) };
}

describe("a restored server", () => {
  test("takes nothing new before every device of the conversation was heard, and tells a stranger no more than ever", async () => {
    const loss = await Loss.create();
    const { server, conversation } = loss;
    expect(server.log).toContain("WARNING] The store is a copy of an earlier state");
    const alice = await server.login(loss.alice);
    await alice.expect("entries_taken", loss.request());
    const line = conversation.message(loss.alice);
    await alice.expect("logs_noted", { type: "logs_returned" });
    const held = await alice.refusal(post(line));
    expect([held.code, held.message]).toEqual(["RESTORING", expect.stringContaining("missing: bob")]);
    const mallory = await server.register(await server.person("mallory"));
    expect(await mallory.refusalCode(post(conversation.message(await server.person("mallory"))))).toBe(
      "UNKNOWN_SENDER",
    );
    const bob = await server.login(loss.bob);
    expect(await alice.refusalCode(post(line))).toBe("RESTORING");
    await bob.expect("logs_noted", { type: "logs_returned" });
    await conversation.post(alice, line);
    expect((await bob.push("pushed")).from).toBe(7);
  });

  test("refuses what it holds back also where the same line was posted several times at once", async () => {
    const loss = await Loss.create();
    const client = await loss.server.login(loss.alice);
    await client.expect("entries_taken", loss.request());
    const line = loss.conversation.message(loss.alice);
    const answers: Promise<string>[] = [];
    // Enough for two of them to be judged together, whatever the load of the machine.
    client.socket.together(() => {
      for (let i = 0; i < 64; i++) answers.push(client.refusalCode(post(line)));
    });
    expect(new Set(await Promise.all(answers))).toEqual(new Set(["RESTORING"]));
  });

  test("does not wait for a device whose certificate is revoked", async () => {
    const loss = await Loss.create();
    const { server, conversation } = loss;
    const alice = await server.login(loss.alice);
    await alice.expect("entries_taken", loss.request());
    await alice.expect("logs_noted", { type: "logs_returned" });
    const line = conversation.line(loss.alice, "acknowledge");
    expect(await alice.refusalCode(post(line))).toBe("RESTORING");
    const { der } = server.authority.crl([{ certificate: loss.bob.certificate }]);
    server.running.replaceCrl(der);
    await conversation.post(alice, line);
  });

  test("goes on without those who are missing when its operator says so", async () => {
    const loss = await Loss.create();
    const alice = await loss.server.login(loss.alice);
    await alice.expect("entries_taken", loss.request());
    await alice.expect("logs_noted", { type: "logs_returned" });
    const line = loss.conversation.message(loss.alice);
    expect(await alice.refusalCode(post(line))).toBe("RESTORING");
    const beside = await openSqliteStore({ file: loss.server.file });
    await beside.restoration.end();
    await beside.close();
    await loss.conversation.post(alice, line);
  });

  test("that nobody has told is told by the first who shows its own signature, and begins to wait", async () => {
    const loss = await Loss.create(copyFileSync);
    const { server } = loss;
    expect(server.log).not.toContain("WARNING");
    const bob = await server.login(loss.bob);
    const alice = await server.login(loss.alice);
    expect(await alice.expect("entries_taken", loss.request())).toMatchObject({ size: 7 });
    expect(await bob.ended).toBe("shutting_down");
    expect(server.log).toContain("has shown that the store lacks what this server has signed for");
    expect(await alice.refusalCode(post(loss.conversation.message(loss.alice)))).toBe("RESTORING");
    // What nobody has shown to be too short goes on, and a second claim about the same loss ends nobody's session.
    const [carol, dave] = [await server.person("carol"), await server.person("dave")];
    const [carolClient, daveClient] = [await server.register(carol), await server.register(dave)];
    const other = new TestConversation(server, carol, dave);
    await other.post(carolClient, await other.create(carolClient, carol, [dave]));
    const bobAgain = await server.login(loss.bob);
    await bobAgain.expect("entries_taken", loss.request());
    await other.post(daveClient, other.message(dave));
    // What was signed before the wait began is no reason to begin another.
    await server.stop();
    const store = await openSqliteStore({ file: server.file });
    await store.restoration.end();
    await store.close();
    await server.start();
    const again = await server.login(loss.alice);
    await again.expect("entries_taken", loss.request());
    await loss.conversation.post(again, loss.conversation.message(loss.alice));
  });

  test("ends the session of an account that is disabled, also when the store counts endings anew under it", async () => {
    const loss = await Loss.create(copyFileSync);
    const { server } = loss;
    await server.stop();
    let isBefore = true;
    server.wrapStore = (store) => ({
      ...store,
      control: overriding(store.control, {
        lastEnding: () => (isBefore ? Promise.resolve(1_000) : store.control.lastEnding()),
      }),
    });
    await server.start();
    isBefore = false;
    const alice = await server.login(loss.alice);
    await alice.expect("entries_taken", loss.request());
    const bob = await server.login(loss.bob);
    const beside = await openSqliteStore({ file: server.file });
    const account = await beside.accounts.byUsername("bob");
    const nowMs = Date.now();
    await beside.control.setDisabled({ account: account?.id ?? 0, disabled: true, nowMs });
    await beside.close();
    expect(await bob.ended).toBe("account_disabled");
  });

  test("forgets one-time key packages, which may have been handed out, and asks for another last-resort one", async () => {
    const loss = await Loss.create();
    const bob = await loss.server.login(loss.bob);
    const [answer] = bob.received.filter(({ type }) => type === "authenticated");
    expect(answer).toMatchObject({ one_time_key_packages: 0, last_resort_key_package: false });
    const alice = await loss.server.login(loss.alice);
    const { packages } = await alice.expect("key_packages", { type: "fetch_key_packages", username: "bob" });
    expect(packages.map(({ last_resort }) => last_resort)).toEqual([true]);
  });

  test("whose store is put back under it notices before it takes anything", async () => {
    const { server, putBack, alice, aliceClient, bobClient, conversation } = await putBackUnderIt(1);
    await conversation.post(aliceClient, conversation.message(alice));
    putBack();
    // Her entry is judged behind the shorter log, and does not come to stand there.
    await aliceClient.request(post(conversation.message(alice))).catch(() => undefined);
    expect(await bobClient.ended).toBe("shutting_down");
    expect(server.log).toContain("has lost entries of conversation");
  });

  test("waits no second time for a log that it found to be gone, once its operator has said so", async () => {
    const { server, putBack, alice, aliceClient, bob, bobClient, conversation } = await putBackUnderIt(0);
    putBack();
    await aliceClient.request(post(conversation.message(alice))).catch(() => undefined);
    expect(await bobClient.ended).toBe("shutting_down");
    const beside = await openSqliteStore({ file: server.file });
    await beside.restoration.end();
    await beside.close();
    const again = await server.login(alice);
    expect(await (await server.login(bob)).refusalCode(post(conversation.message(bob)))).toBe(
      "UNKNOWN_SENDER",
    );
    expect(await again.refusalCode(post(conversation.message(alice)))).toBe("UNKNOWN_SENDER");
    expect(server.log.match(/has lost entries/g)).toHaveLength(1);
  });

  test("begins one wait for what it has signed while its clock was ahead", async () => {
    const loss = await Loss.create(copyFileSync);
    const alice = await loss.server.login(loss.alice);
    const checkpoint = loss.signedBy(loss.server.identity, Date.now() + 3_600_000);
    await alice.expect("entries_taken", loss.request({ checkpoint, to: 5 }));
    const bob = await loss.server.login(loss.bob);
    await alice.expect("entries_taken", loss.request({ checkpoint, from: 5 }));
    await bob.expect("pong", { type: "ping" });
    expect(loss.server.log.match(/has shown that the store lacks/g)).toHaveLength(1);
  });

  test("holds back every log when it sees a loss while another process begins to wait for one log", async () => {
    const beginningElsewhere = (store: Store): Store => {
      const { restoration } = store;
      let isFirst = true;
      const begin: typeof restoration.begin = async (wait) => {
        if (isFirst) await restoration.begin({ ...wait, claim: randomHex(16) });
        isFirst = false;
        return await restoration.begin(wait);
      };
      return { ...store, restoration: overriding(restoration, { begin }) };
    };
    const made = await putBackUnderIt(1, beginningElsewhere);
    const { server, putBack, alice, aliceClient, bobClient, conversation } = made;
    await conversation.post(aliceClient, conversation.message(alice));
    putBack();
    await aliceClient.request(post(conversation.message(alice))).catch(() => undefined);
    expect(await bobClient.ended).toBe("shutting_down");
    const beside = await openSqliteStore({ file: server.file });
    while ((await beside.restoration.current())?.stage !== "waiting") await Bun.sleep(5);
    await beside.close();
  });

  test("goes by the newest look at whether it waits, not by the answer that came last", async () => {
    const loss = await Loss.create(copyFileSync);
    const { server } = loss;
    await server.stop();
    const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let looks = 0;
    server.wrapStore = (store) => ({
      ...store,
      restoration: overriding(store.restoration, {
        async current() {
          const stage = await store.restoration.current();
          looks += 1;
          // The first one is that of the start.
          if (looks === 2) {
            held.resolve();
            await released.promise;
          }
          return stage;
        },
      }),
    });
    await server.start();
    const carol = await server.register(await server.person("carol"));
    carol.request({ type: "logs_returned" }).catch(() => undefined);
    await held.promise;
    const alice = await server.login(loss.alice);
    await alice.expect("entries_taken", loss.request());
    released.resolve();
    expect(await alice.refusalCode(post(loss.conversation.message(loss.alice)))).toBe("RESTORING");
  });

  test("asks again whether it waits when the store has not said whether it took the wait", async () => {
    const loss = await Loss.create(copyFileSync);
    const { server } = loss;
    await server.stop();
    let faulty: FaultyStore | undefined;
    server.wrapStore = (store) => {
      faulty = new FaultyStore(store);
      return faulty.store;
    };
    await server.start();
    faulty?.arm("restoration.begin", "stored");
    const bob = await server.login(loss.bob);
    expect(await bob.refusalCode(loss.request())).toBe("UNAVAILABLE");
    const alice = await server.login(loss.alice);
    await alice.request(post(loss.held[3]?.line ?? "")).catch(() => undefined);
    expect(await alice.ended).toBe("shutting_down");
  });

  test("whose store is put back under it takes back what names a certificate that is lost with it", async () => {
    const server = await TestServer.create();
    servers.push(server);
    const { alice, bob, aliceClient, conversation } = await directConversation(server, ["alice", "bob"]);
    await conversation.post(aliceClient, conversation.message(alice));
    const { entries, checkpoint } = await aliceClient.expect("entries", page(conversation));
    // As a store would be that has never heard of bob or the conversation.
    const database = new Database(server.file);
    database.run("PRAGMA foreign_keys = OFF");
    for (const table of [
      "entries",
      "blob_references",
      "members",
      "checkpoints",
      "log_states",
      "direct_pairs",
    ])
      database.run(`DELETE FROM ${table}`);
    database.run("DELETE FROM conversations");
    database.run("DELETE FROM users WHERE username = 'bob'");
    database.run("DELETE FROM certificates WHERE fingerprint = ?", [bob.certificate.fingerprint]);
    database.close();
    const request = {
      type: "return_entries" as const,
      conversation: conversation.id,
      from: 0,
      entries,
      chains: [alice.chain, bob.chain],
      checkpoint,
      path: [],
    };
    await aliceClient.request(request).catch(() => undefined);
    expect(await aliceClient.ended).toBe("shutting_down");
    const again = await server.login(alice);
    expect(await again.expect("entries_taken", request)).toMatchObject({ size: 2 });
  });

  test("are there once, and the wait is over for all, whichever call of the store fails, stored or not", async () => {
    const loss = await Loss.create(copyFileSync);
    const { server, alice, bob, conversation } = loss;
    const line = conversation.message(alice);
    await server.stop();
    const kept = `${server.folder}/kept.db`;
    copyFileSync(server.file, kept);

    /** Both hand back what they have, and alice writes on: everything again that was refused as `UNAVAILABLE`. */
    async function run(arm: (store: FaultyStore) => void): Promise<FaultyStore> {
      copyFileSync(kept, server.file);
      let faulty: FaultyStore | undefined;
      server.wrapStore = (store) => {
        faulty = new FaultyStore(store);
        return faulty.store;
      };
      await server.start();
      if (faulty === undefined) throw new Error("there is no store");
      arm(faulty);
      const insist = async (client: RawClient, request: Parameters<RawClient["request"]>[0]) => {
        for (;;) {
          const answer = await client.request(request);
          if (answer.type !== "refused") return answer;
          expect([request.type, answer.code]).toEqual([request.type, "UNAVAILABLE"]);
        }
      };
      const enter = async (person: Person) => {
        const client = await server.dial(person);
        await insist(client, { type: "login", email: person.email, password: person.password });
        return client;
      };
      const alices = await enter(alice);
      expect(await insist(alices, loss.request({ to: 5 }))).toMatchObject({ size: 5 });
      expect(await insist(alices, loss.request({ from: 5 }))).toMatchObject({ size: 7 });
      await insist(alices, { type: "logs_returned" });
      const bobs = await enter(bob);
      expect(await insist(bobs, loss.request())).toMatchObject({ size: 7 });
      await insist(bobs, { type: "logs_returned" });
      expect(await insist(alices, post(line))).toMatchObject({ type: "accepted", index: 7 });
      const all = await insist(alices, page(conversation));
      if (all.type !== "entries") throw new Error(`answered with ${all.type}`);
      expect(all.entries.map((one) => one.line)).toEqual([...loss.held.map((one) => one.line), line]);
      expect(all.checkpoint.size).toBe(8);
      expect(server.running.sessions).toBe(2);
      await server.stop();
      return faulty;
    }

    let start = 0;
    const reference = await run(({ calls }) => {
      start = calls.length;
    });
    // What the server asks for by itself, now and then, is no answer to anybody.
    const calls = new Set(reference.calls.slice(start));
    calls.delete("control.endings");
    for (const call of ["begin", "claim", "hear", "unheard", "current"])
      expect(calls).toContain(`restoration.${call}`);
    for (const call of calls)
      for (const fault of ["lost", "stored"] as const)
        expect((await run((store) => store.arm(call, fault))).failed).toEqual([call]);
  }, 60_000);
});
