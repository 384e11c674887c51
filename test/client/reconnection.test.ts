import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Hex } from "../../src/base/hex.ts";
import type { ClientOptions } from "../../src/client/client.ts";
import { ClientError } from "../../src/client/clientError.ts";
import { defaultTimeouts } from "../../src/client/connection.ts";
import { growingDelays, isFinal, type ReconnectPolicy } from "../../src/client/reconnection.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { TestServer } from "../server/testServer.ts";
import { disposableServer, watchAppends } from "./disposableServer.ts";
import { Party } from "./testParty.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

const impatient: ReconnectPolicy = { delayMs: () => 5, endingPatienceMs: 30_000 };

/** What a promise rejects with. */
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "nothing was thrown",
    (error: { code?: string }) => error.code,
  );

/** Two people that no other test knows, in a conversation with one message. */
async function pair(
  test: string,
  { on = server, ...options }: Partial<ClientOptions> & { on?: TestServer } = {},
) {
  const alice = new Party(on, await on.newPerson(`${test}.a`));
  const bob = new Party(on, await on.newPerson(`${test}.b`));
  await alice.register({ reconnect: impatient, ...options });
  await bob.register({ reconnect: impatient });
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "first");
  await bob.until(() => bob.texts.length === 1);
  return { alice, bob, conversation };
}

const states = (party: Party) => party.of("connection").map(({ state }) => state);
const count = (party: Party, state: string) => states(party).filter((one) => one === state).length;

/** Draws from 0 to `below - 1`. */
const draw = (below: number) => Math.floor(((systemRandom(1)[0] ?? 0) / 256) * below);

/** Cuts one of the links after a random number of chunks, unless it is over before. */
async function cutSomewhere(parties: readonly Party[], over: Promise<unknown>): Promise<void> {
  const party = parties[draw(parties.length)];
  let isOver = false;
  const ended = over.then(() => {
    isOver = true;
  });
  for (let left = draw(12); left > 0 && !isOver; left--)
    await Promise.race([party?.link.nextTraffic(), ended]);
  party?.link.cut();
}

async function expectSame(alice: Party, bob: Party, conversation: Hex): Promise<void> {
  await alice.client.receipt(conversation);
  await bob.until(() => bob.transcript(conversation) === alice.transcript(conversation));
}

test("a burst of 200 messages with the connection cut at random points stands once and in order, 20 times", async () => {
  const { alice: a, bob: b, conversation } = await pair("burst");
  await using alice = a;
  await using bob = b;
  const expected = ["first"];
  for (let round = 0; round < 20; round++) {
    const texts = Array.from({ length: 200 }, (_, i) => `round ${round} message ${i}`);
    expected.push(...texts);
    const sending = Promise.all(texts.map((text) => alice.client.send(conversation, text)));
    for (let cuts = 1 + draw(3); cuts > 0; cuts--) await cutSomewhere([alice, bob], sending);
    const sent = await sending;
    expect(sent.map(({ seqno }) => seqno)).toEqual(texts.map((_, i) => (sent[0]?.seqno ?? 0) + i));
    await bob.until(() => bob.texts.length >= expected.length);
    expect(bob.texts).toEqual(expected);
  }
  expect(alice.of("sent").map(({ text }) => text)).toEqual(expected);
  expect(count(alice, "lost") + count(bob, "lost")).toBeGreaterThan(0);
  for (const party of [alice, bob]) expect(party.of("error")).toEqual([]);
  await alice.until(() => count(alice, "back") === count(alice, "lost"));
  await expectSame(alice, bob, conversation);
}, 240_000);

test("what is sent while the server is down waits and goes when it is back on its port and database", async () => {
  await using down = await disposableServer();
  const { alice: a, bob: b, conversation } = await pair("restart", { on: down });
  await using alice = a;
  await using bob = b;
  const { port } = down;
  const burst = Array.from({ length: 200 }, (_, i) => `message ${i}`);
  const before = Promise.all(burst.map((text) => alice.client.send(conversation, text)));
  await alice.link.nextTraffic();
  await down.stop();
  await alice.until(() => count(alice, "lost") === 1);
  await bob.until(() => count(bob, "lost") === 1);
  const waiting = Promise.all(["one", "two"].map((text) => alice.client.send(conversation, text)));
  expect(await codeOf(alice.client.openDirect("nobody"))).toBe("NOT_CONNECTED");
  // Attempts go on while nobody listens.
  await alice.until(() => count(alice, "retrying") > 3);
  await down.start({ port });
  await before;
  await waiting;
  await bob.until(() => bob.texts.length === 203);
  expect(bob.texts).toEqual(["first", ...burst, "one", "two"]);
  for (const party of [alice, bob]) {
    expect(states(party)[0]).toBe("lost");
    expect(states(party).at(-1)).toBe("back");
    expect(count(party, "back")).toBe(1);
    expect(party.of("closed")).toEqual([]);
    expect(party.of("authenticated")).toHaveLength(1);
  }
  await expectSame(alice, bob, conversation);
});

test("a conversation that is being begun, and one that is being left, survive a lost connection", async () => {
  await using slow = await disposableServer();
  await using alice = new Party(slow, await slow.newPerson("begin.a"));
  await using bob = new Party(slow, await slow.newPerson("begin.b"));
  let appends = 0;
  await watchAppends(slow, (append) => {
    if (appends++ === 0) alice.link.hold("to client");
    return append();
  });
  await bob.register({ reconnect: impatient });
  await alice.register({ reconnect: impatient });
  const opening = alice.client.openDirect(bob.person.username);
  // The create stands; its answer never arrives.
  await bob.until(() => bob.of("membership").length > 0);
  expect(alice.client.conversations()).toEqual([]);
  alice.link.cut();
  const conversation = await opening;
  await alice.client.send(conversation, "hello");
  alice.link.hold("to server");
  const held = alice.link.nextTraffic();
  const leaving = alice.client.leave(conversation);
  await held;
  alice.link.cut();
  expect(await leaving).toMatchObject({ seqno: 3, index: 2 });
  await bob.until(() => bob.of("membership").some(({ action }) => action === "leave"));
  expect(bob.texts).toEqual(["hello"]);
});

test("a server that does not answer a ping is given up, and another connection is made", async () => {
  const timeouts = { ...defaultTimeouts, requestMs: 500, pingAfterMs: 300 };
  const { alice: a, bob: b, conversation } = await pair("ping", { timeouts });
  await using alice = a;
  await using bob = b;
  alice.link.hold("to server");
  await alice.until(() => count(alice, "lost") > 0);
  expect(alice.of("connection")[0]).toMatchObject({ state: "lost", code: "TIMEOUT" });
  alice.link.release();
  await alice.client.send(conversation, "again");
  await bob.until(() => bob.texts.includes("again"));
});

test("a session that another one has replaced does not come back", async () => {
  const { alice: a, bob: b, conversation } = await pair("replaced");
  await using alice = a;
  await using _ = b;
  alice.link.hold("to server");
  const held = alice.link.nextTraffic();
  const sending = codeOf(alice.client.send(conversation, "kept"));
  await held;
  const { email, password } = alice.person;
  const other = await server.dial(alice.person);
  await other.expect("authenticated", { type: "login", email, password });
  await alice.until(() => alice.of("closed").length === 1);
  expect(await sending).toBe("REPLACED");
  expect(alice.of("closed")[0]?.code).toBe("REPLACED");
  expect(states(alice)).toEqual([]);
  expect(await codeOf(alice.client.send(conversation, "also kept"))).toBe("NOT_CONNECTED");
});

test("a connection that is refused at the start is not tried again", async () => {
  await using alice = new Party(server, await server.newPerson("start.a"));
  await alice.open({ reconnect: impatient, port: 1 });
  expect(await codeOf(alice.client.connect())).toBe("CONNECT_FAILED");
  expect(states(alice)).toEqual([]);
});

test("quit() without a connection tries for its time, says so, and keeps what was not sent", async () => {
  await using down = await disposableServer();
  const quitting: ReconnectPolicy = { delayMs: () => 60_000, endingPatienceMs: 200 };
  const { alice: a, bob: b, conversation } = await pair("quit", { on: down, reconnect: quitting });
  await using alice = a;
  await using bob = b;
  const { port } = down;
  await down.stop();
  await alice.until(() => count(alice, "retrying") === 1);
  const sending = codeOf(alice.client.send(conversation, "kept"));
  expect(await codeOf(alice.quit())).toBe("NOT_COUNTERSIGNED");
  expect(await sending).toBe("NOT_CONNECTED");
  expect(alice.of("closed").map(({ code }) => code)).toEqual(["NOT_CONNECTED"]);
  // It was tried at once, not after the minute.
  expect(count(alice, "retrying")).toBe(2);
  await down.start({ port });
  await alice.login();
  await bob.until(() => bob.texts.includes("kept"));
  expect(bob.texts).toEqual(["first", "kept"]);
});

test("quit() without a connection ends properly when one comes in time", async () => {
  const patient: ReconnectPolicy = { delayMs: () => 60_000, endingPatienceMs: 30_000 };
  const { alice: a, bob: b, conversation } = await pair("hurry", { reconnect: patient });
  await using alice = a;
  await using bob = b;
  alice.link.cut();
  await alice.until(() => count(alice, "retrying") === 1);
  const sending = alice.client.send(conversation, "last words");
  await alice.quit();
  expect(await sending).toMatchObject({ seqno: 3 });
  expect(alice.of("receipt").at(-1)).toMatchObject({ countersigned: true });
  await bob.until(() => bob.texts.includes("last words"));
});

test("close() ends the attempts", async () => {
  await using down = await disposableServer();
  const { alice: a, bob: b, conversation } = await pair("close", { on: down });
  await using alice = a;
  await using bob = b;
  await down.stop();
  await alice.until(() => count(alice, "retrying") > 1);
  const sending = codeOf(alice.client.send(conversation, "kept"));
  alice.client.close();
  expect(await sending).toBe("NOT_CONNECTED");
  const { length } = alice.events;
  expect(alice.events.at(-1)).toMatchObject({ event: "closed", code: "QUIT" });
  await bob.until(() => count(bob, "retrying") > 5);
  expect(alice.events).toHaveLength(length);
  bob.client.close();
});

describe("growingDelays()", () => {
  test("doubles from 1 s to 60 s and is shortened by at most a half", () => {
    const of = (byte: number) => growingDelays(() => Uint8Array.of(byte));
    expect([0, 1, 2, 5, 6, 7, 1e6].map((failures) => of(0).delayMs(failures))).toEqual([
      1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000,
    ]);
    expect(of(255).delayMs(0)).toBe(502);
    expect(of(255).delayMs(9)).toBe(30_117);
  });
});

describe("isFinal()", () => {
  const refused = (refusal: ClientError["refusal"]) =>
    isFinal(new ClientError("REFUSED", "", refusal === undefined ? {} : { refusal }));

  test("gives up for what a server refuses for good", () => {
    expect(refused("AUTHENTICATION_FAILED")).toBe(true);
    expect(refused("ACCOUNT_DISABLED")).toBe(true);
    expect(refused("CERTIFICATE_REVOKED")).toBe(true);
    expect(isFinal(new ClientError("REPLACED", ""))).toBe(true);
    expect(isFinal(new ClientError("CERTIFICATE_REFUSED", ""))).toBe(true);
  });

  test("goes on for what passes, or what anybody on the network can bring about", () => {
    expect(refused("TRY_LATER")).toBe(false);
    expect(refused("UNAVAILABLE")).toBe(false);
    for (const code of ["CONNECT_FAILED", "CONNECTION_LOST", "TIMEOUT", "HANDSHAKE_FAILED"] as const)
      expect(isFinal(new ClientError(code, ""))).toBe(false);
    expect(isFinal(new ClientError("SERVER_CERTIFICATE", ""))).toBe(false);
  });
});
