import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { isMessage, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(2 * patienceMs);

const worlds: World[] = [];
const databases: PostgresServer[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.dispose();
  for (const database of databases.splice(0)) await database.dispose();
});

/** Where a server keeps its store, how that is backed up while it runs, and how the backup takes its place. */
interface Backend {
  readonly env: Record<string, string>;
  backUp(): Promise<void>;
  restore(): Promise<void>;
}

async function sqlite(world: World): Promise<Backend> {
  const file = (name: string) => world.path("server", name);
  return {
    env: {},
    backUp: async () => {
      await world.succeed("server", ["serve", "backup", "--out", "backup.db"]);
    },
    async restore() {
      for (const name of ["securechat.db", "securechat.db-wal", "securechat.db-shm"])
        rmSync(file(name), { force: true });
      copyFileSync(file("backup.db"), file("securechat.db"));
    },
  };
}

async function postgres(world: World): Promise<Backend> {
  const database = await PostgresServer.start();
  databases.push(database);
  const { port, database: name, user } = database.createDatabase();
  const at = ["--host=127.0.0.1", `--port=${port}`, `--username=${user}`];
  const env = { PGPASSWORD: database.password };
  const run = async (program: string, args: readonly string[]) => {
    const done = await world.runProgram(world.path("server"), [database.program(program), ...at, ...args], {
      env,
    });
    expect([program, done.exitCode, done.stderr]).toEqual([program, 0, ""]);
  };
  return {
    env: {
      DATABASE_URL: `postgresql://${user}:${encodeURIComponent(database.password)}@127.0.0.1:${port}/${name}`,
    },
    backUp: () => run("pg_dump", ["--format=custom", "--file=backup.dump", name]),
    async restore() {
      await run("dropdb", ["--force", name]);
      await run("createdb", [name]);
      await run("pg_restore", ["--exit-on-error", `--dbname=${name}`, "backup.dump"]);
    },
  };
}

async function serve(world: World, port: number, env: Record<string, string>): Promise<ChildProcess> {
  const server = world.start("server", ["serve", "--host", "127.0.0.1", "--port", String(port)], env);
  await server.waitFor("listening", (line) => /Server running on/.exec(line)?.[0]);
  return server;
}

const say = async (from: ChildProcess, to: ChildProcess, text: string) => {
  from.type(text);
  await to.waitForEvent(`"${text}"`, isMessage(text));
};
const sent = (client: ChildProcess, text: string) =>
  client.waitForEvent(`"${text}" sent`, (event) => event.event === "sent" && event.text === text);

const transcriptOf = (folder: string) => readFileSync(join(folder, "transcript.jsonl"), "utf8");

async function verdict(world: World, args: readonly string[]): Promise<unknown> {
  const done = await world.run("org", ["verify", ...args, "--json"]);
  return [done.exitCode, JSON.parse(done.stdout).verdict];
}

for (const [name, backend, skip] of [
  ["SQLite and serve backup", sqlite, false],
  ["PostgreSQL and pg_dump", postgres, !hasPostgres],
] as const)
  describe.skipIf(skip)(`a server that is put back to an earlier state (${name})`, () => {
    test("has every accepted entry again from its members, byte for byte, and forks nothing", async () => {
      const world = await World.create(["alice", "bob", "carol"]);
      worlds.push(world);
      const store = await backend(world);
      const { server: first, port } = await world.startServer([], store.env);
      // carol's account and key packages are in the backup; the conversation with her is not.
      const carolBefore = await world.join("carol", port);
      carolBefore.endInput();
      await carolBefore.exited;
      const bob = await world.join("bob", port);
      const alice = await world.join("alice", port, { to: "bob" });
      await say(alice, bob, "before the backup");
      await store.backUp();
      bob.type("/to alice");
      for (let i = 0; i < 5; i++) {
        await say(alice, bob, `lost ${i} of alice`);
        await say(bob, alice, `lost ${i} of bob`);
      }
      const bobs = world.path("bob", (await quit(bob)).folder);
      const before = transcriptOf(bobs);
      alice.type("bob has not seen this");
      await sent(alice, "bob has not seen this");
      alice.type("/to carol");
      alice.type("hello carol");
      await sent(alice, "hello carol");
      first.stop("SIGKILL");
      await first.exited;
      alice.stop("SIGKILL");
      await alice.exited;
      await store.restore();

      const second = await serve(world, port, store.env);
      await second.waitFor("the warning", (line) => /WARNING\] The store is a copy/.exec(line)?.[0]);
      // bob alone can bring back what he has seen; his words wait, since alice may know more.
      const bobAgain = await world.join("bob", port, { register: false, to: "alice" });
      await second.waitFor("bob's entries", (line) => /handed back (\d+) entries/.exec(line)?.[1]);
      bobAgain.type("after the restoration");
      const waiting = await bobAgain.waitForEvent("the wait", ({ code }) => code === "SERVER_UNAVAILABLE");
      expect(String(waiting.message)).toContain("missing: alice");

      const aliceAgain = await world.join("alice", port, { register: false, to: "bob" });
      await bobAgain.waitForEvent("alice's words", isMessage("bob has not seen this"));
      await sent(bobAgain, "after the restoration");
      await aliceAgain.waitForEvent("bob's words", isMessage("after the restoration"));
      // The words to carol were accepted after the backup, and she never saw them.
      const carol = await world.join("carol", port, { register: false });
      await carol.waitForEvent("alice's words", isMessage("hello carol"));
      carol.type("/to alice");
      await say(carol, aliceAgain, "hello alice");

      const folders = await Promise.all([aliceAgain, bobAgain, carol].map((client) => quit(client)));
      expect(folders.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
      const transcript = transcriptOf(bobs);
      expect(transcript.startsWith(before)).toBe(true);
      const [aliceWithBob = ""] = new Bun.Glob("bob-*").scanSync({
        cwd: world.path("alice", "transcripts"),
        onlyFiles: false,
      });
      expect(transcriptOf(world.path("alice", "transcripts", aliceWithBob))).toBe(transcript);
      expect(await verdict(world, [bobs])).toEqual([0, "valid"]);
      expect(await verdict(world, [bobs, world.path("alice", "transcripts", aliceWithBob)])).toEqual([
        0,
        "valid",
      ]);
      expect(second.output).not.toContain("ERROR");
      second.stop();
      await second.exited;
    });

    // The same for every backend.
    if (backend !== sqlite) return;
    test("goes on with clients that stay, and with what they wrote while it was away", async () => {
      const world = await World.create();
      worlds.push(world);
      const store = await backend(world);
      const { server: first, port } = await world.startServer([], store.env);
      const bob = await world.join("bob", port);
      const alice = await world.join("alice", port, { to: "bob" });
      await say(alice, bob, "before the backup");
      bob.type("/to alice");
      await store.backUp();
      await say(bob, alice, "behind it");
      await say(alice, bob, "and this");
      first.stop("SIGKILL");
      await first.exited;
      await store.restore();
      for (const client of [alice, bob])
        await client.waitForEvent(
          "the loss",
          ({ event, state }) => event === "connection" && state === "lost",
        );
      alice.type("written meanwhile by alice");
      bob.type("written meanwhile by bob");
      const second = await serve(world, port, store.env);
      await bob.waitForEvent("alice's words", isMessage("written meanwhile by alice"));
      await alice.waitForEvent("bob's words", isMessage("written meanwhile by bob"));
      const folders = [];
      for (const [owner, client] of [
        ["alice", alice],
        ["bob", bob],
      ] as const) {
        folders.push(world.path(owner, (await quit(client)).folder));
        expect(client.output).not.toContain('"event":"error"');
      }
      expect(await verdict(world, folders)).toEqual([0, "valid"]);
      expect(second.output).not.toContain("ERROR");
    });
  });
