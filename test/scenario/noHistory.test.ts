import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { TcpProxy } from "./tcpProxy.ts";
import { dumpVault, messagesOf, type Sought, search } from "./vaultSearch.ts";
import { isMessage, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const words = ["the first words of alice", "words that bob answers", "and the last ones of alice"] as const;
const people = ["alice", "bob"] as const;
const nothing = { keys: [], openings: [], words: [] };

/** A conversation of three messages that has ended. */
interface Ended {
  readonly captured: Buffer;
  readonly messages: readonly Sought[];
  /** alice's events. */
  readonly output: string;
  /** Index of each message. */
  readonly indexes: readonly number[];
}

/** @param duringTalk called after the first message, before the others */
async function converse(
  world: World,
  args: readonly string[],
  duringTalk: () => void = () => {},
): Promise<Ended> {
  const { server, port } = await world.startServer();
  const proxy = new TcpProxy(port);
  try {
    const bob = await world.join("bob", proxy.port, { args });
    const alice = await world.join("alice", proxy.port, { to: "bob", args });
    const say = async (from: ChildProcess, to: ChildProcess, text: string) => {
      from.type(text);
      await Promise.all([
        to.waitForEvent(text, isMessage(text)),
        from.waitForEvent("it was sent", ({ event, text: sent }) => event === "sent" && sent === text),
      ]);
    };
    await say(alice, bob, words[0]);
    duringTalk();
    bob.type("/to alice");
    await say(bob, alice, words[1]);
    await say(alice, bob, words[2]);
    alice.type("/disclose all");
    await alice.waitForEvent(
      "an answer to /disclose",
      ({ event }) => event === "disclosed" || event === "error",
    );
    const { folder } = await quit(alice);
    await quit(bob);
    server.stop();
    await server.exited;
    const messages = messagesOf(join(world.path("alice", folder), "transcript.jsonl"), words);
    return {
      captured: proxy.captured,
      messages,
      output: alice.output,
      indexes: messages.map(({ index }) => index),
    };
  } finally {
    proxy.stop();
  }
}

function vaultOf(world: World, name: string): { vault: string; key: string } {
  return {
    vault: world.path(name, "certs", `${name}_vault.db`),
    key: world.path(name, "certs", `${name}_key.pem`),
  };
}

async function searchVault(world: World, name: string, messages: readonly Sought[]) {
  const { vault, key } = vaultOf(world, name);
  return search(await dumpVault(vault, key), messages, "secrets");
}

describe("after a conversation with --no-history", () => {
  let world: World;
  let ended: Ended;
  beforeAll(async () => {
    world = await World.create();
    ended = await converse(world, ["--no-history"]);
  });
  afterAll(() => world?.dispose());

  test("there are three messages to be opened", () => {
    expect(ended.indexes).toHaveLength(3);
  });

  test.each(people)(
    "nothing in the vault of %s opens a message, or holds its opening or words",
    async (name) => {
      expect(await searchVault(world, name, ended.messages)).toEqual(nothing);
    },
  );

  test("nothing in the captured traffic is the key of a message", () => {
    expect(ended.captured.length).toBeGreaterThan(10_000);
    expect(search([ended.captured], ended.messages, "keys")).toEqual(nothing);
  });

  test("nothing that the server keeps is the key of a message", () => {
    const files = readdirSync(world.path("server")).filter((name) => name.startsWith("securechat.db"));
    const stored = files.map((name) => readFileSync(world.path("server", name)));
    expect(Buffer.concat(stored).length).toBeGreaterThan(10_000);
    expect(search(stored, ended.messages, "keys")).toEqual(nothing);
  });

  test.each(people)("the words stand in no file of %s, and no write-ahead log is left", (name) => {
    const { vault } = vaultOf(world, name);
    expect(existsSync(`${vault}-wal`)).toBe(false);
    const files = [...new Bun.Glob("**/*").scanSync(world.path(name))];
    expect(files.length).toBeGreaterThan(5);
    for (const file of files)
      for (const text of words) expect(readFileSync(world.path(name, file)).includes(text)).toBe(false);
  });

  test("/disclose is refused with NO_HISTORY, and no disclosure is written", () => {
    expect(ended.output).toContain('"code":"NO_HISTORY"');
    const files = [...new Bun.Glob("**/disclosure.json").scanSync(world.path("alice"))];
    expect(files).toEqual([]);
  });

  test("the evidence is valid all the same", async () => {
    const [folder = ""] = readdirSync(world.path("bob/transcripts"));
    const done = await world.run("bob", ["verify", join("transcripts", folder)]);
    expect(done.stdout).toContain("Verdict: VALID");
    expect(done.exitCode).toBe(0);
  });
});

describe("the same search, where something is to be found", () => {
  let world: World;
  let ended: Ended;
  /** alice's vault after her first message, while her client was running. */
  let earlier: string;
  beforeAll(async () => {
    world = await World.create();
    const { vault } = vaultOf(world, "alice");
    earlier = world.path("earlier.db");
    ended = await converse(world, [], () => {
      for (const suffix of ["", "-wal"]) copyFileSync(`${vault}${suffix}`, `${earlier}${suffix}`);
    });
  });
  afterAll(() => world?.dispose());

  test.each(people)("finds openings and words in the vault of %s, but no key", async (name) => {
    const found = await searchVault(world, name, ended.messages);
    expect(found).toEqual({ keys: [], openings: ended.indexes, words: ended.indexes });
  });

  test("finds the keys of later messages in a vault that was stolen before them", async () => {
    const stolen = await dumpVault(earlier, vaultOf(world, "alice").key);
    const [first = -1, ...later] = ended.indexes;
    expect(search(stolen, ended.messages, "secrets")).toEqual({
      keys: later,
      openings: [first],
      words: [first],
    });
  });

  test("/disclose answers with the indexes of all messages", () => {
    expect(ended.output).toContain(`"indexes":${JSON.stringify(ended.indexes)}`);
  });
});
