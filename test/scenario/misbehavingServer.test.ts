import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { eventsOf, isMessage, type JsonEvent, passwordOf, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

interface Stopped {
  readonly to: string;
  readonly evidence: string;
  readonly unsent: number;
}

/** What an `error` event says about the conversation that it stopped. */
function stoppedOf(event: JsonEvent | undefined): Stopped {
  const { stopped } = event ?? {};
  if (stopped === undefined) throw new Error("nothing was stopped");
  return stopped as Stopped;
}

describe("a server that shows two people two logs", () => {
  let world: World;
  let honestPort: number;
  const folders: Record<string, string> = {};

  beforeAll(async () => {
    world = await World.create();
    const first = await world.startServer();
    expect((await world.chat("bob", first.port, ["--register"])).exitCode).toBe(0);
    const begun = await world.chat("alice", first.port, ["--register", "--to", "bob"], { input: "common\n" });
    expect(begun.exitCode).toBe(0);
    first.server.stop();
    expect(await first.server.exited).toBe(0);
    // One operator, one key, two databases from here on.
    copyFileSync(world.path("server/securechat.db"), world.path("server/fork.db"));
    const [one, other] = [await world.startServer(), await world.startServer(["--db", "fork.db"])];
    honestPort = one.port;
    for (const [name, to, port] of [
      ["alice", "bob", one.port],
      ["bob", "alice", other.port],
    ] as const) {
      const words = `only ${name}'s log has this\n`;
      const done = await world.chat(name, port, ["--login", "--to", to, "--json"], { input: words });
      expect(done.exitCode).toBe(0);
      const receipt = eventsOf(done.stdout).findLast(({ event }) => event === "receipt");
      folders[name] = world.path(name, String(receipt?.folder));
    }
    other.server.stop();
    expect(await other.server.exited).toBe(0);
  });
  afterAll(() => world?.dispose());

  test("is convicted by its two signatures once the folders are compared", async () => {
    const { alice = "", bob = "" } = folders;
    const verify = ["verify", alice, bob, "--ca", "certs/ca_cert.pem", "--out", world.path("proof")];
    const compared = await world.run("org", verify);
    expect(compared.stdout).toContain("FORK");
    expect(compared.exitCode).toBe(1);
    const proof = await world.run("org", ["verify", world.path("proof"), "--ca", "certs/ca_cert.pem"]);
    expect([proof.exitCode, proof.stdout.startsWith("Verdict: FORK")]).toEqual([1, true]);
  });

  test("stops the conversation of whom it shows the other log, who goes on in a new one", async () => {
    const refused = await world.chat("bob", honestPort, ["--login", "--to", "alice"], { input: "words\n" });
    expect(refused.exitCode).toBe(1);
    expect(refused.stdout).toBe("");
    const [, file = ""] = /Keep as evidence: (\S+)\n/.exec(refused.stderr) ?? [];
    expect(file).toEndWith("/checkpoints.jsonl");
    expect(refused.stderr).toMatch(
      /^✗ the server has signed two different logs [^\n]* \(CONVERSATION_STOPPED\)$/m,
    );
    expect(refused.stderr).toContain("/fresh alice begins a new conversation with alice");
    const evidence = readFileSync(world.path("bob", file), "utf8");
    expect(evidence.trimEnd().split("\n")).toHaveLength(2);

    // After a restart it is still so, and a script learns why from the events alone.
    const alice = await world.join("alice", honestPort, { register: false, to: "bob" });
    const bob = await world.join("bob", honestPort, { register: false, to: "alice" });
    const stopped = await bob.waitForEvent(
      "why",
      ({ event, code }) => event === "error" && code === "CONVERSATION_STOPPED",
    );
    expect(stoppedOf(stopped)).toMatchObject({ to: "alice", evidence: file });
    bob.type("/fresh");
    const fresh = await bob.waitForEvent("a new conversation", ({ event }) => event === "fresh");
    expect(fresh.conversation).not.toBe(stopped.conversation);
    bob.type("in the new one");
    await alice.waitForEvent("bob's words", isMessage("in the new one"));
    // Alice, who had no reason to stop, is told, and her lines go where bob reads.
    await alice.waitForEvent(
      "that it is another one",
      ({ event, conversation, successor }) =>
        event === "replaced" && conversation === stopped.conversation && successor === fresh.conversation,
    );
    alice.type("understood");
    await bob.waitForEvent("alice's answer", isMessage("understood"));
    expect((await quit(alice)).exitCode).toBe(0);
    expect((await quit(bob)).exitCode).toBe(0);
    expect(readFileSync(world.path("bob", file), "utf8")).toBe(evidence);
    const again = await world.chat("bob", honestPort, ["--login", "--to", "alice", "--json"], {
      input: "later\n",
    });
    const sent = eventsOf(again.stdout).filter(({ event }) => event === "sent");
    expect(sent).toMatchObject([{ conversation: fresh.conversation, text: "later" }]);
  });
});

describe("a server whose database was replaced by an empty one", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create();
  });
  afterAll(() => world?.dispose());

  test("has the conversation again from its members, who go on in it", async () => {
    const first = await world.startServer();
    expect((await world.chat("bob", first.port, ["--register"])).exitCode).toBe(0);
    const begun = await world.chat("alice", first.port, ["--register", "--to", "bob"], { input: "kept\n" });
    expect(begun.exitCode).toBe(0);
    expect((await world.chat("bob", first.port, ["--login", "--wait-for", "1"])).exitCode).toBe(0);
    first.server.stop();
    expect(await first.server.exited).toBe(0);

    const empty = await world.startServer(["--db", "empty.db"]);
    const bob = await world.join("bob", empty.port);
    const alice = await world.join("alice", empty.port, { to: "bob" });
    alice.type("typed meanwhile");
    await bob.waitForEvent("what was typed", isMessage("typed meanwhile"));
    await quit(alice);
    bob.endInput();
    expect(await bob.exited).toBe(0);
    for (const { output } of [alice, bob])
      expect(eventsOf(output).filter(({ event }) => event === "error")).toEqual([]);
    empty.server.stop();
    expect(await empty.server.exited).toBe(0);
  });

  test("and has another name too has not the conversation, and what was typed is shown and sent in a new one", async () => {
    const names = ["--server", "--cn", "elsewhere.example", "--ip", "127.0.0.1"];
    await world.succeed("org", ["issue", ...names, "--out", "certs/elsewhere"]);
    for (const file of ["elsewhere_cert.pem", "elsewhere_key.pem"])
      copyFileSync(world.path("org/certs", file), world.path("server/certs", file));
    const { port } = await world.startServer([
      ...["--cert", "certs/elsewhere_cert.pem", "--key", "certs/elsewhere_key.pem"],
      ...["--db", "elsewhere.db"],
    ]);
    const host = "127.0.0.1";
    const bob = await world.join("bob", port, { host });
    const alice = await world.join("alice", port, { host, to: "bob" });
    alice.type("typed for nobody");
    const lost = await alice.waitForEvent(
      "that it is lost",
      ({ event, code, stopped }) =>
        event === "error" && code === "CONVERSATION_LOST" && (stopped as Stopped | undefined)?.unsent === 1,
    );
    expect(lost.message).toContain("is not kept on this server, but on localhost");
    expect(existsSync(world.path("alice", stoppedOf(lost).evidence, "transcript.jsonl"))).toBe(true);
    alice.type("/fresh");
    const fresh = await alice.waitForEvent("a new conversation", ({ event }) => event === "fresh");
    expect(fresh.unsent).toEqual(["typed for nobody"]);
    alice.type("/unsent send");
    await bob.waitForEvent("what was not sent", isMessage("typed for nobody"));
    await bob.waitForEvent("that it is another one", ({ event }) => event === "replaced");
    alice.type("/unsent");
    const unsent = await alice.waitForEvent("that nothing is left", ({ event }) => event === "unsent");
    expect(unsent).toMatchObject({ conversation: fresh.conversation, unsent: [] });
    await quit(alice);
    expect((await quit(bob)).exitCode).toBe(0);
  });
});

describe("delivery marks", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create();
  });
  afterAll(() => world?.dispose());

  test("stand in the status line beside what was signed for, and --acknowledge signs without being asked", async () => {
    const { port } = await world.startServer();
    let bob = await world.join("bob", port);
    const terminal = world.startOnTerminal(
      "alice",
      ["connect", `localhost:${port}`, "--as", "alice", "--register", "--to", "bob"],
      passwordOf("alice"),
    );
    await terminal.waitFor("Message (or 'quit'): ");
    terminal.type("first");
    const at = await terminal.waitFor("delivered everything · bob has signed for 0 of 2 entries");
    expect((await quit(bob)).exitCode).toBe(0);
    bob = await world.join("bob", port, { register: false, args: ["--acknowledge"] });
    terminal.type("second");
    await terminal.waitFor("delivered everything · bob has signed for everything", at);
    bob.type("/to alice");
    bob.type("third");
    const mark = await bob.waitForEvent("alice's mark", ({ event }) => event === "delivered");
    expect(mark).toMatchObject({ by: "alice", to: "alice" });
    terminal.type("/members");
    await terminal.waitFor("says to have received");
    terminal.type("quit");
    expect(await terminal.exited).toBe(0);
    expect((await quit(bob)).exitCode).toBe(0);
  });
});
