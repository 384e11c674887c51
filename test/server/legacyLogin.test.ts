import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { legacyPassword } from "../../src/store/legacyPassword.ts";
import { hashPassword } from "../../src/store/passwordHash.ts";
import { TestServer } from "./testServer.ts";

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.create();
});
afterAll(() => server.dispose());

interface UserRow {
  readonly salt: Uint8Array | null;
  readonly pwd_hash: string;
}

test("an account taken over from the original logs in with its old password, and its hash becomes like all others", async () => {
  const alice = await server.person("alice");
  const { username, email, password } = alice;
  const salt = systemRandom(16);
  const wrapped = await hashPassword(legacyPassword(salt, password));
  const db = new Database(server.file);
  db.run("INSERT INTO users (email, username, salt, pwd_hash, created_at) VALUES (?, ?, ?, ?, 1)", [
    email,
    username,
    salt,
    wrapped,
  ]);
  const row = () => db.query<UserRow, []>("SELECT salt, pwd_hash FROM users").get();

  const client = await server.dial(alice);
  const login = (attempt: string) => ({ type: "login", email, password: attempt }) as const;
  for (const wrong of [`${password}x`, legacyPassword(salt, password), wrapped])
    expect(await client.refusalCode(login(wrong))).toBe("AUTHENTICATION_FAILED");
  expect(row()).toEqual({ salt, pwd_hash: wrapped });
  await client.expect("authenticated", login(password));

  const after = row();
  expect(after?.salt).toBeNull();
  expect(after?.pwd_hash).not.toBe(wrapped);
  expect(await Bun.password.verify(password, after?.pwd_hash ?? "")).toBe(true);
  await server.login(alice);
  expect(row()).toEqual(after);
  db.close();
});
