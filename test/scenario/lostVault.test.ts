import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { eventsOf, isMessage, type JsonEvent, passwordOf, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

let world: World;
let port: number;
beforeAll(async () => {
  world = await World.create(["alice", "bob", "carol", "dan", "erin", "frank", "grace", "heidi", "ivan"]);
  ({ port } = await world.startServer());
});
afterAll(() => world?.dispose());

const vaultOf = (name: string) => world.path(name, "certs", `${name}_vault.db`);

function warnings(client: ChildProcess): unknown[] {
  return eventsOf(client.output).flatMap(({ event, code }) => (event === "warning" ? [code] : []));
}

const isRejoin = (name: string) => (event: JsonEvent) =>
  event.event === "membership" && event.action === "rejoin" && event.by === name;

/** Each says something that the other one reads. */
async function exchange(
  [one, other]: readonly [ChildProcess, ChildProcess],
  [words, answer]: readonly [string, string],
): Promise<void> {
  one.type(words);
  await other.waitForEvent(words, isMessage(words));
  other.type(answer);
  await one.waitForEvent(answer, isMessage(answer));
}

/** Two people who have talked and gone. */
async function acquainted(one: string, other: string): Promise<void> {
  const listener = await world.join(other, port);
  const speaker = await world.join(one, port, { to: other });
  speaker.type("before");
  await listener.waitForEvent("before", isMessage("before"));
  await quit(speaker);
  await quit(listener);
}

/** Both quit, first who did not have the last word; their evidence has to be the same, and valid, with receipts over all of it. */
async function endInAgreement(
  clients: readonly (readonly [name: string, client: ChildProcess])[],
): Promise<string[]> {
  const folders: string[] = [];
  for (const [name, client] of clients) folders.push(world.path(name, (await quit(client)).folder));
  const [one, other] = folders.map((folder) => readFileSync(join(folder, "transcript.jsonl"), "utf8"));
  expect(one).toBe(other ?? "");
  for (const folder of folders) {
    const done = await world.run("org", ["verify", folder, "--json"]);
    expect([done.exitCode, JSON.parse(done.stdout).verdict]).toEqual([0, "valid"]);
  }
  expect((await world.run("org", ["verify", ...folders])).exitCode).toBe(0);
  return folders;
}

describe("a vault that was deleted", () => {
  test("makes its owner a new device, of which the other one is told, and both talk on", async () => {
    await acquainted("alice", "bob");
    rmSync(vaultOf("bob"));
    const alice = await world.join("alice", port, { register: false, to: "bob" });
    const bob = await world.join("bob", port, { register: false, to: "alice" });
    await alice.waitForEvent("bob's return", isRejoin("bob"));
    expect(warnings(alice)).toEqual(["NEW_DEVICE"]);
    await exchange([alice, bob], ["after", "an answer"]);
    // What it can't read is said, and counts as nobody's fault.
    expect(warnings(bob)).toEqual(["UNREADABLE"]);
    bob.type("/history");
    const history = await bob.waitForEvent("history", ({ event }) => event === "history");
    expect((history.messages as JsonEvent[]).map(({ text }) => text)).toEqual([
      undefined,
      "after",
      "an answer",
    ]);
    const [, folder = ""] = await endInAgreement([
      ["alice", alice],
      ["bob", bob],
    ]);
    const entries = readFileSync(join(folder, "transcript.jsonl"), "utf8").trimEnd().split("\n");
    expect(entries.map((line) => JSON.parse(line).kind).filter((kind) => kind !== "acknowledge")).toEqual([
      ...["create", "message", "membership", "message", "message"],
    ]);
    expect(entries.join()).not.toContain('disputed\\":[1');
    // The evidence of the lost vault stays beside the new one.
    expect(readdirSync(world.path("bob", "transcripts"))).toHaveLength(2);
  });

  test("on both sides makes two new devices, and both talk on", async () => {
    await acquainted("carol", "dan");
    for (const name of ["carol", "dan"]) rmSync(vaultOf(name));
    const carol = await world.join("carol", port, { register: false, to: "dan" });
    const dan = await world.join("dan", port, { register: false, to: "carol" });
    await carol.waitForEvent("dan's return", isRejoin("dan"));
    await exchange([carol, dan], ["after", "an answer"]);
    for (const client of [carol, dan]) expect(warnings(client)).toContain("UNREADABLE");
    await endInAgreement([
      ["carol", carol],
      ["dan", dan],
    ]);
  });

  test("is announced on the other one's terminal", async () => {
    await acquainted("erin", "frank");
    rmSync(vaultOf("frank"));
    const args = ["connect", `localhost:${port}`, "--as", "erin", "--login", "--to", "frank"];
    const erin = world.startOnTerminal("erin", args, passwordOf("erin"));
    await erin.waitFor("Message (or 'quit'):");
    const frank = await world.join("frank", port, { register: false, to: "erin" });
    await erin.waitFor("frank <frank@example.org> has a new device under the certificate");
    await erin.waitFor("* frank: rejoin (erin, frank)");
    frank.type("it is me");
    await erin.waitFor("[frank] seqno=");
    erin.type("quit");
    expect(await erin.exited).toBe(0);
    await quit(frank);
  });
});

test("a vault that was restored from an older copy goes on without using a seqno twice", async () => {
  await acquainted("grace", "heidi");
  copyFileSync(vaultOf("grace"), `${vaultOf("grace")}.old`);
  const first = await world.join("grace", port, { register: false, to: "heidi" });
  const heidi = await world.join("heidi", port, { register: false, to: "grace" });
  await exchange([first, heidi], ["forgotten", "an answer"]);
  await quit(first);
  copyFileSync(`${vaultOf("grace")}.old`, vaultOf("grace"));
  const grace = await world.join("grace", port, { register: false, to: "heidi" });
  await exchange([grace, heidi], ["after", "another answer"]);
  const [folder = ""] = await endInAgreement([
    ["grace", grace],
    ["heidi", heidi],
  ]);
  const seqnos = readFileSync(join(folder, "transcript.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .map(({ sender, seqno }) => `${sender} ${seqno}`);
  expect(new Set(seqnos).size).toBe(seqnos.length);
});

test("a vault that is damaged in the middle is refused with what to do, and nothing is deleted", async () => {
  expect((await world.chat("ivan", port, ["--register"])).exitCode).toBe(0);
  const file = vaultOf("ivan");
  const whole = readFileSync(file);
  const bytes = Buffer.from(whole);
  for (let at = 100; at < bytes.length; at += 512) bytes.fill(0xa5, at, at + 64);
  writeFileSync(file, bytes);
  const { exitCode, stderr, stdout } = await world.chat("ivan", port, ["--login"]);
  expect([exitCode, stdout]).toEqual([2, ""]);
  expect(stderr).toContain("certs/ivan_vault.db");
  expect(stderr).toContain("move it away and log in again: that makes this a new device");
  expect(stderr).toContain("(VAULT_UNUSABLE)");
  expect(readFileSync(file).equals(bytes)).toBe(true);
  writeFileSync(file, whole);
  expect((await world.chat("ivan", port, ["--login"])).exitCode).toBe(0);
});
