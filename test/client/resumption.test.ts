import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import type { ReconnectPolicy } from "../../src/client/reconnection.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { disposableServer } from "./disposableServer.ts";
import { Party } from "./testParty.ts";

const impatient: ReconnectPolicy = { delayMs: () => 5, endingPatienceMs: 30_000 };

const logins = (log: string, what: string) => log.split("\n").filter((line) => line.includes(what)).length;

test("a lost connection comes back without the password, again and again", async () => {
  await using server = await disposableServer();
  await using alice = new Party(server, await server.newPerson("alice"));
  await alice.register({
    reconnect: impatient,
    password: () => {
      throw new Error("nobody needs a password");
    },
  });
  for (let round = 1; round <= 3; round++) {
    alice.link.cut();
    await alice.until(() => alice.of("connection").filter(({ state }) => state === "back").length === round);
  }
  expect(logins(server.log, "refused")).toBe(0);
});

test("a ticket that the server doesn't know any more leads to the password, where it is to be had", async () => {
  await using server = await disposableServer();
  const person = await server.newPerson("bob");
  await using bob = new Party(server, person);
  let asked = 0;
  await bob.register({
    reconnect: impatient,
    password: async () => {
      asked += 1;
      return person.password;
    },
  });
  const db = new Database(server.file);
  db.run("DELETE FROM tickets");
  db.close();
  bob.link.cut();
  await bob.until(() => bob.of("connection").some(({ state }) => state === "back"));
  expect(asked).toBe(1);
  expect(logins(server.log, "resume refused: TICKET_REFUSED")).toBe(1);
  // The new login has brought another ticket.
  bob.link.cut();
  await bob.until(() => bob.of("connection").filter(({ state }) => state === "back").length === 2);
  expect(asked).toBe(1);
});

test("without a password to be had the client ends, and says that the session is over", async () => {
  await using server = await disposableServer();
  await using carol = new Party(server, await server.newPerson("carol"));
  await carol.register({ reconnect: impatient });
  const db = new Database(server.file);
  db.run("DELETE FROM tickets");
  db.close();
  carol.link.cut();
  await carol.until(() => carol.of("closed").length > 0);
  const [closed] = carol.of("closed");
  expect(closed?.code).toBe("REFUSED");
  expect(closed?.message).toContain("log in with the password (TICKET_REFUSED)");
});

test("a client whose account was disabled says so and does not come back", async () => {
  await using server = await disposableServer();
  await using dave = new Party(server, await server.newPerson("dave"));
  await dave.register({ reconnect: impatient });
  const store = await openSqliteStore({ file: server.file });
  const account = (await store.accounts.byUsername("dave"))?.id ?? 0;
  await store.control.setDisabled({ account, disabled: true, nowMs: Date.now() });
  await store.close();
  await dave.until(() => dave.of("closed").length > 0);
  expect(dave.of("closed")[0]?.code).toBe("ACCOUNT_DISABLED");
  expect(dave.of("connection")).toEqual([]);
});
