import { expect, test } from "bun:test";
import { comparisonCode } from "../../src/evidence/comparisonCode.ts";
import { codeOf } from "./codeOf.ts";
import { disposableServer } from "./disposableServer.ts";
import { Party } from "./testParty.ts";

test("comparison() gives both the same code for the same prefix, and refuses what is beyond it", async () => {
  await using server = await disposableServer();
  await using alice = new Party(server, await server.newPerson("compare.a"));
  await using bob = new Party(server, await server.newPerson("compare.b"));
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "one");
  await alice.client.send(conversation, "two");
  await bob.until(() => bob.texts.length === 2);
  const ofAlice = alice.client.comparison(conversation);
  expect(ofAlice.size).toBe(3);
  expect(ofAlice.code).toBe(comparisonCode({ conversation, size: 3, root: ofAlice.root }));
  expect(bob.client.comparison(conversation)).toEqual(ofAlice);
  await bob.client.send(conversation, "three");
  expect(bob.client.comparison(conversation).code).not.toBe(ofAlice.code);
  expect(bob.client.comparison(conversation, 3)).toEqual(ofAlice);
  expect(bob.client.comparison(conversation, 2).code).not.toBe(ofAlice.code);
  for (const size of [0, 5, 1.5, -1, Number.NaN])
    expect(codeOf(() => bob.client.comparison(conversation, size))).toBe("BAD_RANGE");
});
