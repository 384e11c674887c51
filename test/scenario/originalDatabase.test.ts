import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { encodeBase64 } from "../../src/base/base64.ts";
import { concatBytes, encodeUtf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

/** As the SQL of the original makes it. */
const table = `
  CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    email VARCHAR(255) UNIQUE NOT NULL,
    username VARCHAR(100) UNIQUE NOT NULL,
    salt BYTEA NOT NULL,
    pwd_hash VARCHAR(64) NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
  )`;

describe.skipIf(!hasPostgres)("serve beside the original's .env and on its database", () => {
  let world: World;
  let postgres: PostgresServer;
  let database: string;
  let port: number;
  const people = ["alice", "bob"].map((name) => ({ name, password: `original pässword of ${name}` }));

  beforeAll(async () => {
    world = await World.create();
    postgres = await PostgresServer.start();
    const address = postgres.createDatabase();
    ({ database } = address);
    postgres.sql(database, table);
    for (const { name, password } of people) {
      const salt = systemRandom(16);
      const hash = encodeBase64(sha256(concatBytes(salt, encodeUtf8(password))));
      postgres.sql(
        database,
        `INSERT INTO users (email, username, salt, pwd_hash)
         VALUES ('${name}@example.org', '${name}', '\\x${salt.toHex()}', '${hash}')`,
      );
    }
    const settings = {
      ...{ DB_HOST: address.host, DB_PORT: address.port, DB_NAME: database, DB_USER: address.user },
      DB_PASSWORD: `"${postgres.password}"`,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(world.path("server/.env"), lines.join(""));
    const started = await world.startServer();
    ({ port } = started);
    await started.server.waitFor("that it takes the accounts over", (line) =>
      line.includes("taking over 2 accounts") ? line : undefined,
    );
  });
  afterAll(async () => {
    await world?.dispose();
    await postgres?.dispose();
  });

  const hashes = () =>
    postgres.sql(database, "SELECT username, salt IS NULL, pwd_hash FROM users ORDER BY id");
  const login = (name: string, password: string) =>
    world.chat(name, port, ["--login"], { env: { SECURECHAT_PASSWORD: password } });

  test("keeps nothing that a fast guess could be checked against", () => {
    expect(hashes()).toEqual(
      people.map(({ name }) =>
        expect.stringMatching(new RegExp(`^${name}\\|f\\|\\$argon2id\\$v=19\\$m=19456,t=2,p=1\\$`)),
      ),
    );
  });

  test.each(people)(
    "$name logs in with the old password, which is rehashed, and goes on with it",
    async ({ name, password }) => {
      const before = hashes();
      const wrong = await login(name, `${password}x`);
      expect([wrong.exitCode, wrong.stderr]).toEqual([1, expect.stringContaining("AUTHENTICATION_FAILED")]);
      expect(hashes()).toEqual(before);
      for (let i = 0; i < 2; i++) {
        const done = await login(name, password);
        expect([done.exitCode, done.stdout]).toEqual([0, ""]);
        const row = hashes().find((one) => one.startsWith(`${name}|`)) ?? "";
        expect(row).toMatch(/^\w+\|t\|\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
        expect(await Bun.password.verify(password, row.split("|")[2] ?? "")).toBe(true);
        expect(before).not.toContain(row);
      }
    },
  );

  test("nobody registers an account that was taken over, and whoever was taken over talks", async () => {
    const again = await world.chat("alice", port, ["--register"]);
    expect([again.exitCode, again.stderr]).toEqual([1, expect.stringContaining("TAKEN")]);
    const [alice, bob] = people.map(({ password }) => ({ env: { SECURECHAT_PASSWORD: password } }));
    const said = await world.chat("alice", port, ["--login", "--to", "bob"], {
      ...alice,
      input: "from the past\n",
    });
    expect(said.exitCode).toBe(0);
    const heard = await world.chat("bob", port, ["--login", "--wait-for", "1"], { ...bob });
    expect([heard.exitCode, heard.stdout]).toEqual([0, expect.stringContaining("from the past")]);
  });
});
