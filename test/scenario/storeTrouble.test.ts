import { Database } from "bun:sqlite";
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { isMessage, type JsonEvent, passwordOf, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(2 * patienceMs);

const worlds: World[] = [];
const databases: PostgresServer[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.dispose();
  for (const database of databases.splice(0)) await database.dispose();
});

async function newWorld(): Promise<World> {
  const world = await World.create();
  worlds.push(world);
  return world;
}

/** A limit on the length of files stands for a full disk: it needs no mount, and it can be raised again. */
const limitFiles = (kibibytes: number) =>
  // A shell counts in blocks of 512 bytes. An ignored signal stays ignored behind exec.
  `trap '' XFSZ; ulimit -S -f ${2 * kibibytes}; exec "$@"`;
const raiseLimit = (world: World, { pid }: ChildProcess) =>
  world.runProgram(world.root, ["prlimit", `--pid=${pid}`, "--fsize=unlimited"]);
const canRaise = Bun.which("prlimit") !== null;

const sentTo = (client: ChildProcess, text: string) =>
  client.waitForEvent(`"${text}" sent`, (event) => event.event === "sent" && event.text === text);
const isUnavailable = (event: JsonEvent) => event.code === "SERVER_UNAVAILABLE";
const fails = (line: string) => /ERROR\] The store fails: (.*)/.exec(line)?.[1];
const works = (line: string) => /INFO\] The store works again/.exec(line)?.[0];

/** Every message of alice's has come to bob once and in its order, and an arbiter finds nothing wrong. */
async function expectWhole(
  world: World,
  { alice, bob }: { alice: ChildProcess; bob: ChildProcess },
  texts: readonly string[],
): Promise<void> {
  await bob.waitForEvent("the last message", isMessage(texts.at(-1) ?? ""));
  const came = bob.output
    .split("\n")
    .filter((line) => line.startsWith('{"event":"message"'))
    .map((line) => JSON.parse(line).text);
  expect(came).toEqual([...texts]);
  const { folder: alices } = await quit(alice);
  const { folder: bobs } = await quit(bob);
  const folders = [world.path("alice", alices), world.path("bob", bobs)];
  for (const args of [...folders.map((folder) => [folder]), folders]) {
    const done = await world.run("org", ["verify", ...args, "--json"]);
    expect([done.exitCode, JSON.parse(done.stdout).verdict]).toEqual([0, "valid"]);
  }
}

describe("a server whose store fails", () => {
  test.skipIf(!hasPostgres)(
    "because PostgreSQL was killed waits for it, and every message stands once and in order",
    async () => {
      const world = await newWorld();
      const database = await PostgresServer.start();
      databases.push(database);
      const { port: databasePort, database: name, user } = database.createDatabase();
      const password = encodeURIComponent(database.password);
      const { server, port } = await world.startServer([], {
        DATABASE_URL: `postgresql://${user}:${password}@127.0.0.1:${databasePort}/${name}`,
      });
      const bob = await world.join("bob", port);
      const alice = await world.join("alice", port, { to: "bob" });
      const texts: string[] = [];
      const type = (count: number) => {
        for (let i = 0; i < count; i++) {
          const text = `message ${texts.length}`;
          texts.push(text);
          alice.type(text);
        }
      };
      type(150);
      await sentTo(alice, texts.at(-100) ?? "");
      await database.kill();
      type(50);
      await alice.waitForEvent("the trouble", isUnavailable);
      await server.waitFor("the log line", fails);
      await database.run();
      await sentTo(alice, texts.at(-1) ?? "");
      await server.waitFor("the end of the trouble", works);
      expect(server.output).not.toContain(database.password);
      await expectWhole(world, { alice, bob }, texts);
    },
  );

  test.skipIf(!canRaise)(
    "because its disk is full stays up and goes on when there is space again",
    async () => {
      const world = await newWorld();
      const server = world.startLimited("server", limitFiles(1_536), [
        ...["serve", "--host", "127.0.0.1", "--port", "0"],
      ]);
      const port = Number(
        await server.waitFor("listening", (line) => /Server running on \S+:(\d+)/.exec(line)?.[1]),
      );
      const bob = await world.join("bob", port);
      const alice = await world.join("alice", port, { to: "bob" });
      const texts = Array.from({ length: 60 }, (_, i) => `${i} ${"x".repeat(16_000)}`);
      for (const text of texts) alice.type(text);
      expect(await server.waitFor("the log line", fails)).toContain("the database can't do it now");
      await alice.waitForEvent("the trouble", isUnavailable);
      await raiseLimit(world, server);
      await sentTo(alice, texts.at(-1) ?? "");
      await server.waitFor("the end of the trouble", works);
      await expectWhole(world, { alice, bob }, texts);
    },
  );

  test("because another process holds the file's write lock goes on when it is let go", async () => {
    const world = await newWorld();
    const { server, port } = await world.startServer();
    const bob = await world.join("bob", port);
    const alice = await world.join("alice", port, { to: "bob" });
    alice.type("before");
    await sentTo(alice, "before");
    const other = new Database(world.path("server/securechat.db"), { readwrite: true });
    other.run("BEGIN IMMEDIATE");
    alice.type("meanwhile");
    expect(await server.waitFor("the log line", fails)).toContain("locked");
    other.run("ROLLBACK");
    other.close();
    await sentTo(alice, "meanwhile");
    await expectWhole(world, { alice, bob }, ["before", "meanwhile"]);
  });
});

describe("a server is not started", () => {
  const serve = ["serve", "--host", "127.0.0.1", "--port", "0"];

  test("on a file that another server uses, and is after that one's end, however it came", async () => {
    const world = await newWorld();
    const { server } = await world.startServer();
    const second = await world.run("server", serve);
    expect(second.exitCode).toBe(2);
    expect(second.stderr).toBe(
      "securechat: another server is using securechat.db; stop it, or give each a database of its own (several servers share one in PostgreSQL)\n",
    );
    server.stop("SIGKILL");
    await server.exited;
    await world.startServer();
  });

  test("on a damaged file, which stays as it is", async () => {
    const world = await newWorld();
    const { server } = await world.startServer();
    server.stop();
    await server.exited;
    const file = world.path("server/securechat.db");
    const good = readFileSync(file);
    for (const from of [0, 100, 8_192]) {
      const damaged = Uint8Array.from(good);
      damaged.fill(0x5a, from, from + 4_096);
      writeFileSync(file, damaged);
      const done = await world.run("server", serve);
      expect([done.exitCode, done.stderr]).toEqual([
        2,
        expect.stringMatching(
          /^securechat: database securechat\.db: .*(damaged: .*; restore it from a backup|is not a database)\n$/,
        ),
      ]);
      expect(Buffer.compare(readFileSync(file), damaged)).toBe(0);
    }
    const backup = await world.run("server", ["serve", "backup", "--out", "backup.db"]);
    expect(backup.exitCode).toBe(2);
    expect(() => statSync(world.path("server/backup.db"))).toThrow();
  });

  test.skipIf(process.getuid?.() !== 0 || Bun.which("setpriv") === null)(
    "on a file that it may not write",
    async () => {
      const world = await newWorld();
      const { server } = await world.startServer();
      server.stop();
      await server.exited;
      const nobody = 65_534;
      for (const name of ["", "certs", "certs/ca_cert.pem", "certs/server_cert.pem", "certs/server_key.pem"])
        chownSync(world.path("server", name), nobody, nobody);
      chownSync(world.path("server/securechat.db.lock"), nobody, nobody);
      chownSync(world.root, nobody, nobody);
      await world.runProgram(world.path("server"), ["chmod", "444", "securechat.db"]);
      const asNobody = `exec setpriv --reuid=${nobody} --regid=${nobody} --clear-groups "$@"`;
      const child = world.startLimited("server", asNobody, serve);
      expect(await child.exited).toBe(2);
      expect(child.output).toContain("database securechat.db: can't open the database securechat.db: EACCES");
    },
  );
});

describe("a client whose disk is full", () => {
  test.skipIf(!canRaise)("says so, ends, and loses nothing that it said was taken", async () => {
    const world = await newWorld();
    const { port } = await world.startServer();
    const bob = await world.join("bob", port);
    const first = world.startLimited(
      "alice",
      limitFiles(1_024),
      ["connect", `localhost:${port}`, "--as", "alice", "--register", "--to", "bob", "--json"],
      passwordOf("alice"),
    );
    await first.waitForEvent("the login", ({ event }) => event === "authenticated");
    const texts = Array.from({ length: 60 }, (_, i) => `${i} ${"x".repeat(16_000)}`);
    for (const text of texts.slice(0, 5)) {
      first.type(text);
      await sentTo(first, text);
    }
    for (const text of texts.slice(5)) first.type(text);
    const trouble = await first.waitForEvent(
      "the trouble",
      ({ event, code }) => event === "error" && (code === "VAULT_UNUSABLE" || code === "TRANSCRIPT_UNUSABLE"),
    );
    expect(String(trouble.message)).toMatch(/can't be written/);
    first.endInput();
    expect(await first.exited).not.toBe(0);
    const said = first.output
      .split("\n")
      .filter((line) => line.startsWith('{"event":"sent"'))
      .map((line) => JSON.parse(line).text);
    expect(said.length).toBeGreaterThanOrEqual(5);
    const alice = await world.join("alice", port, { register: false, to: "bob" });
    alice.type("with space again");
    await sentTo(alice, "with space again");
    await bob.waitForEvent("the last message", isMessage("with space again"));
    const came = bob.output
      .split("\n")
      .filter((line) => line.startsWith('{"event":"message"'))
      .map((line) => JSON.parse(line).text);
    // What was said to be sent, perhaps more of what was typed, each once and in order.
    expect(came.slice(0, said.length)).toEqual(said);
    expect(came.slice(0, -1)).toEqual(texts.slice(0, came.length - 1));
    const { folder } = await quit(alice);
    const done = await world.run("org", ["verify", world.path("alice", folder), "--json"]);
    expect([done.exitCode, JSON.parse(done.stdout).verdict]).toEqual([0, "valid"]);
  });
});
