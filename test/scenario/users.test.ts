import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import type { PostgresAddress } from "../../src/store/postgresAddress.ts";
import { lockedBy } from "../store/lockedBy.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const own = "a password of one's own";
const password = (text: string) => ({ SECURECHAT_PASSWORD: text });

describe.each([
  { servers: "a running server", backend: "SQLite", usable: true },
  { servers: "two running servers", backend: "PostgreSQL", usable: hasPostgres },
])("serve users beside $servers on one $backend store", ({ backend, usable }) => {
  let world: World;
  let postgres: PostgresServer | undefined;
  let address: PostgresAddress | undefined;
  /** What serve and serve users take their store from. */
  let env: Record<string, string> = {};
  let ports: readonly [number, number];
  beforeAll(async () => {
    if (!usable) return;
    world = await World.create(["alice", "bob"]);
    if (backend === "PostgreSQL") {
      postgres = await PostgresServer.start();
      address = postgres.createDatabase();
      const { port, database, user } = address;
      const secret = encodeURIComponent(postgres.password);
      env = { DATABASE_URL: `postgresql://${user}:${secret}@127.0.0.1:${port}/${database}?sslmode=disable` };
    }
    const closed = ["--registration", "closed"];
    const first = await world.startServer(closed, env);
    // Only one server at a time may work on a file.
    const other = backend === "SQLite" ? first : await world.startServer(closed, env);
    ports = [first.port, other.port];
  });
  afterAll(async () => {
    await world?.dispose();
    await postgres?.dispose();
  });

  const users = (...args: string[]) => world.run("server", ["serve", "users", ...args], { env });
  const listed = async (name: string) => {
    const { stdout } = await users("list", "--json");
    const accounts = JSON.parse(stdout) as Record<string, unknown>[];
    return accounts.find(({ username }) => username === name);
  };
  const connect = (name: string, at: 0 | 1, secrets: Record<string, string>, ...args: string[]) =>
    world.chat(name, ports[at], args, { env: secrets });

  test.skipIf(!usable)(
    "closed registration: an account comes from the operator, with a one-time password",
    async () => {
      const refused = await connect("alice", 0, password(own), "--register");
      expect([refused.exitCode, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/ask its operator for an account.*REGISTRATION_CLOSED/),
      ]);
      const added = await users("add", "alice", "--email", "alice@example.org");
      expect(added.exitCode).toBe(0);
      const once = added.stdout.trim();
      expect(added.stdout).toMatch(/^(?:[0-9a-z]{5}-){3}[0-9a-z]{5}\n$/);
      expect((await users("add", "alice", "--email", "other@example.org")).exitCode).toBe(1);
      expect(await listed("alice")).toMatchObject({
        fingerprint: null,
        last_login_at: null,
        disabled: false,
      });

      const unanswered = await connect("alice", 0, password(once));
      expect([unanswered.exitCode, unanswered.stderr]).toEqual([
        2,
        expect.stringContaining("SECURECHAT_NEW_PASSWORD"),
      ]);
      const chosen = { ...password(once), SECURECHAT_NEW_PASSWORD: own };
      expect((await connect("alice", 1, chosen)).exitCode).toBe(0);
      const spent = await connect("alice", 0, password(once));
      expect([spent.exitCode, spent.stderr]).toEqual([1, expect.stringContaining("AUTHENTICATION_FAILED")]);
      expect(await listed("alice")).toMatchObject({
        email: "alice@example.org",
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
        last_login_at: expect.any(Number),
        one_time_until: null,
      });
      const table = (await users("list")).stdout;
      expect(table).toMatch(/^USERNAME +EMAIL +STATE .*\nalice +alice@example\.org +active /);
      expect(table).not.toContain(once);
    },
  );

  test.skipIf(!usable)(
    "disable ends the session on whichever server and refuses logins on both, until enable",
    async () => {
      for (const at of [0, 1] as const) {
        const args = ["connect", `localhost:${ports[at]}`, "--as", "alice", "--json"];
        const session = world.start("alice", args, password(own));
        await session.waitForEvent("the login", ({ event }) => event === "authenticated");
        expect((await users("disable", "alice")).exitCode).toBe(0);
        await session.waitForEvent(
          "the end",
          ({ event, code }) => event === "closed" && code === "ACCOUNT_DISABLED",
        );
        expect(await session.exited).toBe(1);
        const refused = await connect("alice", at, password(own));
        expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("ACCOUNT_DISABLED")]);
        expect(await listed("alice")).toMatchObject({ disabled: true });
        expect((await users("enable", "alice")).exitCode).toBe(0);
      }
      expect((await connect("alice", 0, password(own))).exitCode).toBe(0);
    },
  );

  test.skipIf(!usable)(
    "reset --allow-new-key moves an account to a certificate with another key, once",
    async () => {
      await world.succeed("org", [
        ...["issue", "--cn", "alice", "--email", "alice@example.org", "--new-key"],
        ...["--out", "certs/second"],
      ]);
      for (const file of ["second_cert.pem", "second_key.pem"])
        copyFileSync(world.path("org", "certs", file), world.path("alice", "certs", file));
      const withNewKey = (secrets: Record<string, string>) =>
        world.run(
          "alice",
          [
            ...["connect", `localhost:${ports[1]}`],
            ...["--cert", "certs/second_cert.pem", "--key", "certs/second_key.pem"],
          ],
          { env: secrets, input: "" },
        );
      expect((await withNewKey(password(own))).stderr).toContain("IDENTITY_MISMATCH");
      const once = (await users("reset", "alice", "--allow-new-key")).stdout.trim();
      const old = await connect("alice", 0, password(own));
      expect([old.exitCode, old.stderr]).toEqual([1, expect.stringContaining("AUTHENTICATION_FAILED")]);
      writeFileSync(world.path("alice", "chosen"), "with the new key\n", { mode: 0o600 });
      const moved = await world.run(
        "alice",
        [
          ...["connect", `localhost:${ports[1]}`, "--new-password-file", "chosen"],
          ...["--cert", "certs/second_cert.pem", "--key", "certs/second_key.pem"],
        ],
        { env: password(once), input: "" },
      );
      expect([moved.exitCode, moved.stderr]).toEqual([0, expect.any(String)]);
      expect((await withNewKey(password("with the new key"))).exitCode).toBe(0);
      expect((await connect("alice", 0, password("with the new key"))).stderr).toContain("IDENTITY_MISMATCH");
    },
  );

  test.skipIf(!usable || backend === "SQLite")("ends with 4 when the database can't do it now", async () => {
    if (address === undefined) throw new Error("there is no database");
    const lock = await lockedBy(address, "SELECT 1 FROM users FOR UPDATE");
    const done = await users("disable", "alice");
    await lock.release();
    expect([done.exitCode, done.stderr]).toEqual([4, expect.stringContaining("can't do it now")]);
  });

  test.skipIf(!usable)("says what it can't do", async () => {
    for (const [args, exitCode, text] of [
      [["disable", "nobody"], 1, 'no account "nobody"'],
      [["reset"], 2, "needs a username"],
      [["delete", "alice"], 2, "list, add, disable, enable, reset"],
      [["list", "alice"], 2, "unexpected argument"],
      [["disable", "alice", "--allow-new-key"], 2, "--allow-new-key has no meaning"],
      [["add", "Alice", "--email", "a@example.org"], 2, "is no username"],
      [["add", "carol"], 2, "--email ADDRESS"],
    ] as const) {
      const done = await users(...args);
      expect([done.exitCode, done.stderr]).toEqual([exitCode, expect.stringContaining(text)]);
    }
  });
});

describe("passwords at connect", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create(["alice"]);
  });
  afterAll(() => world?.dispose());

  test("asks for a new password twice on a terminal after a one-time password, and goes on", async () => {
    const { port } = await world.startServer();
    const added = await world.run("server", [
      "serve",
      "users",
      "add",
      "alice",
      "--email",
      "alice@example.org",
    ]);
    const terminal = world.startOnTerminal("alice", [
      "connect",
      `localhost:${port}`,
      "--as",
      "alice",
      "--login",
    ]);
    const from = await terminal.waitFor("Password: ");
    terminal.type(added.stdout.trim());
    const first = await terminal.waitFor("New password: ", from);
    terminal.type(own);
    const second = await terminal.waitFor("New password (again): ", first);
    terminal.type(own);
    await terminal.waitFor(
      "Message (or 'quit'): ",
      await terminal.waitFor("Login successful: alice", second),
    );
    terminal.type("quit");
    expect(await terminal.exited).toBe(0);
    expect(terminal.shown).not.toContain(own);
    const missing = await world.run("server", ["serve", "users", "list", "--db", "missing.db"]);
    expect([missing.exitCode, missing.stderr]).toEqual([
      2,
      expect.stringContaining("no database missing.db"),
    ]);
  });

  test("a client comes back to a restarted server without its password, which is gone", async () => {
    const db = ["--db", "restarted.db"];
    const { server, port } = await world.startServer(db);
    const file = world.path("alice", "password");
    writeFileSync(file, own, { mode: 0o600 });
    const args = ["connect", `localhost:${port}`, "--as", "alice", "--register", "--json"];
    const client = world.start("alice", [...args, "--password-file", "password"]);
    await client.waitForEvent("the login", ({ event }) => event === "authenticated");
    // Commands are obeyed when everything that waited on the server has come.
    client.type("/who");
    await client.waitForEvent("that it has caught up", ({ event }) => event === "who");
    rmSync(file);
    server.stop("SIGKILL");
    await server.exited;
    const again = world.start("server", ["serve", "--host", "127.0.0.1", "--port", String(port), ...db]);
    await client.waitForEvent(
      "that it is back",
      ({ event, state }) => event === "connection" && state === "back",
    );
    client.endInput();
    expect(await client.exited).toBe(0);
    again.stop("SIGTERM");
    expect(await again.exited).toBe(0);
  });

  test("a password is changed by its owner, and the account follows to a new key that the old one signs for", async () => {
    const { port } = await world.startServer(["--db", "renewed.db"]);
    const connect = (args: readonly string[], env: Record<string, string>) =>
      world.run("alice", ["connect", `localhost:${port}`, "--as", "alice", ...args], { env, input: "" });
    expect((await connect(["--register"], password("the first password"))).exitCode).toBe(0);
    const change = { ...password("the first password"), SECURECHAT_NEW_PASSWORD: own };
    expect((await connect(["--change-password"], change)).exitCode).toBe(0);
    expect((await connect([], password("the first password"))).stderr).toContain("AUTHENTICATION_FAILED");

    await world.succeed("org", ["issue", "--renew", "certs/alice_cert.pem", "--new-key"]);
    const files = readdirSync(world.path("org", "certs")).filter((name) => name.startsWith("alice"));
    for (const name of files)
      copyFileSync(world.path("org", "certs", name), world.path("alice", "certs", name));
    const moved = files.find((name) => /^alice-[0-9a-f]{8}_key\.pem$/.test(name))?.replace("_key.pem", "");
    const vault = ["--vault", "new_vault.db"];
    expect((await connect(vault, password(own))).stderr).toContain("IDENTITY_MISMATCH");
    const renewed = await connect([...vault, "--renew-from", `certs/${moved}`], password(own));
    expect([renewed.exitCode, renewed.stderr]).toEqual([0, expect.any(String)]);
    expect((await connect(vault, password(own))).exitCode).toBe(0);
  });
});
