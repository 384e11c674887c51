import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { ModelledTerminal } from "../cli/modelledTerminal.ts";
import { executable, isMessage, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const prompt = "Message (or 'quit'): ";
const password = "correct horse battery";
const long =
  "a line that is longer than a narrow terminal is wide, so that it is broken on it and has to be put together again";

/** The original's interactive test, test_interactive_chat_system.py: the way of a new user, key by key. */
describe.each([
  { columns: 80, rows: 24 },
  { columns: 200, rows: 50 },
])("a new user before $columns x $rows", ({ columns, rows }) => {
  let world: World;
  let port: number;
  let terminal: ModelledTerminal;
  const opened: ModelledTerminal[] = [];

  beforeAll(async () => {
    world = await World.create();
    ({ port } = await world.startServer());
  });
  afterAll(async () => {
    for (const one of opened) await one.dispose();
    await world?.dispose();
  });

  function start(...args: readonly string[]): void {
    terminal = new ModelledTerminal([executable, "connect", `localhost:${port}`, ...args], {
      ...{ columns, rows, folder: world.path("alice") },
    });
    opened.push(terminal);
  }

  /** Waits for a question and answers it. */
  async function answer(question: string, keys: string): Promise<void> {
    await terminal.waitFor(
      question,
      () => terminal.model.screen.at(-1)?.startsWith(question.trimEnd()) === true,
    );
    terminal.press(`${keys}\r`);
  }

  /** The line may be broken anywhere, and blanks at the ends of rows can't be seen. */
  const showsLong = () =>
    terminal.model.screen.join("").replaceAll(" ", "").includes(long.replaceAll(" ", ""));

  /** No row is wider than the screen, and what was typed as a password is nowhere. */
  function expectTidy(): void {
    for (const row of terminal.model.screen) expect(Bun.stringWidth(row)).toBeLessThanOrEqual(columns);
    expect(terminal.model.screen.length).toBeLessThanOrEqual(rows);
    expect(terminal.output).not.toContain(password);
    expect(terminal.output).not.toContain("a wrong one");
  }

  test("registers with a bad password first, then with a good one", async () => {
    expect((await world.chat("bob", port, ["--register"])).exitCode).toBe(0);
    start("--to", "bob");
    await answer("Certificate path (default: certs/client_cert.pem): ", "certs/alice_cert.pem");
    await answer("Key path (default: certs/alice_key.pem): ", "");
    for (const step of [
      "[1] Connect to server... ✓",
      "[2] Validate server certificate... ✓",
      "[3] Key exchange... ✓",
    ])
      await terminal.waitForRow(step);
    await answer("Register or Login? (r/l): ", "r");
    await answer("Email", "");
    await answer("Username", "");
    await answer("Password: ", "short");
    await terminal.waitFor("the refusal", (shown) => shown.join("").includes("at least 8 characters"));
    expect(await terminal.exited).toBe(1);
    expectTidy();

    start("--as", "alice", "--to", "bob", "--register");
    await answer("Password: ", password);
    await terminal.waitForRow("✓ Registration successful: alice");
    await terminal.waitForRow("✓ Session key established");
    await terminal.waitForInput(prompt.trimEnd());
    expectTidy();
  });

  test("writes and reads, also a line that is wider than the terminal, before and after a new size", async () => {
    const bob = await world.join("bob", port, { register: false, to: "alice" });
    terminal.press("hello bob\r");
    await terminal.waitForRow(">>> [To bob] seqno=");
    await bob.waitForEvent("what alice said", isMessage("hello bob"));
    bob.type("hello alice");
    await terminal.waitFor("the answer", (shown) =>
      shown.some((row) => /^\[bob\] seqno=\d+: hello alice/.test(row)),
    );
    terminal.press(long);
    await terminal.waitFor("all that was typed", () => showsLong());
    expectTidy();
    for (const size of [
      { columns: 40, rows: 12 },
      { columns, rows },
    ]) {
      terminal.resize(size.columns, size.rows);
      await terminal.waitFor(`the line at ${size.columns}`, () => showsLong());
      for (const row of terminal.model.screen) expect(Bun.stringWidth(row)).toBeLessThanOrEqual(size.columns);
    }
    terminal.press("\r");
    await bob.waitForEvent("the long line", isMessage(long));
    bob.type("bye");
    await terminal.waitFor("the last words", (shown) =>
      shown.some((row) => /^\[bob\] seqno=\d+: bye/.test(row)),
    );
    await quit(bob);
  });

  test("quits with a receipt and a terminal as it was", async () => {
    terminal.press("quit\r");
    expect(await terminal.exited).toBe(0);
    for (const row of ["✓ Session receipt verified", "Connection closed"]) await terminal.waitForRow(row);
    expect(terminal.isRestored).toBe(true);
    expectTidy();
  });

  test("logs in with a bad password, which is refused, and with the good one, and finds what was said", async () => {
    start("--as", "alice", "--to", "bob", "--login");
    await answer("Password: ", "a wrong one");
    await terminal.waitFor("the refusal", (shown) => shown.join("").includes("AUTHENTICATION_FAILED"));
    expect(await terminal.exited).toBe(1);
    expect(terminal.isRestored).toBe(true);

    start("--as", "alice", "--to", "bob");
    await answer("Register or Login? (r/l): ", "l");
    await answer("Email", "");
    await answer("Password: ", password);
    await terminal.waitForRow("✓ Login successful: alice");
    await terminal.waitForInput(prompt.trimEnd());
    terminal.press("/history\r");
    await terminal.waitFor("what was said", (shown) => shown.some((row) => row.includes("hello alice")));
    terminal.press("quit\r");
    expect(await terminal.exited).toBe(0);
    expectTidy();
  });
});
