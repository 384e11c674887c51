import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { TestServer } from "../server/testServer.ts";
import { Party } from "./testParty.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

/** Two people that no other test knows, in a conversation with one message. */
async function pair(test: string) {
  const alice = new Party(server, await server.newPerson(`${test}.a`));
  const bob = new Party(server, await server.newPerson(`${test}.b`));
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "first");
  await bob.until(() => bob.texts.length === 1);
  return { alice, bob, conversation };
}

/** What a promise rejects with. */
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "nothing was thrown",
    (error: { code?: string }) => error.code,
  );

const hasLeft = (party: Party) => party.of("membership").some(({ action }) => action === "leave");
const isClosed = (party: Party, conversation: string) =>
  party.client.conversations().find((one) => one.conversation === conversation)?.closed;

test("leave() stands behind everything that was sent before it and closes the conversation for both", async () => {
  const { alice: a, bob: b, conversation } = await pair("leave");
  await using alice = a;
  await using bob = b;
  const texts = Array.from({ length: 100 }, (_, i) => `message ${i}`);
  const sending = texts.map((text) => alice.client.send(conversation, text));
  const leaving = alice.client.leave(conversation);
  expect(await codeOf(alice.client.send(conversation, "too late"))).toBe("CONVERSATION_CLOSED");
  expect(await codeOf(alice.client.leave(conversation))).toBe("CONVERSATION_CLOSED");
  const sent = await Promise.all(sending);
  expect(await leaving).toMatchObject({ seqno: (sent.at(-1)?.seqno ?? 0) + 1, index: 102 });
  await bob.until(() => hasLeft(bob));
  expect(bob.texts).toEqual(["first", ...texts]);
  for (const party of [alice, bob]) {
    expect(party.of("membership").at(-1)).toMatchObject({ action: "leave", by: alice.person.username });
    expect(isClosed(party, conversation)).toBe(true);
    expect(await codeOf(party.client.send(conversation, "after"))).toBe("CONVERSATION_CLOSED");
    expect(await codeOf(party.client.leave(conversation))).toBe("CONVERSATION_CLOSED");
  }
  expect(alice.transcript(conversation)).toBe(bob.transcript(conversation));
});

test("both can make receipts over a conversation that was left, and the other's acknowledgement stands", async () => {
  const { alice: a, bob: b, conversation } = await pair("receipt");
  await using alice = a;
  await using bob = b;
  await alice.client.leave(conversation);
  await bob.until(() => hasLeft(bob));
  expect(await alice.client.receipt(conversation)).toMatchObject({ size: 3, countersigned: true });
  expect(await bob.client.receipt(conversation)).toMatchObject({ size: 4, countersigned: true });
  await bob.quit();
  await alice.quit();
  // Once more over all four entries, from what the vaults hold.
  await alice.login();
  const receipt = await alice.client.receipt(conversation);
  expect(receipt).toMatchObject({ size: 4, countersigned: true });
  expect([...receipt.signers].sort()).toEqual(
    [alice.person.username, bob.person.username, "localhost"].sort(),
  );
  expect(existsSync(join(alice.folderOf(conversation), "receipt-3.json"))).toBe(true);
});

test("openDirect() of the same person begins a new conversation after either has left", async () => {
  const { alice: a, bob: b, conversation } = await pair("again");
  await using alice = a;
  await using bob = b;
  await alice.client.leave(conversation);
  await bob.until(() => hasLeft(bob));
  const second = await bob.client.openDirect(alice.person.username);
  expect(second).not.toBe(conversation);
  await bob.client.send(second, "anew");
  await alice.until(() => alice.texts.length === 1);
  expect(await alice.client.openDirect(bob.person.username)).toBe(second);
  await alice.client.leave(second);
  const third = await alice.client.openDirect(bob.person.username);
  expect(new Set([conversation, second, third]).size).toBe(3);
  await alice.client.send(third, "third");
  await bob.until(() => bob.texts.includes("third"));
  expect(alice.folderOf(third)).not.toBe(alice.folderOf(second));
});

test("somebody who is away learns of a leave later, and what was not sent is refused", async () => {
  const { alice: a, bob: b, conversation } = await pair("away");
  await using alice = a;
  await using bob = b;
  bob.link.hold("to server");
  const held = bob.link.nextTraffic();
  const sending = codeOf(bob.client.send(conversation, "never read"));
  await held;
  await using later = bob.kill();
  expect(await sending).toBe("CONNECTION_LOST");
  await alice.client.leave(conversation);
  await later.login();
  expect(hasLeft(later)).toBe(true);
  expect(isClosed(later, conversation)).toBe(true);
  expect(await codeOf(later.client.send(conversation, "after"))).toBe("CONVERSATION_CLOSED");
  // Nothing waits any more: the receipt does not hang on the words that can't go.
  expect(await later.client.receipt(conversation)).toMatchObject({ countersigned: true });
  expect(alice.texts).toEqual([]);
});

test("a leave that was never posted stands after the next login", async () => {
  const { alice: a, bob: b, conversation } = await pair("kept");
  await using alice = a;
  await using bob = b;
  alice.link.hold("to server");
  const held = alice.link.nextTraffic();
  const leaving = codeOf(alice.client.leave(conversation));
  await held;
  await using later = alice.kill();
  expect(await leaving).toBe("CONNECTION_LOST");
  await later.login();
  await bob.until(() => hasLeft(bob));
  expect(isClosed(later, conversation)).toBe(true);
});

test("of two who leave at once one is told that the conversation was over", async () => {
  const { alice: a, bob: b, conversation } = await pair("both");
  await using alice = a;
  await using bob = b;
  const outcomes = await Promise.all([alice, bob].map((party) => codeOf(party.client.leave(conversation))));
  expect(outcomes.sort()).toEqual(["CONVERSATION_CLOSED", "nothing was thrown"]);
  await Promise.all([alice.until(() => hasLeft(alice)), bob.until(() => hasLeft(bob))]);
  await alice.client.receipt(conversation);
  await bob.client.receipt(conversation);
});
