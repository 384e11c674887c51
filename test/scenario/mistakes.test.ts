import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { executable, type JsonEvent, passwordOf, patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

let world: World | undefined;
afterEach(async () => {
  await world?.dispose();
  world = undefined;
});

function eventsOf(stdout: string): JsonEvent[] {
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("connect --json tells a wrong password as an event, with exit code 1 and one line on stderr", async () => {
  world = await World.create(["alice"]);
  const { port } = await world.startServer();
  await world.chat("alice", port, ["--register"]);
  const done = await world.chat("alice", port, ["--json"], { env: { SECURECHAT_PASSWORD: "another one" } });
  expect(done.exitCode).toBe(1);
  expect(eventsOf(done.stdout)).toContainEqual(
    expect.objectContaining({ event: "error", code: "AUTHENTICATION_FAILED" }),
  );
  expect(done.stderr.trim().split("\n")).toHaveLength(1);
  expect(done.stdout + done.stderr).not.toContain("another one");
});

test("connect --json tells what ends it before it is connected as an event", async () => {
  world = await World.create(["alice"]);
  const { port } = await world.startServer();
  const holder = await world.join("alice", port);
  const second = await world.chat("alice", port, ["--json"]);
  expect([second.exitCode, eventsOf(second.stdout)]).toEqual([
    2,
    [expect.objectContaining({ event: "error", code: "VAULT_IN_USE" })],
  ]);
  expect(second.stderr.trim().split("\n")).toHaveLength(1);
  holder.endInput();
  await holder.exited;
  const none = await world.run("alice", ["connect", `localhost:${port}`, "--as", "nobody", "--json"]);
  expect([none.exitCode, eventsOf(none.stdout)]).toEqual([
    2,
    [expect.objectContaining({ event: "error", code: "USAGE" })],
  ]);
});

test("connect refuses what can be no username and keeps the connection", async () => {
  world = await World.create(["alice", "bob"]);
  const { port } = await world.startServer();
  await world.chat("bob", port, ["--register"]);
  const input = "/to Bob\n/to ../../x\n/to bob\nhello\n";
  const done = await world.chat("alice", port, ["--register", "--json"], { input });
  const events = eventsOf(done.stdout);
  expect(events.filter(({ code }) => code === "NO_SUCH_PERSON")).toHaveLength(2);
  expect(events.filter(({ event }) => event === "connection")).toEqual([]);
  expect(events).toContainEqual(expect.objectContaining({ event: "sent", text: "hello" }));
});

test("connect sends nobody what follows a /to that failed, with exit code 1", async () => {
  world = await World.create(["alice", "bob"]);
  const { port } = await world.startServer();
  await world.chat("bob", port, ["--register"]);
  const input = "for bob\n/to carol\nfor carol\n/to\nfor whom?\n/to bob\nfor bob again\n";
  const done = await world.chat("alice", port, ["--register", "--to", "bob", "--json"], { input });
  expect(done.exitCode).toBe(1);
  const events = eventsOf(done.stdout);
  expect(events.flatMap(({ event, text }) => (event === "sent" ? [text] : []))).toEqual([
    "for bob",
    "for bob again",
  ]);
  expect(events.filter(({ code }) => code === "NO_RECIPIENT")).toHaveLength(2);
});

test("connect leaves no conversation at /leave with a name, and ends with exit code 1", async () => {
  world = await World.create(["alice", "bob"]);
  const { port } = await world.startServer();
  await world.chat("bob", port, ["--register"]);
  const input = "/leave bob\nstill here\n";
  const done = await world.chat("alice", port, ["--register", "--to", "bob", "--json"], { input });
  expect(done.exitCode).toBe(1);
  const events = eventsOf(done.stdout);
  expect(events.filter(({ event }) => event === "left")).toEqual([]);
  expect(events).toContainEqual(expect.objectContaining({ event: "sent", text: "still here" }));
});

test("connect names a folder for transcripts that can't be used, with exit code 2, and sends nothing", async () => {
  world = await World.create(["alice", "bob"]);
  const { port } = await world.startServer();
  await world.chat("bob", port, ["--register"]);
  await world.chat("alice", port, ["--register", "--to", "bob"], { input: "hello\n" });
  writeFileSync(world.path("alice/file"), "");
  const args = ["--to", "bob", "--json", "--transcripts", "file"];
  const done = await world.chat("alice", port, args, { input: "again\n" });
  expect(done.exitCode).toBe(2);
  expect(done.stderr).toContain("TRANSCRIPT_UNUSABLE");
  expect(done.stdout).not.toContain("SERVER_MISBEHAVED");
  expect(eventsOf(done.stdout).filter(({ event }) => event === "sent")).toEqual([]);
});

test("connect whose reader has gone ends without a stack trace and loses nothing", async () => {
  world = await World.create(["alice", "bob"]);
  const { port } = await world.startServer();
  await world.chat("bob", port, ["--register"]);
  await world.chat("alice", port, ["--register", "--to", "bob"], { input: "hello\n" });
  const command = `"${executable}" connect localhost:${port} --as alice --to bob --json | true`;
  const gone = await world.runProgram(world.path("alice"), ["sh", "-c", command], {
    input: "again\n",
    env: passwordOf("alice"),
  });
  expect(gone.stderr).toBe("");
  const done = await world.chat("alice", port, ["--to", "bob", "--json"], { input: "last\n" });
  expect(done.exitCode).toBe(0);
  expect(eventsOf(done.stdout)).toContainEqual(expect.objectContaining({ event: "sent", text: "last" }));
});

test.skipIf(!existsSync("/dev/full"))(
  "output that finds no room is told in one line, with exit code 1, and a chat goes on",
  async () => {
    world = await World.create(["alice", "bob"]);
    const { port } = await world.startServer();
    await world.chat("bob", port, ["--register"]);
    await world.chat("alice", port, ["--register"]);
    const toFull = (folder: string, args: string, input = "") =>
      world?.runProgram(world.path(folder), ["sh", "-c", `"${executable}" ${args} > /dev/full`], {
        input,
        env: passwordOf("alice"),
      });
    const told = /^securechat: can't write to standard output: [^\n]*no space left[^\n]*\n$/i;
    const listed = await toFull("org", "ca list");
    expect([listed?.exitCode, listed?.stderr]).toEqual([1, expect.stringMatching(told)]);
    const args = `connect localhost:${port} --as alice --to bob --json`;
    const chat = await toFull("alice", args, "all the same\n");
    expect([chat?.exitCode, chat?.stderr]).toEqual([1, expect.stringMatching(told)]);
    const { stdout } = await world.chat("bob", port, ["--json", "--wait-for", "1"]);
    expect(eventsOf(stdout)).toContainEqual(
      expect.objectContaining({ event: "message", text: "all the same" }),
    );
  },
);
