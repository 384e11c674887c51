import { afterEach, describe, expect, test } from "bun:test";
import { StoreError } from "../../src/store/storeError.ts";
import { FaultyStore } from "../server/faultyStore.ts";
import { TestServer } from "../server/testServer.ts";
import { Party } from "./testParty.ts";

const policy = { delayMs: () => 5, endingPatienceMs: 30_000 };

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.dispose();
});

/** A server whose store can be taken away. */
async function server() {
  const made = await TestServer.create();
  servers.push(made);
  await made.stop();
  const out = { isAway: false, faulty: undefined as FaultyStore | undefined };
  made.wrapStore = (store) => {
    out.faulty = new FaultyStore(store, () => {
      if (out.isAway) throw new StoreError("UNAVAILABLE", "the store is away");
    });
    return out.faulty.store;
  };
  await made.start();
  return { made, out };
}

async function pair(made: TestServer) {
  const alice = new Party(made, await made.newPerson("alice"));
  const bob = new Party(made, await made.newPerson("bob"));
  await alice.register({ reconnect: policy });
  await bob.register({ reconnect: policy });
  const conversation = await alice.client.openDirect("bob");
  await alice.client.send(conversation, "first");
  await bob.until(() => bob.texts.length === 1);
  return { alice, bob, conversation };
}

describe("while the server can't store", () => {
  test("what is written is kept, told about once, and sent in its order without a new connection", async () => {
    const { made, out } = await server();
    const { alice: a, bob: b, conversation } = await pair(made);
    await using alice = a;
    await using bob = b;
    out.isAway = true;
    const sending = ["second", "third", "fourth"].map((text) => alice.client.send(conversation, text));
    await alice.until(() => alice.of("warning").some(({ code }) => code === "SERVER_UNAVAILABLE"));
    const asked = out.faulty?.refused ?? 0;
    while ((out.faulty?.refused ?? 0) < asked + 20) await Bun.sleep(5);
    sending.push(alice.client.send(conversation, "fifth"));
    out.isAway = false;
    const sent = await Promise.all(sending);
    expect(sent.map(({ seqno }) => seqno)).toEqual([3, 4, 5, 6]);
    await bob.until(() => bob.texts.length === 5);
    expect(bob.texts).toEqual(["first", "second", "third", "fourth", "fifth"]);
    expect(alice.of("warning").filter(({ code }) => code === "SERVER_UNAVAILABLE")).toHaveLength(1);
    expect(alice.of("error")).toEqual([]);
    expect([...alice.of("connection"), ...bob.of("connection")]).toEqual([]);
  });

  test("a message that the store took although it said otherwise stands once", async () => {
    const { made, out } = await server();
    const { alice: a, bob: b, conversation } = await pair(made);
    await using alice = a;
    await using bob = b;
    for (const [i, call] of ["log.append", "log.size", "log.visibleSize", "log.entries"].entries()) {
      out.faulty?.arm(call, "stored");
      await alice.client.send(conversation, `message ${i}`);
    }
    await bob.until(() => bob.texts.length === 5);
    expect(bob.texts).toEqual(["first", "message 0", "message 1", "message 2", "message 3"]);
    expect(alice.of("sent").map(({ text }) => text)).toEqual(bob.texts);
  });

  test("a client that ends tries a few times, then says so and keeps the words for the next time", async () => {
    const { made, out } = await server();
    const { alice: a, bob: b, conversation } = await pair(made);
    await using alice = a;
    await using bob = b;
    out.isAway = true;
    const sending = alice.client.send(conversation, "later").catch((error: unknown) => error);
    await alice.until(() => alice.of("warning").length > 0);
    const quitting = await alice.quit().catch((error: unknown) => error);
    out.isAway = false;
    expect([quitting, await sending]).toMatchObject([
      { code: "NOT_COUNTERSIGNED" },
      { refusal: "UNAVAILABLE" },
    ]);
    await alice.login({ reconnect: policy });
    await bob.until(() => bob.texts.length === 2);
    expect(bob.texts).toEqual(["first", "later"]);
  });

  test("a password whose change was stored, or not, though the server said otherwise is changed when it is asked for again", async () => {
    const { made, out } = await server();
    const { faulty } = out;
    await using alice = new Party(made, await made.newPerson("alice"));
    await alice.register();
    const { email, password } = alice.person;
    const change = async (from: string, to: string) => {
      await alice.quit();
      await alice.open();
      await alice.client.connect();
      await alice.client.login({ email, password: from, newPassword: to });
    };
    const start = faulty?.calls.length;
    let current = `${password} 0`;
    await change(password, current);
    const calls = [...new Set(faulty?.calls.slice(start))];
    expect(calls).toContain("accounts.replacePassword");
    let ends = "";
    for (const call of calls)
      for (const fault of ["lost", "stored"] as const) {
        const next = `${password} ${call} ${fault}`;
        faulty?.arm(call, fault);
        // As somebody does it who is told that it did not work.
        const first = await change(current, next).catch((error: { refusal?: string }) => error.refusal);
        ends += ` ${first ?? "done"}`;
        faulty?.arm(undefined, fault);
        if (first !== undefined) await change(current, next);
        await alice.quit();
        await alice.open();
        await alice.client.connect();
        await alice.client.login({ email, password: next });
        current = next;
      }
    expect(ends).not.toContain("AUTHENTICATION_FAILED");
  }, 60_000);

  test("a client that knows another node logs in and goes on there, and says nothing of a lost connection before", async () => {
    const { made: one, out } = await server();
    const { authority, identity } = one;
    // A store of its own will do: she has an account in both.
    const two = await TestServer.create({}, { authority, identity });
    servers.push(two);
    await using alice = new Party(one, await one.newPerson("alice"));
    await using bob = new Party(two, await one.newPerson("bob"));
    await bob.register();
    await alice.register();
    await alice.quit();
    await alice.register({ port: two.port });
    await alice.quit();
    out.isAway = true;
    await expect(alice.login()).rejects.toMatchObject({ refusal: "UNAVAILABLE" });
    await alice.quit();
    const alternatives = [{ host: "127.0.0.1", port: two.port }];
    alice.events.length = 0;
    await alice.login({ alternatives, reconnect: policy });
    expect([...alice.of("closed"), ...alice.of("connection")]).toEqual([]);
    expect(alice.of("authenticated")).toHaveLength(1);
    const conversation = await alice.client.openDirect("bob");
    await alice.client.send(conversation, "from the other node");
    await bob.until(() => bob.texts.length === 1);
    await alice.quit();
    // Nobody is asked twice when all of them can't.
    await alice.open({ alternatives: [{ host: "127.0.0.1", port: one.port }] });
    await alice.client.connect();
    const { email, password } = alice.person;
    await expect(alice.client.login({ email, password })).rejects.toMatchObject({ refusal: "UNAVAILABLE" });
  });
});
