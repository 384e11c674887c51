import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { freePort, hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { isMessage, type JsonEvent, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(2 * patienceMs);

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.dispose();
});

async function newWorld(people: readonly string[] = ["alice", "bob"]): Promise<World> {
  const world = await World.create(people);
  worlds.push(world);
  return world;
}

/** Types the words and waits until the other one has read them. */
async function say(from: ChildProcess, to: ChildProcess, text: string): Promise<JsonEvent> {
  from.type(text);
  return await to.waitForEvent(text, isMessage(text));
}

/** The texts of all messages that a client has printed, in the order in which it did. */
function textsOf(client: ChildProcess): string[] {
  return client.output
    .split("\n")
    .filter((line) => line.startsWith('{"event":"message"'))
    .map((line) => String((JSON.parse(line) as JsonEvent).text));
}

/** Both end; both folders must be valid and no contradiction between them. */
async function endAndVerify(world: World, clients: Readonly<Record<string, ChildProcess>>): Promise<void> {
  const folders: string[] = [];
  for (const [name, client] of Object.entries(clients)) {
    const ended = await quit(client);
    expect(ended.exitCode).toBe(0);
    folders.push(world.path(name, ended.folder));
  }
  for (const folder of folders) {
    const verified = await world.run("org", ["verify", folder, "--json"]);
    expect([JSON.parse(verified.stdout).verdict, verified.exitCode]).toEqual(["valid", 0]);
  }
  // Who left first has not seen the other's last words to the record.
  const [first = "", second = ""] = folders.map((folder) =>
    readFileSync(`${folder}/transcript.jsonl`, "utf8"),
  );
  expect(second.startsWith(first) || first.startsWith(second)).toBe(true);
  expect((await world.run("org", ["verify", ...folders])).exitCode).toBe(0);
}

describe("what needs PostgreSQL refuses SQLite with exit code 2", () => {
  test.each([
    [["--workers", "2"], /--workers needs PostgreSQL: the SQLite file securechat\.db is for one process/],
    [["--reuse-port"], /--reuse-port needs PostgreSQL/],
    [["--workers", "0"], /--workers must be a whole number from 1 to 64/],
    [["--workers", "2", "--port", "0"], /--workers needs a --port that all workers can share, not 0/],
  ])("%p", async (args, text) => {
    const world = await newWorld([]);
    const done = await world.run("server", ["serve", "--host", "127.0.0.1", ...args]);
    expect(done.stderr).toMatch(text);
    expect([done.exitCode, done.stdout]).toEqual([2, ""]);
  });
});

describe.skipIf(!hasPostgres)("several nodes on one PostgreSQL", () => {
  let postgres: PostgresServer;
  beforeAll(async () => {
    postgres = await PostgresServer.start();
  });
  afterAll(() => postgres.dispose());

  /** The environment of a server on a new database. */
  function newDatabase(): Record<string, string> {
    const { host, port, user, password, database } = postgres.createDatabase();
    return {
      DATABASE_URL: `postgresql://${user}:${encodeURIComponent(password ?? "")}@${host}:${port}/${database}`,
    };
  }

  test("two that start at once on an empty database serve one organisation: both ways, away and back, a lost vault, receipts", async () => {
    const world = await newWorld();
    const env = newDatabase();
    // The second has a certificate and key of its own, for the same names.
    const names = ["--server", "--cn", "localhost", "--dns", "localhost", "--ip", "127.0.0.1"];
    await world.succeed("org", ["issue", ...names, "--new-key", "--out", "certs/second"]);
    const own = ["--cert", "../org/certs/second_cert.pem", "--key", "../org/certs/second_key.pem"];
    const [one, two] = await Promise.all([world.startServer([], env), world.startServer(own, env)]);
    const bob = await world.join("bob", two.port);
    const alice = await world.join("alice", one.port, { to: "bob" });
    await say(alice, bob, "from one to two");
    bob.type("/to alice");
    await say(bob, alice, "and back");
    expect((await quit(bob)).exitCode).toBe(0);

    alice.type("while bob is away");
    await alice.waitForEvent("sent", ({ event, seqno }) => event === "sent" && seqno === 3);
    const back = await world.join("bob", one.port, { register: false, to: "alice" });
    await back.waitForEvent("what was said", isMessage("while bob is away"));
    expect(textsOf(back)).toEqual(["while bob is away"]);
    back.endInput();
    expect(await back.exited).toBe(0);

    // A device without any memory comes back through the other node.
    const forgetful = await world.join("bob", two.port, {
      register: false,
      to: "alice",
      args: ["--vault", "another.db", "--transcripts", "others"],
    });
    await alice.waitForEvent("rejoin", ({ event, action }) => event === "membership" && action === "rejoin");
    await say(alice, forgetful, "who are you?");
    await say(forgetful, alice, "bob, without a memory");
    await endAndVerify(world, { bob: forgetful, alice });
    for (const { server } of [one, two]) {
      server.stop();
      expect(await server.exited).toBe(0);
    }
  });

  test("a node that is killed under load: its clients go on at the other one, every word stands exactly once", async () => {
    const world = await newWorld();
    const env = newDatabase();
    const [one, two] = await Promise.all([world.startServer([], env), world.startServer([], env)]);
    const bob = await world.join("bob", [two.port, one.port]);
    const alice = await world.join("alice", [one.port, two.port], { to: "bob" });
    await say(alice, bob, "first");
    bob.type("/to alice");
    const count = 400;
    const words = (who: string) => Array.from({ length: count }, (_, i) => `${who} ${i}`);
    const [ofAlice, ofBob] = [words("alice"), words("bob")];
    for (const [i, text] of ofAlice.entries()) {
      alice.type(text);
      bob.type(ofBob[i] ?? "");
    }
    await bob.waitForEvent("the load", isMessage("alice 20"));
    one.server.stop("SIGKILL");
    await alice.waitForEvent("the loss", ({ event, state }) => event === "connection" && state === "lost");
    await bob.waitForEvent("all of alice's", isMessage(ofAlice.at(-1) ?? ""));
    await alice.waitForEvent("all of bob's", isMessage(ofBob.at(-1) ?? ""));
    expect(textsOf(bob)).toEqual(["first", ...ofAlice]);
    expect(textsOf(alice)).toEqual(ofBob);
    await endAndVerify(world, { alice, bob });
  });

  test("workers share a port; a killed one is replaced and loses nothing; SIGTERM ends all; nobody outlives the supervisor", async () => {
    const world = await newWorld();
    const port = await freePort();
    const args = ["serve", "--host", "127.0.0.1", "--port", String(port), "--workers", "2"];
    const env = newDatabase();
    const server = world.start("server", args, env);
    for (const worker of [1, 2]) await server.waitFor("listening", said(`[WORKER-${worker}] Server running`));
    const bob = await world.join("bob", port);
    const home = await workerOf(server, "bob");
    // The kernel deals: until alice is at another worker than bob.
    let alice = await world.join("alice", port, { to: "bob" });
    let logins = 1;
    for (; (await workerOf(server, "alice", logins)) === home && logins < 30; logins++) {
      alice.stop("SIGKILL");
      await alice.exited;
      alice = await world.join("alice", port, { to: "bob", register: false });
    }
    expect(await workerOf(server, "alice", logins)).not.toBe(home);
    await say(alice, bob, "from worker to worker");
    bob.type("/to alice");
    await say(bob, alice, "and back");

    const victim = await processOf(server, home);
    process.kill(victim, "SIGKILL");
    await server.waitFor(
      "replacement",
      said(`Worker ${home} has ended (SIGKILL), another one starts in 0.5 s`),
    );
    await say(alice, bob, "after the crash");
    await say(bob, alice, "still here");
    await server.waitFor("new worker", (line) => {
      const pid = /Worker (\d) is process (\d+)/.exec(line);
      return pid?.[1] === home && Number(pid[2]) !== victim ? true : undefined;
    });
    await endAndVerify(world, { bob, alice });
    server.stop();
    expect(await server.exited).toBe(0);
    expect(server.output.match(/\[WORKER-[12]\] Server stopped/g)).toHaveLength(2);

    const orphaned = world.start("server", args, env);
    for (const worker of [1, 2])
      await orphaned.waitFor("listening", said(`[WORKER-${worker}] Server running`));
    orphaned.stop("SIGKILL");
    // Its output ends with the last process that has it.
    expect(await orphaned.exited).not.toBe(0);
    expect(orphaned.output.match(/\[WORKER-[12]\] Server stopped/g)).toHaveLength(2);
  });

  test("a passphrase that is asked for once serves all workers and is in nobody's arguments", async () => {
    const world = await newWorld([]);
    const passphrase = "the passphrase of the key";
    await world.succeed("server", ["issue", "--change-passphrase", "certs/server_key.pem"], {
      env: { SECURECHAT_KEY_PASSPHRASE: passphrase },
    });
    const port = await freePort();
    const args = ["serve", "--host", "127.0.0.1", "--port", String(port), "--workers", "2"];
    const server = world.startOnTerminal("server", args, newDatabase());
    await server.waitFor("Passphrase for certs/server_key.pem");
    server.type(passphrase);
    for (const worker of [1, 2]) {
      await server.waitFor(`[WORKER-${worker}] Server running`);
      const pid = new RegExp(`Worker ${worker} is process (\\d+)`).exec(server.shown)?.[1];
      const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      expect(argv).toContain("--reuse-port");
      expect(argv.join(" ")).not.toContain("passphrase of");
    }
    expect(server.shown).not.toContain(passphrase);
    // As the terminal sends it: to all of them.
    server.press("\u0003");
    expect(await server.exited).toBe(0);
    for (const worker of [1, 2]) expect(server.shown).toContain(`[WORKER-${worker}] Server stopped`);
  });

  test("workers that can't use their settings are not started again and again: exit code 2", async () => {
    const world = await newWorld(["alice"]);
    const args = ["--cert", "../alice/certs/alice_cert.pem", "--key", "../alice/certs/alice_key.pem"];
    const port = String(await freePort());
    const done = await world.run("server", ["serve", "--port", port, "--workers", "2", ...args], {
      env: newDatabase(),
    });
    expect(done.exitCode).toBe(2);
    expect(done.stderr).toContain("no server's certificate");
  });
});

function said(text: string): (line: string) => true | undefined {
  return (line) => (line.includes(text) ? true : undefined);
}

/** @returns the number of the worker that saw the nth login of this person */
async function workerOf(server: ChildProcess, name: string, nth = 1): Promise<string> {
  const logins = new RegExp(`\\[WORKER-(\\d)\\] \\[SESSION-\\d+\\] Client authenticated: ${name}$`);
  let seen = 0;
  return await server.waitFor("login", (line) => {
    const worker = logins.exec(line)?.[1];
    if (worker === undefined) return undefined;
    seen += 1;
    return seen === nth ? worker : undefined;
  });
}

async function processOf(server: ChildProcess, worker: string): Promise<number> {
  const started = new RegExp(`Worker ${worker} is process (\\d+)`);
  return Number(await server.waitFor("process", (line) => started.exec(line)?.[1]));
}
