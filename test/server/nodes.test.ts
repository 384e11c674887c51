import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { encodeHex } from "../../src/base/hex.ts";
import { signDetached } from "../../src/pki/cms/signDetached.ts";
import { decodeSignedData } from "../../src/pki/cms/signedData.ts";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import type { Store } from "../../src/store/store.ts";
import { StoreError } from "../../src/store/storeError.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import type { RawClient } from "./rawClient.ts";
import { directConversation, statementOf, TestConversation } from "./testConversation.ts";
import { newKeyPackage, type Person, TestServer } from "./testServer.ts";
import { withLog } from "./wrappedStore.ts";

// A real database on a loaded machine.
setDefaultTimeout(60_000);

/** The indexes that a client was sent, in the order in which they came, its own entries included. */
function indexesOf(client: RawClient, { id }: TestConversation): number[] {
  return client.received.flatMap((message) => {
    if (message.type === "accepted" && message.conversation === id) return [message.index];
    if (message.type !== "pushed" || message.conversation !== id) return [];
    return message.entries.map((_, i) => message.from + i);
  });
}

/** Waits until the client was sent the entry at `index`. */
async function sent(client: RawClient, conversation: TestConversation, index: number): Promise<void> {
  while (!indexesOf(client, conversation).includes(index)) await client.push("pushed");
}

const upTo = (size: number) => Array.from({ length: size }, (_, i) => i);

describe.skipIf(!hasPostgres)("two servers on one PostgreSQL", () => {
  let postgres: PostgresServer;
  let address: PostgresAddress;
  let a: TestServer;
  let b: TestServer;
  const calls: string[] = [];
  /** What a server waits for before it reads a checkpoint. */
  const gates = new Map<string, Promise<void>>();
  let count = 0;

  /** Notes each call of the log of server `name`. */
  const noting = (name: string) => (store: Store) => {
    const { log } = store;
    const noted = <T>(method: string, result: T): T => {
      calls.push(`${name} ${method}`);
      return result;
    };
    return withLog(store, {
      append: (append) => noted("append", log.append(append)),
      appendInTurn: (conversation, judge) => noted("appendInTurn", log.appendInTurn(conversation, judge)),
      size: (conversation) => noted("size", log.size(conversation)),
      entries: (request) => noted("entries", log.entries(request)),
      checkpoint: async (conversation) => {
        noted("checkpoint", undefined);
        await gates.get(name);
        return log.checkpoint(conversation);
      },
      readers: (conversation) => noted("readers", log.readers(conversation)),
    });
  };

  beforeAll(async () => {
    postgres = await PostgresServer.start();
    address = postgres.createDatabase();
    const openStore = () => openPostgresStore({ address });
    a = await TestServer.create({}, { openStore });
    const { authority } = a;
    // Of the same names and another key, as on another machine.
    const identity = await authority.issueServer(["localhost", "127.0.0.1"]);
    b = await TestServer.create({}, { openStore, authority, identity });
    for (const [name, server] of Object.entries({ a, b })) {
      await server.stop();
      server.wrapStore = noting(name);
      await server.start();
    }
  });
  afterAll(async () => {
    await a.dispose();
    await b.dispose();
    await postgres.dispose();
  });

  /** People on A and on B, all in one conversation that the first has begun. */
  async function conversationOf(onA: number, onB: number) {
    const people: { person: Person; client: RawClient }[] = [];
    for (const server of [...Array.from({ length: onA }, () => a), ...Array.from({ length: onB }, () => b)]) {
      const person = await a.person(`p${++count}`);
      people.push({ person, client: await server.register(person) });
    }
    const [first, ...others] = people;
    if (first === undefined) throw new Error("nobody");
    const conversation = new TestConversation(a, ...people.map(({ person }) => person));
    const create = await conversation.create(
      first.client,
      first.person,
      others.map(({ person }) => person),
      onA + onB === 2 ? {} : { kind: "group", title: "us" },
    );
    await conversation.post(first.client, create);
    for (const { client } of others) await sent(client, conversation, 0);
    return { people, conversation };
  }

  /** Of two people, the first on A and the second on B. */
  async function pair() {
    const { people, conversation } = await conversationOf(1, 1);
    const [alice, bob] = people;
    if (alice === undefined || bob === undefined) throw new Error("nobody");
    return { alice, bob, conversation };
  }

  test("what is posted to one is pushed by the other, once, in order, with a checkpoint that covers it", async () => {
    const { alice, bob, conversation } = await pair();
    for (let i = 0; i < 3; i++) {
      await conversation.post(alice.client, conversation.message(alice.person));
      await sent(bob.client, conversation, conversation.state.size - 1);
      await conversation.post(bob.client, conversation.message(bob.person));
      await sent(alice.client, conversation, conversation.state.size - 1);
    }
    for (const { client } of [alice, bob]) expect(indexesOf(client, conversation)).toEqual(upTo(7));
    const last = alice.client.received.findLast((message) => message.type === "pushed");
    expect(last?.checkpoint).toMatchObject({ size: 7, root: conversation.state.root });
  });

  test("who was away is given everything by the other server", async () => {
    const { alice, bob, conversation } = await pair();
    bob.client.close();
    await bob.client.ended;
    await conversation.post(alice.client, conversation.message(alice.person));
    const back = await a.login(bob.person);
    const request = { type: "fetch_entries", conversation: conversation.id, from: 0, limit: 256 } as const;
    expect((await back.expect("entries", request)).entries).toHaveLength(2);
    await conversation.post(alice.client, conversation.message(alice.person));
    await sent(back, conversation, 2);
    expect(indexesOf(back, conversation)).toEqual([2]);
  });

  test("both at full speed into one log: nothing lost, nothing twice, one order for all, nobody starves", async () => {
    const { people, conversation } = await conversationOf(2, 2);
    const each = 60;
    const lanes = 4;
    const view = { size: 1, root: conversation.rootAt(1) };
    const lines = people.map(({ person }, who) =>
      upTo(each).map((n) => conversation.message(person, { seqno: n + (who === 0 ? 2 : 1), view })),
    );
    const places: number[] = [];
    const post = async (client: RawClient, waiting: string[]) => {
      for (let line = waiting.shift(); line !== undefined; line = waiting.shift())
        places.push((await client.expect("accepted", { type: "post", line })).index);
    };
    await Promise.all(
      people.flatMap(({ client }, who) => upTo(lanes).map(() => post(client, lines[who] ?? []))),
    );
    const size = 1 + people.length * each;
    expect(places.sort((one, other) => one - other)).toEqual(upTo(size).slice(1));
    for (const { client } of people) {
      await sent(client, conversation, size - 1);
      expect(indexesOf(client, conversation)).toEqual(upTo(size));
    }
  });

  test("neither asks the store anew for its own entries, and one where nobody is concerned not at all", async () => {
    const { people, conversation } = await conversationOf(2, 0);
    const [alice, bob] = people;
    const other = await b.register(await a.person("bystander"));
    if (alice === undefined || bob === undefined) throw new Error("nobody");
    const post = async () => {
      await conversation.post(alice.client, conversation.message(alice.person));
      await sent(bob.client, conversation, conversation.state.size - 1);
    };
    // The first one has B look who reads this log.
    await post();
    while (!calls.includes("b readers")) await Bun.sleep(5);
    calls.length = 0;
    for (let i = 0; i < 5; i++) await post();
    // Notifications come in order: with this one B has heard of all before it.
    const elsewhere = await a.login(await a.person("bystander"));
    expect(await other.ended).toBe("replaced");
    expect(calls.filter((call) => call.startsWith("b"))).toEqual([]);
    expect(calls).toEqual(Array.from({ length: 5 }, () => ["a size", "a append"]).flat());
    elsewhere.close();
  });

  test("a member whom one server takes in and out is told by the other, up to the entry that takes it out", async () => {
    const { people, conversation } = await conversationOf(3, 0);
    const [alice, bob] = people;
    if (alice === undefined || bob === undefined) throw new Error("nobody");
    const carol = await a.person(`p${++count}`);
    const client = await b.register(carol);
    conversation.knows(carol);
    await conversation.post(
      alice.client,
      await conversation.commit(alice.client, alice.person, { add: [carol] }),
    );
    await sent(client, conversation, 1);
    await conversation.post(bob.client, conversation.message(bob.person));
    await sent(client, conversation, 2);
    const removal = await conversation.commit(alice.client, alice.person, { remove: [carol] });
    const gate = Promise.withResolvers<void>();
    gates.set("b", gate.promise);
    calls.length = 0;
    await conversation.post(alice.client, removal);
    while (!calls.includes("b checkpoint")) await Bun.sleep(5);
    // The log goes on before B looks.
    await conversation.post(alice.client, conversation.message(alice.person));
    gate.resolve();
    await sent(client, conversation, 3);
    await sent(bob.client, conversation, 4);
    const request = { type: "fetch_entries", conversation: conversation.id, from: 0, limit: 256 } as const;
    expect((await client.expect("entries", request)).checkpoint.size).toBe(4);
    expect(indexesOf(client, conversation)).toEqual([1, 2, 3]);
    const pushes = client.received.filter((message) => message.type === "pushed");
    expect(pushes.at(-1)?.checkpoint).toMatchObject({ size: 4, root: conversation.rootAt(4) });
  });

  test("a newer session on one ends the older on the other with replaced; of many at once one stays", async () => {
    const person = await a.person(`p${++count}`);
    const first = await a.register(person);
    const second = await b.login(person);
    expect(await first.ended).toBe("replaced");
    const third = await a.login(person);
    expect(await second.ended).toBe("replaced");
    const crowd = await Promise.all(
      [a, b, a, b, a, b].map((server) => server.login(person).catch(() => undefined)),
    );
    expect(await third.ended).toBe("replaced");
    const clients = crowd.filter((client) => client !== undefined);
    const open = new Set(clients);
    for (const client of clients) void client.ended.then(() => open.delete(client));
    while (open.size > 1) await Bun.sleep(5);
    const [survivor] = open;
    expect((await survivor?.request({ type: "ping" }))?.type).toBe("pong");
  });

  test("an account that is disabled on one loses its session on the other", async () => {
    const person = await a.person(`p${++count}`);
    const client = await a.register(person);
    const operator = await openPostgresStore({ address });
    const account = await operator.accounts.byUsername(person.username);
    await operator.control.setDisabled({ account: account?.id ?? -1, disabled: true, nowMs: Date.now() });
    expect(await client.ended).toBe("account_disabled");
    await expect(b.login(person)).rejects.toThrow("ACCOUNT_DISABLED");
    await operator.close();
  });

  test("how far a member says to have received reaches those at the other", async () => {
    const { alice, bob, conversation } = await pair();
    const mark = { conversation: conversation.id, size: 1 };
    await bob.client.expect("delivery_marks", { type: "delivered", marks: [mark] });
    const { certificate } = bob.person;
    const told = { type: "delivered", ...mark, member: certificate.fingerprint } as const;
    expect(await alice.client.push("delivered")).toEqual(told);
    const answer = await alice.client.expect("delivery_marks", { type: "delivered", marks: [mark] });
    expect(answer.marks).toEqual([{ ...mark, member: certificate.fingerprint }]);
    expect((await bob.client.push("delivered")).member).toBe(alice.person.certificate.fingerprint);
  });

  test("a list of revoked certificates that one is given holds at the other too, also when that begins with an older one", async () => {
    const [alice, bob] = [await a.person(`p${++count}`), await a.person(`p${++count}`)];
    const crl = a.authority.crl([]).der;
    for (const server of [a, b]) {
      await server.stop();
      await server.start({ crl });
    }
    const [onA, onB] = [await a.register(alice), await b.register(bob)];
    const newer = a.authority.crl([{ certificate: bob.certificate }], { number: 2n }).der;
    expect(a.running.replaceCrl(newer)).toBe(true);
    expect(await onB.ended).toBe("certificate_revoked");
    while (encodeHex((await onA.push("crl")).crl) !== encodeHex(newer));
    await b.stop();
    await b.start({ crl });
    await expect(b.dial(bob)).rejects.toThrow("certificate_revoked");
    expect(b.running.replaceCrl(newer)).toBe(false);
  });

  test("receipts that two servers countersign at the same time hold both signatures; each pushes the other's", async () => {
    const { alice, bob, conversation } = await pair();
    const statement = await statementOf(alice.client, conversation);
    const request = ({ certificate, key }: Person) => {
      const signingTimeMs = Date.now();
      const signed = { content: statement, certificate, key, signingTimeMs, includeCertificates: [] };
      const signed_data = signDetached(signed);
      return { type: "sign_receipt", conversation: conversation.id, statement, signed_data } as const;
    };
    await Promise.all(
      [alice, bob].map(({ client, person }) => client.expect("countersigned", request(person))),
    );
    for (const { client } of [alice, bob]) {
      const fetch = { type: "fetch_receipt", conversation: conversation.id, size: 1 } as const;
      const { signed_data } = await client.expect("countersigned", fetch);
      expect(decodeSignedData(signed_data).signers).toHaveLength(3);
      const pushed = await client.push("receipt");
      expect(pushed).toMatchObject({ conversation: conversation.id, size: 1 });
    }
  });

  test("key packages, blobs and delays of logins are common to both", async () => {
    const [alice, bob] = [await a.person(`p${++count}`), await a.person(`p${++count}`)];
    const [onA, onB] = [await a.register(alice), await b.register(bob)];
    const { publicPackage } = await newKeyPackage(bob.device);
    await onB.expect("published", {
      type: "publish_key_packages",
      packages: [publicPackage],
      last_resort: null,
    });
    const take = { type: "fetch_key_packages", username: bob.username } as const;
    const taken = await onA.expect("key_packages", take);
    expect(taken.packages.map((one) => encodeHex(one.package))).toEqual([encodeHex(publicPackage)]);
    expect(await onA.refusalCode(take)).toBe("NO_KEY_PACKAGE");

    // Blobs through one server, the entry that names them through the other.
    const conversation = new TestConversation(b, alice, bob);
    const create = await conversation.create(onA, alice, [bob]);
    const elsewhere = await b.login(alice);
    await conversation.post(elsewhere, create);
    await sent(onB, conversation, 0);

    const wrong = { type: "login", email: bob.email, password: "wrong password" } as const;
    for (let i = 0; i < 5; i++)
      expect(await (await a.dial(bob)).refusalCode(wrong)).toBe("AUTHENTICATION_FAILED");
    expect(await (await b.dial(bob)).refusalCode(wrong)).toBe("TRY_LATER");
  });

  test("after the connection that tells of changes was lost, what was missed is pushed", async () => {
    const { alice, bob, conversation } = await pair();
    const lost = () =>
      postgres.sql(
        address.database,
        `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = '${address.database}' AND query = 'LISTEN securechat'`,
      );
    for (let round = 0; round < 3; round++) {
      lost();
      await conversation.post(alice.client, conversation.message(alice.person));
      await sent(bob.client, conversation, conversation.state.size - 1);
    }
    expect(indexesOf(bob.client, conversation)).toEqual(upTo(4));
    expect(b.log).toContain("catching up");
  });

  test("that hear of a store that was put back end their sessions, and take nothing until every device was heard", async () => {
    const { people, conversation } = await conversationOf(1, 1);
    const [alice, bob] = people;
    if (alice === undefined || bob === undefined) throw new Error("nobody");
    const another = await openPostgresStore({ address });
    await another.restoration.begin({ atMs: Date.now(), after: undefined });
    expect(await Promise.all([alice.client.ended, bob.client.ended])).toEqual([
      "shutting_down",
      "shutting_down",
    ]);
    const onA = await a.login(alice.person);
    const onB = await b.login(bob.person);
    const line = conversation.message(alice.person);
    expect(await onA.refusalCode({ type: "post", line })).toBe("RESTORING");
    await onA.expect("logs_noted", { type: "logs_returned" });
    expect(await onA.refusalCode({ type: "post", line })).toBe("RESTORING");
    await onB.expect("logs_noted", { type: "logs_returned" });
    await conversation.post(onA, line);
    await sent(onB, conversation, 1);
    await another.restoration.end();
    await another.close();
  });
});

test("an entry that the store has taken without saying so is pushed all the same", async () => {
  const server = await TestServer.create();
  await server.stop();
  let losing = false;
  server.wrapStore = (store) =>
    withLog(store, {
      append: async (append) => {
        const outcome = await store.log.append(append);
        if (losing) throw new StoreError("UNAVAILABLE", "the answer was lost");
        return outcome;
      },
    });
  await server.start();
  const { alice, aliceClient, bobClient, conversation } = await directConversation(server, ["alice", "bob"]);
  await conversation.post(aliceClient, conversation.message(alice));
  await sent(bobClient, conversation, 1);
  losing = true;
  const line = conversation.message(alice);
  expect(await aliceClient.refusalCode({ type: "post", line })).toBe("UNAVAILABLE");
  await sent(bobClient, conversation, 2);
  losing = false;
  expect((await aliceClient.expect("accepted", { type: "post", line })).index).toBe(2);
  await server.dispose();
});
