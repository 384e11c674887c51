import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { eventsOf, isMessage, type JsonEvent, passwordOf, patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

/** What is typed while there is no server, by whom. */
const lines = ["one", "two", "three"];

describe("a server that is gone for a while", () => {
  let world: World;
  let port: number;
  let alice: ChildProcess;
  let bob: ChildProcess;
  let shown: string;
  let timedOut: number;

  const eventsBy = (client: ChildProcess, kind: string) =>
    eventsOf(client.output).filter(({ event }) => event === kind);
  const isRetry = ({ event, state }: JsonEvent) => event === "connection" && state === "retrying";

  beforeAll(async () => {
    world = await World.create(["alice", "bob", "carol", "dan", "erin"]);
    const first = await world.startServer();
    port = first.port;
    bob = await world.join("bob", port, { args: ["--wait-for", "10"] });
    alice = await world.join("alice", port, { to: "bob" });
    const carol = await world.join("carol", port, { to: "bob" });
    const impatient = await world.join("dan", port, { args: ["--timeout", "2"] });
    expect((await world.chat("erin", port, ["--register"])).exitCode).toBe(0);
    const args = ["connect", `localhost:${port}`, "--as", "erin", "--login", "--to", "bob"];
    const erin = world.startOnTerminal("erin", args, passwordOf("erin"));
    await erin.waitFor("erin to bob");
    alice.type("before");
    await bob.waitForEvent("the first words", isMessage("before"));

    first.server.stop("SIGKILL");
    await first.server.exited;
    timedOut = await impatient.exited;
    for (const [name, client] of [
      ["alice", alice],
      ["carol", carol],
    ] as const)
      for (const line of lines) {
        client.type(`${name} ${line}`);
        await client.waitForEvent(
          "kept",
          ({ event, text }) => event === "kept" && text === `${name} ${line}`,
        );
      }
    for (const [i, line] of lines.entries()) {
      erin.type(`erin ${line}`);
      await erin.waitFor(`${i + 1} unsent`);
    }
    carol.stop("SIGKILL");
    await carol.exited;
    let attempts = 0;
    await alice.waitForEvent("a third attempt", (event) => isRetry(event) && ++attempts === 3);

    const again = world.start("server", ["serve", "--host", "127.0.0.1", "--port", String(port)]);
    await again.waitFor("listening", (line) => (line.includes("Server running") ? true : undefined));
    await world.join("carol", port, { register: false });
    // Bob waits for ten messages, the connection being lost in between, and then ends by himself.
    bob.endInput();
    expect(await bob.exited).toBe(0);
    await alice.waitForEvent("the last one", ({ event, text }) => event === "sent" && text === "alice three");
    await erin.waitFor("Connected again");
    shown = erin.shown;
  });
  afterAll(() => world?.dispose());

  test("what was typed meanwhile goes out once and in order, also by who was killed", () => {
    const texts = eventsBy(bob, "message").map(({ text }) => String(text));
    expect(texts[0]).toBe("before");
    for (const name of ["alice", "carol", "erin"])
      expect(texts.filter((text) => text.startsWith(name))).toEqual(lines.map((line) => `${name} ${line}`));
    expect(texts).toHaveLength(10);
  });

  test("the loss is told, then attempts whose delays grow and vary, then that it is back", () => {
    const connection = eventsBy(alice, "connection");
    expect(connection[0]).toMatchObject({ state: "lost", code: "CONNECTION_LOST" });
    expect(connection.at(-1)).toMatchObject({ state: "back" });
    const delays = connection.filter(isRetry).map(({ inMs }) => Number(inMs));
    expect(delays.length).toBeGreaterThanOrEqual(3);
    for (const [n, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(500 * 2 ** n);
      expect(delay).toBeLessThanOrEqual(1000 * 2 ** n);
    }
    expect(eventsBy(alice, "authenticated")).toHaveLength(1);
    expect([...eventsBy(alice, "error"), ...eventsBy(bob, "error")]).toEqual([]);
  });

  test("a terminal says that the connection is lost, what is unsent, and that it is back", () => {
    expect(shown).toContain("what you write is kept and sent later");
    expect(shown).toContain("3 unsent");
    expect(shown).toContain("Connected again");
  });

  test("--timeout ends who waits for it to come back, with exit code 3", () => {
    expect(timedOut).toBe(3);
  });
});
