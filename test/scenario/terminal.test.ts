import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import type { TerminalProcess } from "./terminalProcess.ts";
import { isMessage, passwordOf, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const password = "grün & geheim 42";
const selectGraphics = /\u001b\[[0-9;:]*m/;

/** What stays of the bytes for a terminal when cursor and colours are left out. */
function textOf({ shown }: TerminalProcess): string {
  return shown.replace(
    /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_=>])/g,
    "",
  );
}

async function waitForAll(terminal: TerminalProcess, parts: readonly string[]): Promise<void> {
  let from = 0;
  for (const part of parts) from = await terminal.waitFor(part, from);
}

describe("connect on a terminal", () => {
  let world: World;
  let port: number;
  beforeAll(async () => {
    world = await World.create(["alice", "bob", "carol", "dan", "erin"]);
    ({ port } = await world.startServer());
    for (const name of ["bob", "erin"])
      expect((await world.chat(name, port, ["--register"])).exitCode).toBe(0);
  });
  afterAll(() => world?.dispose());

  test("asks for what it was not told, talks both ways and ends with a receipt", async () => {
    const bob = await world.join("bob", port, { register: false });
    const terminal = world.startOnTerminal("alice", ["connect", `localhost:${port}`, "--to", "bob"]);
    await terminal.waitFor("Certificate path (default: certs/client_cert.pem): ");
    terminal.type("certs/alice_cert.pem");
    await terminal.waitFor("Key path (default: certs/alice_key.pem): ");
    terminal.type("");
    await waitForAll(terminal, [
      "[1] Connect to server... ✓",
      "[2] Validate server certificate... ✓",
      "[3] Key exchange... ✓",
      "Register or Login? (r/l): ",
    ]);
    terminal.type("r");
    await terminal.waitFor("Email");
    await terminal.waitFor("alice@example.org");
    terminal.type("");
    await terminal.waitFor("Username");
    terminal.type("");
    await terminal.waitFor("Password: ");
    terminal.type(password);
    await waitForAll(terminal, [
      "✓ Registration successful: alice",
      "✓ Session key established",
      "Message (or 'quit'): ",
    ]);

    terminal.type("typed on a terminal");
    await terminal.waitFor(">>> [To bob] seqno=2: typed on a terminal");
    await bob.waitForEvent("alice's message", isMessage("typed on a terminal"));
    bob.type("/to alice");
    bob.type("and answered");
    await terminal.waitFor("[bob] seqno=1: and answered");
    await bob.waitForEvent("that it was sent", ({ event }) => event === "sent");
    terminal.type("quit");
    expect(await terminal.exited).toBe(0);
    await quit(bob);

    const text = textOf(terminal);
    expect(text).toMatch(/\[bob\] seqno=1: and answered {2}[0-2][0-9]:[0-5][0-9] bob@example\.org/);
    await waitForAll(terminal, ["✓ Session receipt verified", "transcripts/bob-", "Connection closed"]);
    expect(text).not.toContain(password);
    expect(text).not.toContain("geheim");
    expect(terminal.shown).toMatch(selectGraphics);
  });

  test("takes what was typed at the password prompt for the password, corrections included", async () => {
    const first = world.startOnTerminal("carol", [
      "connect",
      `localhost:${port}`,
      "--as",
      "carol",
      "--register",
    ]);
    await first.waitFor("Password: ");
    first.type(password);
    await first.waitFor("✓ Registration successful: carol");
    await first.waitFor("Message (or 'quit'): ");
    first.type("quit");
    expect(await first.exited).toBe(0);

    const second = world.startOnTerminal("carol", ["connect", `localhost:${port}`, "--as", "carol"]);
    await second.waitFor("Register or Login? (r/l): ");
    second.type("l");
    await second.waitFor("Email");
    second.type("");
    await second.waitFor("Password: ");
    second.press("all wrong\u0015"); // Ctrl-U
    second.press(`${password}ß\u007f`); // backspace
    second.type("");
    await second.waitFor("✓ Login successful: carol");
    await second.waitFor("Message (or 'quit'): ");
    second.type("quit");
    expect(await second.exited).toBe(0);
    expect(textOf(second)).not.toContain("geheim");
    expect(textOf(second)).not.toContain("wrong");
  });

  test("shows no colour with NO_COLOR, and no control characters of others", async () => {
    const env = { NO_COLOR: "1", ...passwordOf("dan") };
    const dan = world.startOnTerminal(
      "dan",
      ["connect", `localhost:${port}`, "--as", "dan", "--register"],
      env,
    );
    await dan.waitFor("Message (or 'quit'): ");
    const other = await world.join("bob", port, { register: false, to: "dan" });
    other.type("a title \u001b]0;owned\u0007 and \u001b[31mred\u001b[2J");
    await dan.waitFor("[bob] seqno=2: a title \\u{1b}]0;owned\\u{7} and \\u{1b}[31mred\\u{1b}[2J");
    await other.waitForEvent("that it was sent", ({ event }) => event === "sent");
    dan.type("quit");
    expect(await dan.exited).toBe(0);
    await quit(other);
    expect(dan.shown).not.toMatch(selectGraphics);
    expect(dan.shown).not.toContain("\u001b]0;owned");
  });

  test("ends with exit code 130 at Ctrl-C, at the password prompt as in the chat", async () => {
    const args = ["connect", `localhost:${port}`, "--as", "erin", "--login"];
    const asking = world.startOnTerminal("erin", args);
    await asking.waitFor("Password: ");
    asking.press("\u0003");
    expect(await asking.exited).toBe(130);

    const chatting = world.startOnTerminal("erin", args, passwordOf("erin"));
    await chatting.waitFor("Message (or 'quit'): ");
    chatting.press("half a line\u0003");
    await chatting.waitFor("Ctrl-C again ends at once");
    chatting.press("\u0003");
    expect(await chatting.exited).toBe(130);
  });

  test("does nothing at an answer that is neither r nor l", async () => {
    const terminal = world.startOnTerminal("erin", ["connect", `localhost:${port}`, "--as", "erin"]);
    await terminal.waitFor("Register or Login? (r/l): ");
    terminal.type("maybe");
    await terminal.waitFor('nswer "r" to register or "l" to log in');
    terminal.press("\u0003");
    expect(await terminal.exited).not.toBe(0);
    expect(terminal.shown).not.toContain("successful");
  });
});

describe("connect on a terminal whose server does not wait for answers", () => {
  let world: World;
  let server: ChildProcess;
  let port: number;
  let ended = 0;
  beforeAll(async () => {
    world = await World.create(["alice"]);
    ({ server, port } = await world.startServer(["--login-timeout", "1"]));
  });
  afterAll(() => world?.dispose());

  /** Thinks for longer than the server waits. */
  async function think(): Promise<void> {
    ended += 1;
    let left = ended;
    await server.waitFor(`time-out ${ended}`, (line) =>
      line.endsWith("Client disconnected: the client took too long") && --left === 0 ? true : undefined,
    );
  }

  test("registers with answers that took their time", async () => {
    const terminal = world.startOnTerminal("alice", ["connect", `localhost:${port}`, "--as", "alice"]);
    await terminal.waitFor("Register or Login? (r/l): ");
    terminal.type("r");
    await terminal.waitFor("Email");
    await think();
    terminal.type("");
    await terminal.waitFor("Username");
    terminal.type("");
    await terminal.waitFor("Password: ");
    terminal.type(password);
    await terminal.waitFor("✓ Registration successful: alice");
    await terminal.waitFor("Message (or 'quit'): ");
    terminal.type("quit");
    expect(await terminal.exited).toBe(0);
    expect(textOf(terminal)).not.toContain("Connection lost");
    expect(textOf(terminal).match(/\[1\] Connect to server/g)).toHaveLength(1);
  });

  test("takes a password of one's own that took its time", async () => {
    const once = (await world.succeed("server", ["serve", "users", "reset", "alice"])).stdout.trim();
    const args = ["connect", `localhost:${port}`, "--as", "alice", "--login"];
    const terminal = world.startOnTerminal("alice", args, { SECURECHAT_PASSWORD: once });
    await terminal.waitFor("New password: ");
    await think();
    terminal.type("chosen at leisure");
    await terminal.waitFor("New password (again): ");
    terminal.type("chosen at leisure");
    await terminal.waitFor("✓ Login successful: alice");
    await terminal.waitFor("Message (or 'quit'): ");
    terminal.type("quit");
    expect(await terminal.exited).toBe(0);
  });
});

describe("ca init --encrypt on a terminal", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create(["safe", "typo"]);
  });
  afterAll(() => world?.dispose());

  async function init(folder: string, second: string): Promise<TerminalProcess> {
    const files = ["--cert", "own/ca_cert.pem", "--key", "own/ca_key.pem"];
    const terminal = world.startOnTerminal(folder, ["ca", "init", "--encrypt", ...files]);
    await terminal.waitFor("passphrase");
    await terminal.waitFor(": ");
    terminal.type("open sesame");
    await terminal.waitFor("(again): ");
    terminal.type(second);
    return terminal;
  }

  test("asks twice for the passphrase without showing it", async () => {
    const terminal = await init("safe", "open sesame");
    expect(await terminal.exited).toBe(0);
    expect(terminal.shown).not.toContain("sesame");
    expect(readFileSync(world.path("safe/own/ca_key.pem"), "utf8")).toContain("ENCRYPTED PRIVATE KEY");
  });

  test("does nothing when the two differ, exit code 2", async () => {
    const terminal = await init("typo", "open sesam");
    expect(await terminal.exited).toBe(2);
    expect(existsSync(world.path("typo/own"))).toBe(false);
  });
});
