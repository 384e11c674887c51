import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { makeOneTimePassword } from "../../src/server/oneTimePassword.ts";
import { hashPassword } from "../../src/store/passwordHash.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import { createTestAuthority, type TestAuthority } from "../pki/testAuthority.ts";
import { type Person, personOf, TestServer } from "./testServer.ts";

setDefaultTimeout(60_000);

let server: TestServer;
/** The server trusts it too. */
let otherAuthority: TestAuthority;
beforeAll(async () => {
  const authority = await createTestAuthority({ nowMs: Date.now() });
  otherAuthority = await createTestAuthority({ nowMs: Date.now() });
  const anchors = [authority.ca, otherAuthority.ca];
  server = await TestServer.create({ registration: "closed", anchors }, { authority });
  server.freezeClock();
});
afterAll(() => server.dispose());

const hour = 3_600_000;
const own = "a password of one's own";

/** An account as `serve users add` makes it. */
async function added(username: string): Promise<{ person: Person; once: string }> {
  const person = await server.person(username);
  const once = makeOneTimePassword(systemRandom);
  const store = await openSqliteStore({ file: server.file });
  const passwordHash = await hashPassword(once);
  const nowMs = Date.now();
  const { email } = person;
  await store.control.add({ email, username, passwordHash, oneTimeUntilMs: nowMs + 24 * hour, nowMs });
  await store.close();
  return { person, once };
}

async function reset({ email }: Person, allowsNewKey: boolean): Promise<string> {
  const once = makeOneTimePassword(systemRandom);
  const store = await openSqliteStore({ file: server.file });
  const account = (await store.accounts.byEmail(email))?.id ?? 0;
  const passwordHash = await hashPassword(once);
  const nowMs = Date.now();
  await store.control.resetPassword({
    ...{ account, passwordHash, nowMs, allowsNewKey },
    oneTimeUntilMs: nowMs + 24 * hour,
  });
  await store.close();
  return once;
}

const login = ({ email }: Person, password: string) => ({ type: "login", email, password }) as const;
const change = ({ email }: Person, password: string, chosen = own) =>
  ({ type: "change_password", email, password, new_password: chosen }) as const;

/** @returns the type of the answer on a connection of its own, or the code of the refusal */
async function answer(
  person: Person,
  request: ReturnType<typeof login> | ReturnType<typeof change>,
): Promise<string> {
  const message = await (await server.dial(person)).request(request);
  return message.type === "refused" ? message.code : message.type;
}

test("makeOneTimePassword() spells 100 random bits, none of them fixed", () => {
  const seen = new Set(Array.from({ length: 200 }, () => makeOneTimePassword(systemRandom)));
  expect(seen.size).toBe(200);
  for (const one of seen) expect(one).toMatch(/^([0-9a-hjkmnp-tv-z]{5}-){3}[0-9a-hjkmnp-tv-z]{5}$/);
  const columns = Array.from({ length: 23 }, (_, i) => new Set([...seen].map((one) => one.charAt(i))));
  // Of 32 symbols 200 draws miss the half with a probability below 2^-100.
  expect(columns.map(({ size }) => size > 16)).toEqual(columns.map((_, i) => i % 6 !== 5));
});

test("a one-time password lets nobody in but with another password, once", async () => {
  const { person, once } = await added("alice");
  const client = await server.dial(person);
  expect(await client.refusalCode(login(person, once))).toBe("PASSWORD_CHANGE_REQUIRED");
  for (const weak of ["1234567", "alice", person.email, once])
    expect(await client.refusalCode(change(person, once, weak))).toBe("WEAK_PASSWORD");
  await client.expect("authenticated", change(person, once));
  expect(await answer(person, login(person, once))).toBe("AUTHENTICATION_FAILED");
  expect(await answer(person, change(person, once, "yet another one"))).toBe("AUTHENTICATION_FAILED");
  expect(await answer(person, login(person, own))).toBe("authenticated");
});

test("of several at once with one one-time password one comes in", async () => {
  const { person, once } = await added("bob");
  const clients = await Promise.all([1, 2, 3].map(() => server.dial(person)));
  const answers = await Promise.all(
    clients.map((client, i) => client.request(change(person, once, `${own} ${i}`))),
  );
  expect(answers.filter(({ type }) => type === "authenticated")).toHaveLength(1);
  const chosen = answers.findIndex(({ type }) => type === "authenticated");
  expect(await answer(person, login(person, `${own} ${chosen}`))).toBe("authenticated");
});

test("a one-time password is over after its time, and says so to who knows it", async () => {
  const { person, once } = await added("carol");
  server.skewMs = 24 * hour + 60_000;
  expect(await answer(person, login(person, `${once}x`))).toBe("AUTHENTICATION_FAILED");
  expect(await answer(person, login(person, once))).toBe("PASSWORD_EXPIRED");
  expect(await answer(person, change(person, once))).toBe("PASSWORD_EXPIRED");
  server.skewMs = 0;
});

test("a reset puts the old password out at once, and binds to no other key without leave", async () => {
  const { person, once } = await added("dave");
  expect(await answer(person, change(person, once))).toBe("authenticated");
  const other = await server.newPerson("dave");
  const again = await reset(person, false);
  expect(await answer(person, login(person, own))).toBe("AUTHENTICATION_FAILED");
  expect(await answer(other, change(other, again))).toBe("IDENTITY_MISMATCH");
  expect(await answer(person, change(person, again))).toBe("authenticated");
});

test("with leave the one-time password moves the account to a certificate with another key, of the same person alone", async () => {
  const { person, once } = await added("erin");
  expect(await answer(person, change(person, once))).toBe("authenticated");
  const again = await reset(person, true);
  const [other, third] = [await server.newPerson("erin"), await server.newPerson("erin")];
  const mallory = await server.person("mallory");
  expect(await answer(mallory, { ...change(other, again) })).toBe("IDENTITY_MISMATCH");
  expect(await answer(other, login(other, own))).toBe("AUTHENTICATION_FAILED");
  expect(await answer(other, change(other, again, "with the new key"))).toBe("authenticated");
  expect(await answer(person, login(person, "with the new key"))).toBe("IDENTITY_MISMATCH");
  expect(await answer(third, login(third, "with the new key"))).toBe("IDENTITY_MISMATCH");
  expect(await answer(other, login(other, "with the new key"))).toBe("authenticated");
});

test("of two new keys at once with one one-time password the account has the one that comes in", async () => {
  const { person, once } = await added("judy");
  expect(await answer(person, change(person, once))).toBe("authenticated");
  const again = await reset(person, true);
  const others = await Promise.all([server.newPerson("judy"), server.newPerson("judy")]);
  const ready = await Promise.all(
    others.map(async (other, i) => ({ other, chosen: `${own} ${i}`, client: await server.dial(other) })),
  );
  const answers = await Promise.all(
    ready.map(({ other, chosen, client }) => client.request(change(other, again, chosen))),
  );
  const [winner, none] = ready.filter((_, i) => answers[i]?.type === "authenticated");
  if (winner === undefined || none !== undefined) throw new Error("not exactly one came in");
  expect(await answer(winner.other, login(winner.other, winner.chosen))).toBe("authenticated");
});

test("leave for another key is for the same CA's word on the person", async () => {
  const { person, once } = await added("ivan");
  expect(await answer(person, change(person, once))).toBe("authenticated");
  const again = await reset(person, true);
  const other = await otherAuthority.issueUser("ivan", person.email);
  const impostor = personOf(other, "ivan", person.email);
  expect(await answer(impostor, change(impostor, again))).toBe("IDENTITY_MISMATCH");
  expect(await answer(person, change(person, again))).toBe("authenticated");
});

test("leave for another key ends with the one-time password", async () => {
  const { person, once } = await added("frank");
  expect(await answer(person, change(person, once))).toBe("authenticated");
  const again = await reset(person, true);
  const other = await server.newPerson("frank");
  server.skewMs = 24 * hour + 60_000;
  expect(await answer(other, change(other, again))).toBe("IDENTITY_MISMATCH");
  server.skewMs = 0;
});

test("closed registration refuses a person without an account and says what to do", async () => {
  const grace = await server.person("grace");
  const { email, username, password } = grace;
  const refusal = await (await server.dial(grace)).refusal({ type: "register", email, username, password });
  expect(refusal.code).toBe("REGISTRATION_CLOSED");
  expect(refusal.message).toContain("ask its operator for an account");
});
