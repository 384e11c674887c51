import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { defaultLimits } from "../../src/server/serverLimits.ts";
import { Tickets } from "../../src/server/tickets.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { RawClient } from "./rawClient.ts";
import { type Person, personOf, TestServer } from "./testServer.ts";

// Real hashes on a loaded machine.
setDefaultTimeout(60_000);

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
  server.freezeClock();
});
afterAll(() => server.dispose());

/** @returns a person with an account, the session, and the ticket that it was given */
async function member(username: string): Promise<{ person: Person; session: RawClient; ticket: Uint8Array }> {
  const person = await server.person(username);
  const session = await server.dial(person);
  const { email, password } = person;
  const { ticket } = await session.expect("authenticated", { type: "register", email, username, password });
  return { person, session, ticket };
}

const resume = (ticket: Uint8Array) => ({ type: "resume", ticket }) as const;

/** @returns the code of the refusal, or the next ticket */
async function outcome(person: Person, ticket: Uint8Array): Promise<string | Uint8Array> {
  const answer = await (await server.dial(person)).request(resume(ticket));
  if (answer.type === "refused") return answer.code;
  if (answer.type !== "authenticated") throw new Error(answer.type);
  return answer.ticket;
}

test("a ticket opens a session without the password, in the place of the one before, and brings another", async () => {
  const { person, session, ticket } = await member("alice");
  const client = await server.dial(person);
  const answer = await client.expect("authenticated", resume(ticket));
  expect(answer).toMatchObject({ username: "alice", email: "alice@example.org" });
  expect(answer.ticket).not.toEqual(ticket);
  expect(await session.ended).toBe("replaced");
  await client.expect("conversations", { type: "list_conversations", after: null });
});

test("a ticket that was used is good until the session's first request shows that the next one came", async () => {
  const { person, ticket } = await member("lost");
  await outcome(person, ticket);
  const client = await server.dial(person);
  const { ticket: next } = await client.expect("authenticated", resume(ticket));
  await client.expect("pong", { type: "ping" });
  // Deleting is not waited for by the request that causes it, but by everything that is written after it.
  expect(await outcome(person, ticket)).toBe("TICKET_REFUSED");
  expect(await outcome(person, next)).toBeInstanceOf(Uint8Array);
});

test("a ticket is refused under any other certificate: of another person, and renewed over the same key", async () => {
  const { person, ticket } = await member("carol");
  const renewed = await server.authority.issueUser("carol", person.email, { pkcs8: person.issued.pkcs8 });
  expect(await outcome(await server.person("mallory"), ticket)).toBe("TICKET_REFUSED");
  expect(await outcome(personOf(renewed, "carol", person.email), ticket)).toBe("TICKET_REFUSED");
  expect(await outcome(person, ticket)).toBeInstanceOf(Uint8Array);
});

test("a refused ticket leaves the connection good for a login, and for no second try", async () => {
  const { person } = await member("dave");
  const client = await server.dial(person);
  expect(await client.refusalCode(resume(systemRandom(32)))).toBe("TICKET_REFUSED");
  expect(await client.refusalCode(resume(systemRandom(32)))).toBe("UNEXPECTED");
  const { email, password } = person;
  await client.expect("authenticated", { type: "login", email, password });
  expect(await client.refusalCode(resume(systemRandom(32)))).toBe("UNEXPECTED");
});

test("a ticket lasts over a restart of the server, and while a wrong password has the account wait", async () => {
  const { person, ticket } = await member("erin");
  const client = await server.dial(person);
  const { email } = person;
  for (let i = 0; i < 5; i++) await client.refusalCode({ type: "login", email, password: "a wrong one" });
  await server.stop();
  await server.start();
  const again = await server.dial(person);
  const login = { type: "login", email, password: person.password } as const;
  expect(await again.refusalCode(login)).toBe("TRY_LATER");
  expect(await outcome(person, ticket)).toBeInstanceOf(Uint8Array);
});

test("a ticket ends 72 hours after it was handed out, or after its session was last seen", async () => {
  const { person, ticket } = await member("frank");
  const other = await member("olga");
  const store = await openSqliteStore({ file: server.file });
  const clock = { atMs: Date.now() };
  const now = () => clock.atMs;
  const tickets = new Tickets({ store, limits: defaultLimits, now, random: systemRandom });
  const account = await store.accounts.byEmail(person.email);
  if (account === undefined) throw new Error("no account");
  const { fingerprint } = person.certificate;
  const issued = await tickets.issue(account, fingerprint);
  if (issued === undefined) throw new Error("no ticket");
  clock.atMs += 71 * 3_600_000;
  await tickets.extend([issued.hash]);
  await store.close();
  server.skewMs = 72 * 3_600_000 + 60_000;
  expect(await outcome(person, ticket)).toBe("TICKET_REFUSED");
  expect(await outcome(other.person, other.ticket)).toBe("TICKET_REFUSED");
  expect(await outcome(person, issued.bytes)).toBeInstanceOf(Uint8Array);
  server.skewMs = 0;
});

test("a changed password ends the tickets from before it", async () => {
  const { person, ticket } = await member("grace");
  const { email, password } = person;
  const client = await server.dial(person);
  const change = { type: "change_password", email, password, new_password: "another password" } as const;
  const changed = await client.expect("authenticated", change);
  expect(await outcome(person, ticket)).toBe("TICKET_REFUSED");
  expect(await outcome(person, changed.ticket)).toBeInstanceOf(Uint8Array);
  expect(await (await server.dial(person)).refusalCode({ type: "login", email, password })).toBe(
    "AUTHENTICATION_FAILED",
  );
});

test("the store and the log know no ticket, only its hash", async () => {
  const { person, ticket } = await member("heidi");
  const next = await outcome(person, ticket);
  const stored = Buffer.concat([server.file, `${server.file}-wal`].map((file) => readFileSync(file)));
  for (const one of [ticket, next]) {
    if (typeof one === "string") throw new Error(one);
    const buffer = Buffer.from(one);
    const hash = Buffer.from(new Bun.CryptoHasher("sha256").update(one).digest("hex"));
    expect(stored.includes(hash)).toBe(true);
    for (const form of [
      buffer,
      Buffer.from(buffer.toString("hex")),
      Buffer.from(buffer.toString("base64")),
    ]) {
      expect(stored.includes(form)).toBe(false);
      expect(server.log.includes(form.toString())).toBe(false);
    }
  }
});
