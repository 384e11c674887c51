import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeBase64 } from "../../src/base/base64.ts";
import { concatBytes, encodeUtf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/crypto/crypto.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { legacyPassword } from "../../src/store/legacyPassword.ts";
import { openPostgresStore } from "../../src/store/postgresStore.ts";
import { certificateRecord } from "./certificateRecord.ts";
import { hasPostgres, PostgresServer } from "./postgresServer.ts";

// A real database on a loaded machine.
setDefaultTimeout(60_000);

const digestOf = (salt: Uint8Array, password: string) => sha256(concatBytes(salt, encodeUtf8(password)));
const bytea = (bytes: Uint8Array) => `'\\x${bytes.toHex()}'`;

/** How the original's table may look: the salt and the digest in the forms that its SQL and driver can have given them. */
const forms = [
  {
    name: "BYTEA salt, base64 in VARCHAR",
    columns: "salt BYTEA NOT NULL, pwd_hash VARCHAR(64) NOT NULL",
    salt: bytea,
    hash: (digest: Uint8Array) => `'${encodeBase64(digest)}'`,
  },
  {
    name: "BYTEA salt, hex in CHAR",
    columns: "salt BYTEA NOT NULL, pwd_hash CHAR(64) NOT NULL",
    salt: bytea,
    hash: (digest: Uint8Array) => `'${digest.toHex()}'`,
  },
  {
    name: "BYTEA salt, base64 padded to CHAR",
    columns: "salt BYTEA, pwd_hash CHAR(64)",
    salt: bytea,
    hash: (digest: Uint8Array) => `'${encodeBase64(digest)}'`,
  },
  {
    name: "BYTEA both",
    columns: "salt BYTEA NOT NULL, pwd_hash BYTEA NOT NULL",
    salt: bytea,
    hash: bytea,
  },
  {
    name: "base64 in TEXT both",
    columns: "salt TEXT NOT NULL, pwd_hash TEXT NOT NULL",
    salt: (salt: Uint8Array) => `'${encodeBase64(salt)}'`,
    hash: (digest: Uint8Array) => `'${encodeBase64(digest)}'`,
  },
  {
    name: "hex in CHAR both",
    columns: "salt CHAR(32) NOT NULL, pwd_hash CHAR(64) NOT NULL",
    salt: (salt: Uint8Array) => `'${salt.toHex()}'`,
    hash: (digest: Uint8Array) => `'${digest.toHex().toUpperCase()}'`,
  },
] as const;

const createUsers = (columns: string) => `
  CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    email VARCHAR(255) UNIQUE NOT NULL,
    username VARCHAR(100) UNIQUE NOT NULL,
    ${columns},
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
  )`;

test("legacyPassword() is the hex of what the original stores", () => {
  // Salt, password and stored hash of the original's own run.
  const salt = Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f");
  expect(legacyPassword(salt, "pässword1")).toBe(
    "ed22753574a531ffbbd1b8e3b1747cf18ca227dd829dee0afcb286fbd40238f5",
  );
});

describe.skipIf(!hasPostgres)("openPostgresStore() on a table of the original", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, 60_000);
  afterAll(() => server.dispose());

  for (const { name, columns, salt: saltText, hash } of forms)
    test(`takes over accounts: ${name}`, async () => {
      const address = server.createDatabase();
      const people = ["alice", "bob"].map((username) => ({
        username,
        email: `${username}@example.org`,
        password: `pässword of ${username}`,
        salt: systemRandom(16),
      }));
      server.sql(address.database, createUsers(columns));
      for (const { username, email, password, salt } of people)
        server.sql(
          address.database,
          `INSERT INTO users (email, username, salt, pwd_hash, created_at)
           VALUES ('${email}', '${username}', ${saltText(salt)}, ${hash(digestOf(salt, password))}, '2025-11-15 12:00:00.125')`,
        );
      const notices: string[] = [];
      const store = await openPostgresStore({ address, notice: (message) => notices.push(message) });
      for (const { username, email, password, salt } of people) {
        const account = await store.accounts.byEmail(email);
        if (account?.legacySalt === undefined) throw new Error("not taken over");
        expect(account).toMatchObject({
          username,
          legacySalt: salt,
          disabled: false,
          certificate: undefined,
        });
        expect(account.createdAtMs).toBe(
          Number(
            server.sql(
              address.database,
              "SELECT (extract(epoch FROM TIMESTAMPTZ '2025-11-15 12:00:00.125') * 1000)::bigint",
            )[0],
          ),
        );
        expect(account.passwordHash).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
        const verify = (attempt: string) =>
          Bun.password.verify(legacyPassword(salt, attempt), account.passwordHash);
        expect(await verify(password)).toBe(true);
        expect(await verify(`${password} `)).toBe(false);
        // The owner logs in: from now on the hash is over the password.
        const replaced = { account: account.id, earlier: account.passwordHash, passwordHash: "$new" };
        expect(await store.accounts.replacePassword(replaced)).toBe("replaced");
        expect(await store.accounts.byUsername(username)).toMatchObject({
          passwordHash: "$new",
          legacySalt: undefined,
        });
      }
      expect(notices).toEqual([expect.stringContaining("taking over 2 accounts")]);
      // Accounts go on where the original's numbers end.
      const next = { email: "carol@example.org", username: "carol", passwordHash: "$", nowMs: 5 };
      const created = await store.accounts.create({ ...next, certificate: certificateRecord() });
      expect(created).toMatchObject({ kind: "created", account: { id: 3 } });
      const again = { ...next, email: "alice@example.org", certificate: certificateRecord() };
      expect(await store.accounts.create({ ...again, username: "another" })).toEqual({ kind: "taken" });
      await store.close();
      await (await openPostgresStore({ address, notice: (message) => notices.push(message) })).close();
      expect(notices).toHaveLength(1);
    }, 30_000);

  test("leaves no byte of an old hash in the table's files", async () => {
    const address = server.createDatabase();
    const digests = Array.from({ length: 8 }, () => systemRandom(32));
    server.sql(address.database, createUsers("salt BYTEA NOT NULL, pwd_hash VARCHAR(64) NOT NULL"));
    const rows = digests.map((one, i) => `('u${i}@example.org', 'u${i}', '\\x00', '${encodeBase64(one)}')`);
    server.sql(
      address.database,
      `INSERT INTO users (email, username, salt, pwd_hash) VALUES ${rows.join(",")}; CHECKPOINT`,
    );
    const files = () => {
      server.sql(address.database, "CHECKPOINT");
      const [file = ""] = server.sql(address.database, "SELECT pg_relation_filepath('users')");
      return readFileSync(join(server.dataFolder, file)).toString("latin1");
    };
    const before = files();
    expect(digests.every((one) => before.includes(encodeBase64(one)))).toBe(true);
    await (await openPostgresStore({ address })).close();
    const after = files();
    expect(after).toContain("$argon2id$");
    expect(digests.some((one) => after.includes(encodeBase64(one)))).toBe(false);
  }, 30_000);

  test("lets nobody in by a hash that the original could not have checked, and says whose it is", async () => {
    const address = server.createDatabase();
    server.sql(address.database, createUsers("salt BYTEA, pwd_hash VARCHAR(64)"));
    server.sql(
      address.database,
      `INSERT INTO users (email, username, salt, pwd_hash) VALUES
         ('short@example.org', 'short', '\\x', 'aGVsbG8='), ('none@example.org', 'none', NULL, NULL),
         ('odd@example.org', 'odd', '\\x00', 'not base64!')`,
    );
    const notices: string[] = [];
    const store = await openPostgresStore({ address, notice: (message) => notices.push(message) });
    expect(notices[1]).toMatch(/^3 of them .*: (short|none|odd), (short|none|odd), (short|none|odd)$/);
    const account = await store.accounts.byUsername("short");
    if (account?.legacySalt === undefined) throw new Error("not taken over");
    for (const attempt of ["", "hello", "no password"])
      expect(
        await Bun.password.verify(legacyPassword(account.legacySalt, attempt), account.passwordHash),
      ).toBe(false);
    await store.close();
  }, 30_000);

  test("takes over once when two nodes start at the same time", async () => {
    const address = server.createDatabase();
    const salt = systemRandom(16);
    server.sql(address.database, createUsers("salt BYTEA NOT NULL, pwd_hash CHAR(64) NOT NULL"));
    server.sql(
      address.database,
      `INSERT INTO users (email, username, salt, pwd_hash)
       VALUES ('a@example.org', 'a', ${bytea(salt)}, '${digestOf(salt, "secret").toHex()}')`,
    );
    const notices: string[] = [];
    const notice = (message: string) => notices.push(message);
    const stores = await Promise.all([1, 2].map(() => openPostgresStore({ address, notice })));
    expect(notices.filter((one) => one.startsWith("taking over"))).toHaveLength(1);
    const account = await stores[1]?.accounts.byEmail("a@example.org");
    expect(await Bun.password.verify(legacyPassword(salt, "secret"), account?.passwordHash ?? "")).toBe(true);
    for (const store of stores) await store.close();
  }, 30_000);

  for (const [name, table, reason] of [
    ["without a column of the original's", "id SERIAL, email TEXT, username TEXT", "no column salt"],
    [
      "with a column of another type",
      "id SERIAL, email TEXT, username TEXT, salt BYTEA, pwd_hash TEXT, created_at BIGINT",
      "created_at is of type bigint",
    ],
    [
      "with a column that has to be filled",
      "id SERIAL, email TEXT, username TEXT, salt BYTEA, pwd_hash TEXT, created_at TIMESTAMP, tenant INT NOT NULL",
      "tenant has to be filled",
    ],
    [
      "whose numbers don't come by themselves",
      "id INT, email TEXT, username TEXT, salt BYTEA, pwd_hash TEXT, created_at TIMESTAMP",
      "id is not filled",
    ],
  ] as const)
    test(`refuses a table "users" ${name} and leaves it as it is`, async () => {
      const address = server.createDatabase();
      server.sql(address.database, `CREATE TABLE users (${table})`);
      const definition = () =>
        server.sql(
          address.database,
          "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1",
        );
      const before = definition();
      const error: unknown = await openPostgresStore({ address }).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: "NOT_A_STORE", message: expect.stringContaining(reason) });
      expect(definition()).toEqual(before);
    });

  test("says why when something else in the database holds on to a column", async () => {
    const address = server.createDatabase();
    server.sql(address.database, createUsers("salt BYTEA NOT NULL, pwd_hash CHAR(64) NOT NULL"));
    server.sql(address.database, "CREATE VIEW addresses AS SELECT email FROM users");
    await expect(openPostgresStore({ address })).rejects.toMatchObject({
      code: "CANNOT_OPEN",
      message: expect.stringContaining("used by a view"),
    });
  });

  test("refuses rows with one email twice and leaves them as they are", async () => {
    const address = server.createDatabase();
    server.sql(
      address.database,
      `CREATE TABLE users (id SERIAL, email TEXT, username TEXT, salt BYTEA, pwd_hash TEXT, created_at TIMESTAMP);
       INSERT INTO users (email, username, pwd_hash) VALUES ('a@b.c', 'x', 'h1'), ('a@b.c', 'y', 'h2')`,
    );
    await expect(openPostgresStore({ address })).rejects.toMatchObject({ code: "NOT_A_STORE" });
    expect(server.sql(address.database, "SELECT pwd_hash FROM users ORDER BY 1")).toEqual(["h1", "h2"]);
  });
});
