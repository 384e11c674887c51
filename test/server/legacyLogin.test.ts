import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { legacyPassword } from "../../src/store/legacyPassword.ts";
import { hashPassword } from "../../src/store/passwordHash.ts";
import { type Person, TestServer } from "./testServer.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

interface UserRow {
  readonly salt: Uint8Array | null;
  readonly pwd_hash: string;
}

const login = ({ email }: Person, attempt: string) => ({ type: "login", email, password: attempt }) as const;

/** An account as it was taken over. */
async function takenOver(name: string) {
  const person = await server.person(name);
  const { username, email, password } = person;
  const salt = systemRandom(16);
  const wrapped = await hashPassword(legacyPassword(salt, password));
  const db = new Database(server.file);
  db.run("INSERT INTO users (email, username, salt, pwd_hash, created_at) VALUES (?, ?, ?, ?, 1)", [
    email,
    username,
    salt,
    wrapped,
  ]);
  const row = () =>
    db.query<UserRow, [string]>("SELECT salt, pwd_hash FROM users WHERE email = ?").get(email);
  return { person, salt, wrapped, row, [Symbol.dispose]: () => db.close() };
}

test("an account taken over from the original logs in with its old password, and its hash becomes like all others", async () => {
  using account = await takenOver("alice");
  const { person: alice, salt, wrapped, row } = account;
  const { password } = alice;
  const client = await server.dial(alice);
  for (const wrong of [`${password}x`, legacyPassword(salt, password), wrapped])
    expect(await client.refusalCode(login(alice, wrong))).toBe("AUTHENTICATION_FAILED");
  expect(row()).toEqual({ salt, pwd_hash: wrapped });
  await client.expect("authenticated", login(alice, password));

  const after = row();
  expect(after?.salt).toBeNull();
  expect(after?.pwd_hash).not.toBe(wrapped);
  expect(await Bun.password.verify(password, after?.pwd_hash ?? "")).toBe(true);
  await server.login(alice);
  expect(row()).toEqual(after);
});

test("who logs in with the old password twice at once comes in twice: the first to rehash it puts nobody out", async () => {
  using account = await takenOver("bob");
  const { person: bob, row } = account;
  const clients = await Promise.all([1, 2, 3].map(() => server.dial(bob)));
  const answers = await Promise.all(
    clients.map((client) => client.request(login(bob, bob.password)).catch(() => ({ type: "replaced" }))),
  );
  expect(answers.filter(({ type }) => type === "refused")).toEqual([]);
  expect(await Bun.password.verify(bob.password, row()?.pwd_hash ?? "")).toBe(true);
});
