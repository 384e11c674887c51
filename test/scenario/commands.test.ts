import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { overriding } from "../client/overriding.ts";
import { startServerHere } from "./serverHere.ts";
import { eventsOf, patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

describe("connect without a terminal, command by command", () => {
  let world: World;
  let port: number;
  beforeAll(async () => {
    world = await World.create();
    ({ port } = await world.startServer());
    const bob = await world.chat("bob", port, ["--register"]);
    const alice = await world.chat("alice", port, ["--register", "--to", "bob"], {
      input: "the first words\nand others\n",
    });
    expect([bob.exitCode, alice.exitCode]).toEqual([0, 0]);
  });
  afterAll(() => world?.dispose());

  const typed = (name: string, to: string, lines: readonly string[]) =>
    world.chat(name, port, ["--login", "--to", to], { input: lines.map((line) => `${line}\n`).join("") });

  test("/history, /search, /members and /who show what they are asked for, and send nothing", async () => {
    const { exitCode, stdout } = await typed("alice", "bob", [
      "/history 1",
      "/search FIRST",
      "/members",
      "/who",
    ]);
    expect(exitCode).toBe(0);
    expect(stdout.split("\n").filter((line) => /\[alice\]/.test(line))).toEqual([
      expect.stringMatching(/\[alice\] and others$/),
      expect.stringMatching(/\[alice\] the first words$/),
    ]);
    for (const name of ["alice", "bob"]) expect(stdout).toContain(`${name} <${name}@example.org> sha256:`);
    expect(stdout).toMatch(/bob has signed for 0 entries|has signed for 0 entries/);
    expect(stdout).not.toContain(">>>");
  });

  test("/help names every command that there is", async () => {
    const { exitCode, stdout } = await typed("alice", "bob", ["/help"]);
    expect(exitCode).toBe(0);
    const names = [
      "to",
      "leave",
      "members",
      "who",
      "history",
      "search",
      "receipt",
      "disclose",
      "compare",
      "help",
    ];
    for (const name of names) expect(stdout).toMatch(new RegExp(`^ *(Message \\(.*\\): )?/${name}\\b`, "m"));
    expect(stdout).toMatch(/\bquit\b/);
  });

  test("/compare shows both members one code for one size, and another one for another", async () => {
    const codeOf = async (name: string, to: string) => {
      const { stdout } = await typed(name, to, ["/compare"]);
      return /^ {2}(\d+) entries: ((?:\d{5} ){7}\d{5})$/m.exec(stdout)?.slice(1);
    };
    // The first of bob's sessions acknowledges what he has read.
    await typed("bob", "alice", []);
    const [alices, bobs] = [await codeOf("alice", "bob"), await codeOf("bob", "alice")];
    expect(alices).toHaveLength(2);
    expect(bobs).toEqual(alices as string[]);
    await typed("alice", "bob", ["one more"]);
    expect(await codeOf("alice", "bob")).not.toEqual(alices);
  });

  test("a message that is too long and a command that is none are refused with a code; what follows is sent", async () => {
    const { exitCode, stdout, stderr } = await typed("alice", "bob", [
      "x".repeat(65_537),
      "/nonsense",
      "x".repeat(65_536),
      "after it",
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("✗ a message has at most 65536 bytes, this has 65537 (TEXT_REFUSED)\n");
    expect(stderr).toMatch(/^✗ no command \/nonsense; .* \(TEXT_REFUSED\)$/m);
    const sent = stdout.split("\n").filter((line) => line.startsWith(">>> "));
    expect(sent.map((line) => line.replace(/^.*seqno=\d+: /, "").length)).toEqual([
      65_536,
      "after it".length,
    ]);
  });

  test("/leave ends the conversation for both, and the next line begins another one", async () => {
    const left = await typed("alice", "bob", ["goodbye", "/leave"]);
    expect(left.exitCode).toBe(0);
    const bob = await world.chat("bob", port, ["--login", "--json"]);
    const told = eventsOf(bob.stdout).filter(
      ({ event, action }) => event === "membership" && action === "leave",
    );
    expect(told).toHaveLength(1);
    const again = await typed("bob", "alice", ["hello again"]);
    expect([again.exitCode, again.stdout]).toEqual([0, ">>> [To alice] seqno=2: hello again\n"]);
  });
});

test("connect ends with exit code 3 when there is no countersignature, says so, and fetches it the next time", async () => {
  const world = await World.create();
  try {
    const failing = await startServerHere(world, (store) =>
      overriding(store, {
        receipts: overriding(store.receipts, { save: () => Promise.reject(new Error("no space")) }),
      }),
    );
    expect((await world.chat("bob", failing.port, ["--register"])).exitCode).toBe(0);
    const done = await world.chat("alice", failing.port, ["--register", "--to", "bob", "--json"], {
      input: "words\n",
    });
    await failing.stop();
    expect(done.exitCode).toBe(3);
    const events = eventsOf(done.stdout);
    expect(events.filter(({ event }) => event === "error")).toMatchObject([{ code: "NOT_COUNTERSIGNED" }]);
    expect(events.filter(({ event, text }) => event === "sent" && text === "words")).toHaveLength(1);
    const server = await startServerHere(world);
    const next = await world.chat("alice", server.port, ["--login", "--json"]);
    await server.stop();
    expect(next.exitCode).toBe(0);
    const receipt = eventsOf(next.stdout).find(({ event }) => event === "receipt");
    expect(receipt).toMatchObject({
      countersigned: true,
      signers: expect.arrayContaining(["alice", "localhost"]),
    });
    const folder = world.path("alice", String(receipt?.folder));
    expect(readFileSync(`${folder}/receipt.p7s`).length).toBeGreaterThan(0);
    const verified = await world.run("org", ["verify", folder, "--json"]);
    expect([verified.exitCode, JSON.parse(verified.stdout).verdict]).toEqual([0, "valid"]);
  } finally {
    await world.dispose();
  }
});
