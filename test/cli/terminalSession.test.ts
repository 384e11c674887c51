import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join, resolve } from "node:path";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { isMessage, passwordOf, quit, World } from "../scenario/world.ts";
import { ModelledTerminal } from "./modelledTerminal.ts";

const executable = resolve(import.meta.dir, "../../dist/securechat");
const prompt = "Message (or 'quit'): ";
const hasTerminals = process.platform !== "win32" && typeof Bun.Terminal === "function";
if (!hasTerminals)
  console.error("SKIPPED: no pseudo-terminals here, the terminal client is not tested as a whole");

setDefaultTimeout(60_000);

describe.skipIf(!hasTerminals)("connect on a terminal", () => {
  let world: World;
  let port: number;
  let bob: ChildProcess;
  const open: ModelledTerminal[] = [];

  beforeAll(async () => {
    world = await World.create(["alice", "bob", "carol", "dora", "emil"]);
    ({ port } = await world.startServer());
    bob = await world.join("bob", port);
    for (const name of ["alice", "carol"])
      expect((await world.chat(name, port, ["--register"])).exitCode).toBe(0);
  });

  afterEach(async () => {
    for (const terminal of open.splice(0)) await terminal.dispose();
  });
  afterAll(() => world?.dispose());

  function start(
    name: string,
    args: readonly string[],
    options: { columns?: number; rows?: number; env?: Record<string, string>; shell?: boolean } = {},
  ): ModelledTerminal {
    const { columns = 80, rows = 24, env = passwordOf(name), shell = false } = options;
    const command = [executable, "connect", `localhost:${port}`, ...args];
    const terminal = new ModelledTerminal(shell ? ["sh", "-i"] : command, {
      columns,
      rows,
      folder: world.path(name),
      env: shell ? { ...env, PS1: "$ ", ENV: "" } : env,
    });
    if (shell) terminal.press(`${command.join(" ")}\r`);
    open.push(terminal);
    return terminal;
  }

  async function logIn(
    name: string,
    options: Parameters<typeof start>[2] & { args?: readonly string[] } = {},
  ) {
    const terminal = start(name, ["--as", name, "--login", ...(options.args ?? [])], options);
    await terminal.waitForInput(prompt.trimEnd());
    return terminal;
  }

  test.each([
    ["dora", 80, 24],
    ["emil", 200, 50],
  ])(
    "asks %s for everything, talks while words come in, and ends with a receipt (%d×%d)",
    async (name, columns, rows) => {
      const terminal = start(name, [], { columns, rows, env: {} });
      await terminal.waitForInput("Certificate path (default: certs/client_cert.pem):");
      terminal.press(`certs/${name}_cert.pem\r`);
      await terminal.waitForInput(`Key path (default: certs/${name}_key.pem):`);
      terminal.press("\r");
      await terminal.waitForInput("Register or Login? (r/l):");
      terminal.press("r\r");
      await terminal.waitForInput(`Email (default: ${name}@example.org):`);
      terminal.press("\r");
      await terminal.waitForInput(`Username (default: ${name}):`);
      terminal.press("\r");
      await terminal.waitForInput("Password:");
      terminal.press("password of somebody\r");
      await terminal.waitForRow(`✓ Registration successful: ${name}`);
      await terminal.waitForInput(prompt.trimEnd());

      // A command and a name are completed; words and a correction in the middle of them.
      terminal.press("/t\tbob\r");
      await terminal.waitForRow(`${name} to bob · connected`);
      terminal.press("你好 👨‍👩‍👧 e\u0301x");
      await terminal.waitForInput(`${prompt}你好 👨‍👩‍👧 e\u0301x`);
      terminal.press("\u007f\u001b[D\u001b[D!");
      const typed = `${prompt}你好 👨‍👩‍👧! e\u0301`;
      await terminal.waitFor(typed, (shown) => shown.includes(typed));
      const { cursor } = terminal.model;
      bob.type(`/to ${name}`);
      bob.type("words that come in meanwhile 🇩🇪");
      const shown = await terminal.waitForRow("[bob] seqno=1: words that come in meanwhile 🇩🇪  ");
      expect(shown.slice(-2)).toEqual([expect.stringContaining(`${name} to bob · connected`), typed]);
      expect(terminal.model.cursor.column).toBe(cursor.column);
      terminal.press("\r");
      await terminal.waitForRow(">>> [To bob] seqno=2: 你好 👨‍👩‍👧! e\u0301");
      await bob.waitForEvent("the message", isMessage("你好 👨‍👩‍👧! e\u0301"));

      terminal.press("quit\r");
      expect(await terminal.exited).toBe(0);
      expect(terminal.isRestored).toBe(true);
      const all = terminal.model.everything;
      expect(all).toContain("✓ Session receipt verified");
      expect(all.filter((row) => row.startsWith("Message") || row.includes(" · "))).toEqual([]);
      expect(all.at(-1)).toBe("Connection closed");
      expect(terminal.output).not.toContain("password of");
    },
  );

  test("says how far the other one has signed for what was said", async () => {
    const terminal = await logIn("alice", { args: ["--to", "bob"] });
    terminal.press("please sign\r");
    // What bob's client says to have received stands beside it, or not yet.
    const status = (signed: string) => (rows: readonly string[]) =>
      rows.some((row) =>
        new RegExp(`^alice to bob · connected( · delivered [^·]+)? · bob has signed for ${signed}$`).test(
          row,
        ),
      );
    await terminal.waitFor("that bob has not signed", status("\\d+ of \\d+ entries"));
    bob.type("/to alice");
    bob.type("I do by this");
    await terminal.waitFor("that bob has signed", status("everything"));
    terminal.press("\u0004");
    expect(await terminal.exited).toBe(0);
  });

  test.each([
    ["bracketed", "\u001b[200~first\nsecond\n\u001b[201~"],
    ["bare", "first\rsecond\r"],
  ])("makes one message of a %s paste, after Enter", async (_, pasted) => {
    const terminal = await logIn("alice", { args: ["--to", "bob"] });
    terminal.press(pasted);
    await terminal.waitFor("the hint", (rows) => rows.at(-1) === "Enter sends these 2 lines as one message");
    // Longer than a paste is taken to go on.
    await Bun.sleep(150);
    expect(terminal.model.everything.some((row) => row.startsWith(">>>"))).toBe(false);
    terminal.press("\r");
    const rows = await terminal.waitForRow("  | second");
    expect(rows.some((row) => /^>>> \[To bob\] seqno=\d+: first$/.test(row))).toBe(true);
    await bob.waitForEvent("one message", isMessage("first\nsecond"));
    terminal.press("quit\r");
    expect(await terminal.exited).toBe(0);
  });

  test("breaks what is typed anew at another size and keeps what stands above", async () => {
    const terminal = await logIn("alice", { args: ["--to", "bob"] });
    terminal.press("kept\r");
    // Not the line that it is typed in, which looks alike.
    await terminal.waitFor("the message", (rows) => rows.some((row) => /^>>> .*: kept$/.test(row)));
    const long = "word ".repeat(40).trim();
    terminal.press(long);
    await terminal.waitFor("the text", (rows) => rows.slice(-3).join("").endsWith("word word"));
    for (const [columns, rows, asked] of [
      [40, 20, "> "],
      [200, 50, prompt],
      [63, 12, prompt],
    ] as const) {
      terminal.resize(columns, rows);
      const input = `${asked}${long}`;
      const drawn: string[] = [];
      for (let at = 0; at < input.length; at += columns) drawn.push(input.slice(at, at + columns).trimEnd());
      const shown = await terminal.waitFor(`the text in ${columns} columns`, (all) =>
        drawn.every((row, i) => all.at(i - drawn.length) === row),
      );
      const above = shown.slice(0, -drawn.length - 1);
      expect(above.at(-1)).toEndWith(": kept");
      expect(shown.filter((row) => row.startsWith("alice to bob"))).toHaveLength(1);
    }
    terminal.press("\u0003\u0003");
    expect(await terminal.exited).toBe(130);
  });

  test("asks before Ctrl-C ends at once, and keeps what was typed", async () => {
    const terminal = await logIn("alice");
    terminal.press("half a line\u0003");
    await terminal.waitForRow("Ctrl-C again ends at once, without a receipt");
    terminal.press("\u001b[A");
    await terminal.waitForInput(`${prompt}half a line`);
    terminal.press("\u0003");
    await terminal.waitForRow("Ctrl-C again ends at once, without a receipt");
    terminal.press("\u0003");
    expect(await terminal.exited).toBe(130);
    expect(terminal.isRestored).toBe(true);
    expect(terminal.model.everything.slice(-2)).toEqual(["Connection closed", "securechat: interrupted"]);
  });

  test("puts the terminal back when it is told to end, at a question and in the chat", async () => {
    const asked = start("alice", ["--as", "alice"]);
    await asked.waitForInput("Register or Login? (r/l):");
    expect(asked.isRestored).toBe(false);
    asked.kill("SIGTERM");
    expect(await asked.exited).toBe(130);
    expect(asked.isRestored).toBe(true);
    const chatting = await logIn("alice");
    expect(chatting.isRestored).toBe(false);
    chatting.kill("SIGTERM");
    expect(await chatting.exited).toBe(130);
    expect(chatting.isRestored).toBe(true);
    expect(chatting.model.everything.some((row) => row.startsWith("Message"))).toBe(false);
  });

  test("gives the terminal to the shell at Ctrl-Z and takes it again", async () => {
    const terminal = start("alice", ["--as", "alice", "--login"], { shell: true });
    await terminal.waitForInput(prompt.trimEnd());
    terminal.press("a draft");
    await terminal.waitForInput(`${prompt}a draft`);
    terminal.press("\u001a");
    await terminal.waitFor("the shell", (rows) => rows.at(-1) === "$");
    expect(terminal.model.modes.size).toBe(0);
    terminal.press("echo from the shell\r");
    await terminal.waitForRow("from the shell");
    terminal.press("fg\r");
    await terminal.waitForInput(`${prompt}a draft`);
    const rows = terminal.model.everything;
    expect(
      rows.slice(rows.lastIndexOf("from the shell")).filter((row) => row.startsWith("Message")),
    ).toHaveLength(1);
    terminal.press("\u0003\u0003");
    await terminal.waitForRow("securechat: interrupted");
  });

  test("counts what came during a long absence and shows the last of it", async () => {
    const sender = await world.join("carol", port, { register: false, to: "alice" });
    for (let i = 1; i <= 150; i++) sender.type(`message ${i}`);
    await quit(sender);
    const terminal = await logIn("alice");
    const rows = await terminal.waitFor("the last message", (shown) =>
      shown.some((row) => row.includes(": message 150 ")),
    );
    expect(rows).toContain("* 110 earlier messages in the conversation with carol: /history shows them");
    expect(rows.filter((row) => row.startsWith("[carol] "))).toHaveLength(40);
    terminal.press("quit\r");
    expect(await terminal.exited).toBe(0);
  });

  test("writes no control sequence on a terminal that knows none, and works", async () => {
    const terminal = start("alice", ["--as", "alice", "--login", "--to", "bob"], {
      env: { ...passwordOf("alice"), TERM: "dumb" },
    });
    await terminal.waitForRow(prompt.trimEnd());
    terminal.press("from a dumb terminal\r");
    await bob.waitForEvent("the message", isMessage("from a dumb terminal"));
    terminal.press("quit\r");
    expect(await terminal.exited).toBe(0);
    expect(terminal.output).not.toContain("\u001b");
  });
});

describe.skipIf(!hasTerminals)("TerminalDevice", () => {
  test.each([
    ["an exception", "x"],
    ["a rejection", "r"],
  ])("puts the terminal back after %s that nobody has foreseen", async (what, key) => {
    const program = [process.execPath, join(import.meta.dir, "crashingDisplay.ts")];
    const terminal = new ModelledTerminal(program, { columns: 80, rows: 24, folder: import.meta.dir });
    await terminal.waitForRow("ready");
    expect(terminal.isRestored).toBe(false);
    terminal.press(key);
    expect(await terminal.exited).toBe(1);
    expect(terminal.output).toContain(what);
    expect(terminal.isRestored).toBe(true);
    await terminal.dispose();
  });
});
