import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isMessage, type Provider, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

interface Parties {
  readonly server: Provider;
  readonly alice: Provider;
  readonly bob: Provider;
}

const combinations: Parties[] = [
  { server: "native", alice: "noble", bob: "native" },
  { server: "noble", alice: "native", bob: "native" },
  { server: "native", alice: "noble", bob: "noble" },
];

describe.each(combinations)("a $alice client talks to a $bob one through a $server server", (providers) => {
  let world: World;
  let folders: string[];
  let serverOutput: string;

  beforeAll(async () => {
    world = await World.create();
    const { server, port } = await world.startServer([], { SECURECHAT_CRYPTO: providers.server });
    const bob = await world.join("bob", port, { provider: providers.bob });
    const alice = await world.join("alice", port, { provider: providers.alice, to: "bob" });
    alice.type("from one provider");
    await bob.waitForEvent("alice's message", isMessage("from one provider"));
    bob.type("/to alice");
    bob.type("to the other");
    await alice.waitForEvent("bob's answer", isMessage("to the other"));
    const a = await quit(alice);
    const b = await quit(bob);
    expect([a.exitCode, b.exitCode]).toEqual([0, 0]);
    folders = [world.path("alice", a.folder), world.path("bob", b.folder)];
    server.stop();
    expect(await server.exited).toBe(0);
    serverOutput = server.output;
  });
  afterAll(() => world?.dispose());

  test("the server reports no failure, and both transcripts are the same file", () => {
    expect(serverOutput).not.toMatch(/\[(WARNING|ERROR)\]/);
    const [alice, bob] = folders.map((folder) => readFileSync(join(folder, "transcript.jsonl"), "utf8"));
    expect(alice?.split("\n").length).toBeGreaterThan(4);
    expect(alice).toBe(bob);
  });

  test.each(["native", "noble"])(
    "verify --crypto %s calls the evidence of both valid, in the same words",
    async (crypto) => {
      for (const folder of folders) {
        const done = await world.run("org", ["verify", folder, "--crypto", crypto]);
        expect([done.exitCode, done.stderr]).toEqual([0, ""]);
        const other = await world.run("org", ["verify", folder]);
        expect(done.stdout).toBe(other.stdout);
      }
    },
  );
});

describe("--crypto", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create([]);
  });
  afterAll(() => world?.dispose());

  test("--crypto may stand before the command, its value is none", async () => {
    const listed = await world.run("org", ["--crypto", "noble", "ca", "list"]);
    expect([listed.exitCode, listed.stderr]).toEqual([0, ""]);
    const unknown = await world.run("org", ["--crypto", "noble"]);
    expect([unknown.exitCode, unknown.stdout]).toEqual([2, ""]);
  });

  test.each(["native", "noble"])("%s is shown by --version, and beats SECURECHAT_CRYPTO", async (name) => {
    const other = name === "native" ? "noble" : "native";
    const byFlag = await world.run("org", ["--version", "--crypto", name], {
      env: { SECURECHAT_CRYPTO: other },
    });
    const byVariable = await world.run("org", ["--version"], { env: { SECURECHAT_CRYPTO: name } });
    expect(byFlag.stdout).toMatch(new RegExp(`^securechat \\S+ \\(crypto: ${name}, bun \\S+, \\S+\\)\n$`));
    expect(byVariable).toEqual(byFlag);
  });
});
