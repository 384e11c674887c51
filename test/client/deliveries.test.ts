import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Hex } from "../../src/base/hex.ts";
import { parseTranscriptLine } from "../../src/log/transcript.ts";
import type { Person, TestServer } from "../server/testServer.ts";
import { disposableServer } from "./disposableServer.ts";
import { TamperingServer } from "./tamperingServer.ts";
import { Party } from "./testParty.ts";

let server: TestServer & AsyncDisposable;
/** Between clients and the server: counts what the clients ask for, and lies where a test wants it. */
let between: TamperingServer;
const people = new Map<Hex, Person>();

beforeAll(async () => {
  server = await disposableServer();
  between = new TamperingServer({
    identity: server.identity,
    ca: server.authority.ca,
    port: () => server.port,
    clients: (fingerprint) => {
      const person = people.get(fingerprint);
      if (person === undefined) throw new Error("nobody has this certificate");
      return person;
    },
  });
});
afterAll(async () => {
  await between?.stop();
  await server?.[Symbol.asyncDispose]();
});

async function pair(name: string, options: { acknowledgeEveryMs?: number } = {}, on?: TestServer) {
  const parties: Party[] = [];
  for (const which of ["a", "b"]) {
    const person = await (on ?? server).newPerson(`${name}.${which}`);
    people.set(person.certificate.fingerprint, person);
    const party = new Party(on ?? server, person);
    await party.register({ port: on?.port ?? between.port, ...options });
    parties.push(party);
  }
  const [alice, bob] = parties;
  if (alice === undefined || bob === undefined) throw new Error("there are two");
  const conversation = await alice.client.openDirect(bob.person.username);
  return { alice, bob, conversation };
}

/** What the client shows of the other one. */
function deliveredTo(other: Party, conversation: Hex, at: Party): number | undefined {
  const { username } = other.person;
  return at.client.members(conversation).find((member) => member.username === username)?.deliveredSize;
}

/** For what comes without an event. */
async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(10);
}

const isMark =
  (size: number) =>
  (party: Party): boolean =>
    party.of("delivered").some((event) => event.size >= size);

test("the author is told when the other's client has verified and stored a message, and nothing is signed", async () => {
  const { alice: a, bob: b, conversation } = await pair("told");
  await using alice = a;
  await using bob = b;
  await alice.client.send(conversation, "arrived?");
  await alice.until(() => isMark(2)(alice));
  expect(alice.of("delivered").at(-1)).toEqual({
    event: "delivered",
    conversation,
    to: bob.person.username,
    by: bob.person.username,
    size: 2,
  });
  expect(deliveredTo(bob, conversation, alice)).toBe(2);
  const [own] = alice.client.members(conversation).filter(({ isOwn }) => isOwn);
  expect(own?.deliveredSize).toBeUndefined();
  // Bob has signed for nothing by that.
  expect(alice.client.members(conversation).find(({ isOwn }) => !isOwn)?.signedSize).toBe(0);
  expect(alice.transcript(conversation).trimEnd().split("\n")).toHaveLength(2);
});

test("who comes back is told how far the other is, though nothing has happened since", async () => {
  const { alice: a, bob: b, conversation } = await pair("back");
  await using alice = a;
  await using _ = b;
  await alice.client.send(conversation, "before");
  await alice.until(() => isMark(2)(alice));
  await alice.quit();
  alice.events.length = 0;
  await alice.login({ port: between.port });
  await alice.client.openDirect(b.person.username);
  await alice.until(() => isMark(2)(alice));
});

test("many messages are marked with few marks", async () => {
  const { alice: a, bob: b, conversation } = await pair("many");
  await using alice = a;
  await using bob = b;
  const before = between.requests.length;
  const startedMs = performance.now();
  const texts = Array.from({ length: 300 }, (_, i) => `message ${i}`);
  await Promise.all(texts.map((text) => alice.client.send(conversation, text)));
  await alice.until(() => isMark(301)(alice));
  const elapsedMs = performance.now() - startedMs;
  const { fingerprint } = bob.person.certificate;
  const marks = between.requests
    .slice(before)
    .filter(({ from, request }) => from === fingerprint && request.type === "delivered");
  // At most one in a quarter of a second, and one that is under way.
  expect(marks.length).toBeLessThanOrEqual(Math.ceil(elapsedMs / 250) + 1);
});

test("marks that the server makes up show no more than the own log, nobody else's, and never go back", async () => {
  const { alice: a, bob: b, conversation } = await pair("lies");
  await using alice = a;
  await using bob = b;
  // Bob's own marks don't arrive.
  between.tamper = ({ message }) => {
    if (message.type === "delivery_marks") return [{ ...message, marks: [] }];
    return message.type === "delivered" ? [] : [message];
  };
  const { fingerprint } = alice.person.certificate;
  const lie = (member: Hex, size: number, of = conversation) =>
    between.push(fingerprint, { type: "delivered", conversation: of, member, size });
  const other = bob.person.certificate.fingerprint;
  lie(fingerprint, 1);
  lie("ab".repeat(32) as Hex, 1);
  lie(other, 1, "ab".repeat(16) as Hex);
  lie(other, Number.MAX_SAFE_INTEGER);
  await alice.until(() => alice.of("delivered").length > 0);
  expect(deliveredTo(bob, conversation, alice)).toBe(1);
  lie(other, 1);
  await alice.client.send(conversation, "more");
  await alice.until(() => alice.of("delivered").length > 1);
  expect(alice.of("delivered").map(({ by, size }) => [by, size])).toEqual([
    [bob.person.username, 1],
    [bob.person.username, 2],
  ]);
  expect(alice.of("error")).toEqual([]);
  between.tamper = undefined;
});

test("a client that has to wait with its marks tells them later", async () => {
  await using slow = await disposableServer({ limits: { deliveryMarks: { capacity: 1, refillMs: 1_500 } } });
  const { alice: a, bob: b, conversation } = await pair("wait", {}, slow);
  await using alice = a;
  await using bob = b;
  await alice.until(() => isMark(1)(alice));
  await alice.client.send(conversation, "one");
  await bob.until(() => bob.texts.length === 1);
  // Nothing else comes of bob's: it is the mark that had to wait, or one that a slow machine made late itself.
  await alice.until(() => isMark(2)(alice));
  expect(bob.of("error")).toEqual([]);
});

test("with acknowledgeEveryMs a client signs for what it was told, and two such clients fall silent", async () => {
  const { alice: a, bob: b, conversation } = await pair("ack", { acknowledgeEveryMs: 20 });
  await using alice = a;
  await using bob = b;
  const hasSigned = (size: number) =>
    (alice.client.members(conversation).find(({ isOwn }) => !isOwn)?.signedSize ?? 0) >= size;
  const entriesOf = () =>
    alice
      .transcript(conversation)
      .trimEnd()
      .split("\n")
      .map((line) => parseTranscriptLine(line).entry);
  for (let round = 0; round < 4; round++) {
    const { index } = await alice.client.send(conversation, `round ${round}`);
    await eventually(() => hasSigned(index + 1));
  }
  await alice.client.send(conversation, "last");
  const entries = entriesOf();
  const { fingerprint } = bob.person.certificate;
  const kinds = entries.map(({ kind }) => kind);
  // Every message has got one acknowledgement at most (bob's), and no acknowledgement got one.
  expect(entries.filter(({ kind, sender }) => kind === "acknowledge" && sender !== fingerprint)).toEqual([]);
  expect(kinds.filter((kind, i) => kind === "acknowledge" && kinds[i - 1] === "acknowledge")).toEqual([]);
  expect(kinds.filter((kind) => kind === "acknowledge").length).toBeGreaterThanOrEqual(4);
});

test("without it nothing is signed for until the client posts or quits", async () => {
  const { alice: a, bob: b, conversation } = await pair("noack");
  await using alice = a;
  await using bob = b;
  await alice.client.send(conversation, "one");
  await alice.until(() => isMark(2)(alice));
  expect(alice.client.members(conversation).find(({ isOwn }) => !isOwn)?.signedSize).toBe(0);
  await bob.quit();
  await eventually(
    () => (alice.client.members(conversation).find(({ isOwn }) => !isOwn)?.signedSize ?? 0) >= 2,
  );
});
