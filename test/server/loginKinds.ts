import { Database } from "bun:sqlite";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { legacyPassword } from "../../src/store/legacyPassword.ts";
import { hashPassword } from "../../src/store/passwordHash.ts";
import { openSqliteStore } from "../../src/store/sqliteStore.ts";
import type { RawClient } from "./rawClient.ts";
import type { Person, TestServer } from "./testServer.ts";

/** What an account can be when somebody with its certificate guesses the password. */
export const loginKinds = [
  "unknown",
  "registered",
  "taken over",
  "disabled",
  "reset",
  "added",
  "taken over and disabled",
] as const;
export type LoginKind = (typeof loginKinds)[number];

export interface Guesser {
  readonly kind: LoginKind;
  readonly person: Person;
  readonly client: RawClient;
}

/** @returns a person with a certificate for each kind, on a connection of its own */
export async function makeGuessers(server: TestServer): Promise<readonly Guesser[]> {
  return await Promise.all(
    loginKinds.map(async (kind, i) => {
      const person = await server.person(`guesser${i}`);
      await makeAccount(server, kind, person);
      return { kind, person, client: await server.dial(person) };
    }),
  );
}

async function makeAccount(server: TestServer, kind: LoginKind, person: Person): Promise<void> {
  if (kind === "unknown") return;
  const { email, username, password } = person;
  const nowMs = Date.now();
  const oneTimeUntilMs = nowMs + 86_400_000;
  const passwordHash = await hashPassword("a one-time password");
  if (kind === "registered" || kind === "disabled" || kind === "reset") await server.register(person);
  if (kind.startsWith("taken over")) {
    const salt = systemRandom(16);
    const wrapped = await hashPassword(legacyPassword(salt, password));
    const db = new Database(server.file);
    db.run("PRAGMA busy_timeout = 5000");
    db.run("INSERT INTO users (email, username, salt, pwd_hash, created_at) VALUES (?, ?, ?, ?, 1)", [
      ...[email, username, salt, wrapped],
    ]);
    db.close();
  }
  const store = await openSqliteStore({ file: server.file });
  if (kind === "added") await store.control.add({ email, username, passwordHash, oneTimeUntilMs, nowMs });
  const account = (await store.accounts.byEmail(email))?.id ?? 0;
  if (kind.endsWith("disabled")) await store.control.setDisabled({ account, disabled: true, nowMs });
  if (kind === "reset")
    await store.control.resetPassword({ account, passwordHash, oneTimeUntilMs, allowsNewKey: true, nowMs });
  await store.close();
}
