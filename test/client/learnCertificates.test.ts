import { expect, test } from "bun:test";
import { disposableServer } from "./disposableServer.ts";
import { overriding } from "./overriding.ts";
import { Party } from "./testParty.ts";

test("a client asks again for certificates that did not fit into the server's answer", async () => {
  await using server = await disposableServer();
  await server.stop();
  const asked: number[] = [];
  server.wrapStore = (store) =>
    overriding(store, {
      accounts: overriding(store.accounts, {
        certificatesVisibleTo: async (person, fingerprints) => {
          asked.push(fingerprints.length);
          return (await store.accounts.certificatesVisibleTo(person, fingerprints)).slice(0, 1);
        },
      }),
    });
  await server.start();
  await using alice = new Party(server, await server.newPerson("alice"));
  await using bob = new Party(server, await server.newPerson("bob"));
  await alice.register();
  await bob.register();
  const conversation = await alice.client.openDirect(bob.person.username);
  await alice.client.send(conversation, "hello");
  await bob.until(() => bob.texts.length === 1);
  expect(asked.some((count) => count > 1)).toBe(true);
  expect(bob.texts).toHaveLength(1);
});
