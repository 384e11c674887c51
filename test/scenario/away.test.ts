import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Finished } from "../../src/cli/childProcess.ts";
import { eventsOf, patienceMs, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const toBob = ["the first while bob is away", "the second, with /slash and ümläut", "the third"];
const toAlice = "an answer to somebody who is away";

function linesOf(done: Finished): string[] {
  return done.stdout.split("\n").filter((line) => line !== "");
}

describe("alice and bob are never there at the same time", () => {
  let world: World;
  const done: Record<string, Finished> = {};
  let restarts = 0;

  /** Runs one step against a server of its own, on the database that the one before left. */
  async function withServer(step: (port: number) => Promise<Finished>): Promise<Finished> {
    const { server, port } = await world.startServer();
    const finished = await step(port);
    server.stop();
    expect(await server.exited).toBe(0);
    restarts += 1;
    return finished;
  }

  beforeAll(async () => {
    world = await World.create();
    const steps: [string, (port: number) => Promise<Finished>][] = [
      ["bob registers", (port) => world.chat("bob", port, ["--register"])],
      [
        "alice writes",
        (port) =>
          world.chat("alice", port, ["--register", "--to", "bob"], { input: `${toBob.join("\n")}\n` }),
      ],
      [
        "bob answers",
        (port) => world.chat("bob", port, ["--wait-for", "3"], { input: `/to alice\n${toAlice}\n` }),
      ],
      ["alice reads", (port) => world.chat("alice", port, ["--login", "--wait-for", "1"])],
      ["bob looks", (port) => world.chat("bob", port, [])],
      ["alice looks", (port) => world.chat("alice", port, [])],
    ];
    for (const [name, step] of steps) done[name] = await withServer(step);
  });

  afterAll(() => world?.dispose());

  function step(name: string): Finished {
    const finished = done[name];
    if (finished === undefined) throw new Error(`no step "${name}"`);
    return finished;
  }

  test("every step ends with exit code 0, and the server was another process each time", () => {
    expect(Object.values(done).map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(restarts).toBe(6);
  });

  test("who writes gets a line for each message, and a countersigned receipt", () => {
    const { stderr } = step("alice writes");
    expect(linesOf(step("alice writes"))).toEqual(
      toBob.map((text, index) => `>>> [To bob] seqno=${index + 2}: ${text}`),
    );
    for (const line of [
      "[1] Connect to server... ✓",
      "[2] Validate server certificate... ✓",
      "[3] Key exchange... ✓",
      "✓ Registration successful: alice",
      "✓ Session key established",
      "✓ Session receipt verified",
      "Connection closed",
    ])
      expect(stderr.split("\n")).toContain(line);
    expect(stderr).toMatch(
      /^ {2}Evidence: transcripts\/bob-[0-9a-f]{8} \(4 entries; signed by [^\n]*localhost/m,
    );
  });

  test("who was away reads everything, in order, and answers", () => {
    const lines = linesOf(step("bob answers"));
    expect(lines).toHaveLength(4);
    for (const [index, text] of toBob.entries())
      expect(lines[index]).toMatch(
        new RegExp(`^\\[alice\\] seqno=${index + 2}: ${text} {2}[0-2][0-9]:[0-5][0-9] alice@example\\.org$`),
      );
    expect(lines[3]).toBe(`>>> [To alice] seqno=1: ${toAlice}`);
    expect(step("bob answers").stderr).toContain("✓ Login successful: bob\n");
    expect(linesOf(step("alice reads"))).toEqual([expect.stringContaining(`[bob] seqno=1: ${toAlice}  `)]);
  });

  test("nothing is shown a second time", () => {
    expect(linesOf(step("bob looks"))).toEqual([]);
    expect(linesOf(step("alice looks"))).toEqual([]);
  });

  test("there is no colour where standard output is no terminal", () => {
    for (const { stdout, stderr } of Object.values(done)) expect(stdout + stderr).not.toContain("\u001b");
  });

  test("in the end both transcripts are the same file, and both folders are valid", async () => {
    const folders = ["alice", "bob"].map((name) => {
      const [folder = "", ...others] = readdirSync(world.path(name, "transcripts"));
      expect(others).toEqual([]);
      return world.path(name, "transcripts", folder);
    });
    const compared = await world.runProgram(world.root, [
      "cmp",
      ...folders.map((folder) => `${folder}/transcript.jsonl`),
    ]);
    expect(compared).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    expect(readFileSync(`${folders[0]}/transcript.jsonl`, "utf8")).toContain('"kind":"acknowledge"');
    for (const folder of folders) {
      const verified = await world.run("org", ["verify", folder, "--json"]);
      expect([JSON.parse(verified.stdout).verdict, verified.exitCode]).toEqual(["valid", 0]);
    }
  });
});

describe("connect without a terminal", () => {
  let world: World;
  let port: number;
  beforeAll(async () => {
    world = await World.create(["alice", "bob", "carol"]);
    ({ port } = await world.startServer());
    for (const name of ["alice", "bob"])
      expect((await world.chat(name, port, ["--register"])).exitCode).toBe(0);
  });
  afterAll(() => world?.dispose());

  const sentTexts = (done: Finished) =>
    eventsOf(done.stdout)
      .filter(({ event }) => event === "sent")
      .map(({ text }) => text);

  test("takes a line with // for text with one slash, and one with / for a command", async () => {
    const input = "//not a command\n///two\n/members\n/nonsense\nlast line without its end";
    const done = await world.chat("alice", port, ["--to", "bob", "--json"], { input });
    expect(sentTexts(done)).toEqual(["/not a command", "//two", "last line without its end"]);
    const others = eventsOf(done.stdout).filter(({ event }) => event === "members" || event === "error");
    expect(others).toMatchObject([
      { event: "members", members: [{ username: "alice" }, { username: "bob" }] },
      { event: "error", message: expect.stringContaining("/nonsense") },
    ]);
    expect(done.stderr).toBe("");
  });

  test("takes every line for text with --raw", async () => {
    const input = "quit\n/quit\n//double\n/members\n";
    const done = await world.chat("alice", port, ["--to", "bob", "--json", "--raw"], { input });
    expect(sentTexts(done)).toEqual(["quit", "/quit", "//double", "/members"]);
    expect(done.exitCode).toBe(0);
  });

  test("ends at quit, whatever follows", async () => {
    const done = await world.chat("alice", port, ["--to", "bob", "--json"], {
      input: "before\nquit\nafter\n",
    });
    expect(sentTexts(done)).toEqual(["before"]);
    expect(done.exitCode).toBe(0);
  });

  test("prints one event a line with --json and nothing else, closed as the last", async () => {
    const done = await world.chat("alice", port, ["--to", "bob", "--json"], { input: "hello\n" });
    const events = eventsOf(done.stdout).map(({ event }) => event);
    expect(events.slice(0, 5)).toEqual(["progress", "progress", "progress", "connected", "authenticated"]);
    expect(events.slice(-3)).toEqual(["sent", "receipt", "closed"]);
    expect(done.stderr).toBe("");
  });

  test("ends with exit code 3 when --timeout is over before --wait-for", async () => {
    const done = await world.chat("alice", port, ["--to", "bob", "--wait-for", "1", "--timeout", "1"]);
    expect(done.stderr).toContain("securechat: not done after 1 s (--timeout)\n");
    expect(done.exitCode).toBe(3);
  });

  test("ends with exit code 1 when a line has nobody to go to", async () => {
    const done = await world.chat("alice", port, ["--json"], { input: "for whom?\n" });
    expect(eventsOf(done.stdout)).toContainEqual(
      expect.objectContaining({ event: "error", code: "NO_RECIPIENT" }),
    );
    expect(done.exitCode).toBe(1);
  });

  test("reads the password from a file", async () => {
    writeFileSync(world.path("alice/password.txt"), "password of alice\n", { mode: 0o600 });
    const env = { SECURECHAT_PASSWORD: "" };
    const done = await world.chat("alice", port, ["--password-file", "password.txt"], { env });
    expect(done.stderr).toContain("✓ Login successful: alice");
    expect(done.exitCode).toBe(0);
  });

  describe("refuses", () => {
    const loginRefused =
      "securechat: the server refused: no account with this email and password (AUTHENTICATION_FAILED)\n";

    test("a wrong password, exit code 1, without saying which of the two was wrong", async () => {
      const env = { SECURECHAT_PASSWORD: "not alice's password" };
      const done = await world.chat("alice", port, ["--login"], { env });
      expect(done.stderr).toEndWith(loginRefused);
      expect(done.exitCode).toBe(1);
    });

    test("a login without an account, exit code 1", async () => {
      const done = await world.chat("carol", port, ["--login"]);
      expect(done.stderr).toEndWith(loginRefused);
      expect(done.exitCode).toBe(1);
    });

    test("a recipient that nobody is called, exit code 1", async () => {
      const done = await world.chat("alice", port, ["--to", "nobody"], { input: "hello?\n" });
      expect(done.stderr).toMatch(/securechat: [^\n]*nobody[^\n]*\(NO_SUCH_PERSON\)\n/);
      expect(done.exitCode).toBe(1);
    });

    test("to register twice, exit code 1", async () => {
      const done = await world.chat("alice", port, ["--register"]);
      expect(done.stderr).toMatch(/^securechat: [^\n]+\([A-Z_]+\)$/m);
      expect(done.exitCode).toBe(1);
    });

    test("a server that is not there, exit code 4", async () => {
      const closed = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
      closed.stop(true);
      const done = await world.chat("alice", closed.port, []);
      expect(done.stderr).toMatch(/securechat: [^\n]*\(CONNECT_FAILED\)\n/);
      expect(done.exitCode).toBe(4);
    });

    test("a name that nobody resolves, exit code 4", async () => {
      const args = ["connect", "no-such-host.invalid", "--as", "alice"];
      const env = { SECURECHAT_PASSWORD: "password of alice" };
      const done = await world.run("alice", args, { env, input: "" });
      expect(done.stderr).toMatch(/securechat: [^\n]*no-such-host\.invalid[^\n]*\(CONNECT_FAILED\)\n/);
      expect(done.exitCode).toBe(4);
    });

    test("a server whose certificate names another host, exit code 1", async () => {
      await world.succeed("org", [
        "issue",
        "--server",
        "--cn",
        "elsewhere.example",
        "--out",
        "certs/elsewhere",
      ]);
      const files = ["--cert", "../org/certs/elsewhere_cert.pem", "--key", "../org/certs/elsewhere_key.pem"];
      const { server, port: other } = await world.startServer([...files, "--db", "elsewhere.db"]);
      const done = await world.chat("alice", other, []);
      expect(done.stderr).toMatch(
        /^securechat: [^\n]*CN=elsewhere\.example is not for the host[^\n]*\(SERVER_CERTIFICATE\)$/m,
      );
      expect(done.exitCode).toBe(1);
      server.stop();
      await server.exited;
      expect(server.output).not.toContain("alice");
    });

    test("a server under another CA, exit code 1, before a password is sent", async () => {
      await world.succeed("org", ["ca", "init", "--cert", "other/ca_cert.pem", "--key", "other/ca_key.pem"]);
      const ca = ["--ca-cert", "other/ca_cert.pem", "--ca-key", "other/ca_key.pem"];
      await world.succeed("org", [
        "issue",
        "--cn",
        "alice",
        "--email",
        "alice@example.org",
        "--out",
        "other/alice",
        ...ca,
      ]);
      const other = ["--cert", "../org/other/alice_cert.pem", "--key", "../org/other/alice_key.pem"];
      const done = await world.run(
        "alice",
        ["connect", `localhost:${port}`, ...other, "--ca", "../org/other/ca_cert.pem"],
        {
          env: { SECURECHAT_PASSWORD: "x" },
          input: "",
        },
      );
      expect(done.stderr).toMatch(/^securechat: [^\n]*\(SERVER_CERTIFICATE\)$/m);
      expect(done.exitCode).toBe(1);
      const mine = await world.chat("alice", port, ["--ca", "../org/other/ca_cert.pem"]);
      expect(mine.stderr).toMatch(/^securechat: [^\n]*\(CERTIFICATE_REFUSED\)$/m);
      expect(mine.exitCode).toBe(1);
    });

    test("a certificate that is missing, exit code 2, and says how to make one", async () => {
      const done = await world.run("alice", ["connect", `localhost:${port}`, "--as", "zoe"], { input: "" });
      expect(done.stderr).toBe(
        'securechat: own certificate not found: certs/zoe_cert.pem; make one with "securechat issue"\n',
      );
      expect(done.exitCode).toBe(2);
    });

    test("the key of another, exit code 2", async () => {
      copyFileSync(world.path("bob/certs/bob_key.pem"), world.path("alice/certs/bob_key.pem"));
      const own = ["--cert", "certs/alice_cert.pem", "--key", "certs/bob_key.pem"];
      const done = await world.run("alice", ["connect", `localhost:${port}`, ...own], { input: "" });
      expect(done.stderr).toBe(
        "securechat: private key certs/bob_key.pem does not belong to certificate certs/alice_cert.pem\n",
      );
      expect(done.exitCode).toBe(2);
    });

    test("a vault that another process has open, exit code 2", async () => {
      const first = await world.join("bob", port, { register: false });
      const second = await world.chat("bob", port, []);
      expect(second.stderr).toMatch(/^securechat: [^\n]*in use by another process[^\n]*\(VAULT_IN_USE\)\n$/);
      expect(second.exitCode).toBe(2);
      first.endInput();
      expect(await first.exited).toBe(0);
    });

    test("a vault of another key, exit code 2", async () => {
      const done = await world.chat("alice", port, ["--vault", "../bob/certs/bob_vault.db"]);
      expect(done.stderr).toMatch(
        /^securechat: [^\n]*belongs to another private key[^\n]*\(VAULT_WRONG_KEY\)\n$/,
      );
      expect(done.exitCode).toBe(2);
    });

    test("a password that nobody gave, exit code 2", async () => {
      const done = await world.run("alice", ["connect", `localhost:${port}`, "--as", "alice"], { input: "" });
      expect(done.stderr).toContain("set SECURECHAT_PASSWORD, or use --password-file FILE");
      expect(done.exitCode).toBe(2);
    });

    const wrongUsage: [string, readonly string[]][] = [
      ["an unknown option", ["--frobnicate"]],
      ["--register and --login together", ["--register", "--login"]],
      ["a --timeout that is no number", ["--timeout", "soon"]],
      ["an option without its value", ["--to"]],
      ["an option that is given twice", ["--to", "bob", "--to", "carol"]],
      ["--as beside --cert", ["--cert", "certs/alice_cert.pem"]],
      ["a second address", ["localhost:1"]],
      ["another's name", ["--username", "bob"]],
      ["an unknown provider", ["--crypto", "openssl"]],
    ];
    test.each(wrongUsage)("%s, exit code 2", async (_what, args) => {
      const done = await world.chat("alice", port, args);
      expect(done.stderr).toMatch(/^securechat: [^\n]+\n$/);
      expect(done.stdout).toBe("");
      expect(done.exitCode).toBe(2);
    });
  });
});
