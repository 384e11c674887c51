import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { parsePem } from "../../src/pki/pem.ts";
import { hasPostgres, PostgresServer } from "../store/postgresServer.ts";
import { TerminalProcess } from "./terminalProcess.ts";
import { executable, isMessage, type JsonEvent, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const prompt = "Operator (@NAME text, or 'quit'): ";

interface Finding {
  readonly code: string;
  readonly level: string;
  readonly message: string;
}

/** What `verify` says of a folder. */
async function verdictOf(world: World, folder: string): Promise<{ verdict: string; findings: Finding[] }> {
  return JSON.parse((await world.run("org", ["verify", folder, "--json"])).stdout);
}

/** What OpenSSL says of the newest receipt in a folder. */
function opensslOn(world: World, folder: string): string {
  const child = Bun.spawnSync([
    ..."openssl cms -verify -binary -inform DER -out /dev/null".split(" "),
    ...["-in", join(folder, "receipt.p7s"), "-content", join(folder, "receipt.json")],
    ...["-CAfile", world.path("org/certs/ca_cert.pem")],
  ]);
  return child.stderr.toString();
}

/** The one folder in there whose name begins so. */
function folderIn(path: string, prefix: string): string {
  const found = readdirSync(path).filter((name) => name.startsWith(prefix));
  expect(found).toHaveLength(1);
  return join(path, found[0] ?? "");
}

function transcriptOf(folder: string): string {
  return readFileSync(join(folder, "transcript.jsonl"), "utf8");
}

function startOnTerminal(world: World, args: readonly string[] = []) {
  return world.startOnTerminal("server", ["serve", "--host", "127.0.0.1", "--port", "0", ...args]);
}

/** Starts a server whose operator is a pipe of events. */
async function startPiped(
  world: World,
  args: readonly string[] = [],
): Promise<{ server: ChildProcess; port: number }> {
  const started = await world.startServer(["--operator", "--json", ...args]);
  await started.server.waitForEvent("the operator", ({ event }) => event === "attached");
  return started;
}

const isOperator = ({ event }: JsonEvent) => event === "operator";

describe("the operator at a terminal", () => {
  let world: World;
  const folders: Record<string, string> = {};
  let exported: string;
  beforeAll(async () => {
    world = await World.create(["alice", "bob", "carol"]);
    const operator = startOnTerminal(world);
    const from = await operator.waitFor("Server running on ");
    await operator.waitFor(prompt);
    const port = Number(/Server running on \S+:(\d+)/.exec(operator.shown)?.[1]);
    expect(from).toBeGreaterThan(0);

    const alice = await world.join("alice", port);
    const { fingerprint, name } = await alice.waitForEvent("the operator's conversation", isOperator);
    expect([name, fingerprint]).toEqual(["localhost", fingerprintOf(world, "server")]);
    operator.press("half a li");
    alice.type("is anybody there?");
    await operator.waitFor("[alice] seqno=2: is anybody there?");
    // What is being typed is left alone by what comes in.
    await operator.waitFor(`${prompt}half a li`, await operator.waitFor("is anybody there?"));
    operator.press("\u0015"); // Ctrl-U
    operator.type("@alice yes, the operator");
    await operator.waitFor(">>> [To alice] seqno=1: yes, the operator");
    await alice.waitForEvent("the answer", isMessage("yes, the operator"));

    const bob = await world.join("bob", port);
    await bob.waitForEvent("the operator's conversation", isOperator);
    operator.type("/list");
    await operator.waitFor(
      "bob <bob@example.org> since ",
      await operator.waitFor("alice <alice@example.org> since "),
    );
    operator.type("/broadcast closing in  five minutes");
    await operator.waitFor("Said to: ");
    for (const client of [alice, bob])
      await client.waitForEvent("the broadcast", isMessage("closing in  five minutes"));

    folders.alice = world.path("alice", (await quit(alice)).folder);
    folders.bob = world.path("bob", (await quit(bob)).folder);
    operator.type("/to alice");
    await operator.waitFor("localhost to alice · connected");
    operator.type("/receipt");
    await operator.waitFor(
      "signed by localhost, alice",
      await operator.waitFor("✓ Session receipt verified"),
    );
    operator.type("quit");
    expect(await operator.exited).toBe(0);
    await operator.waitFor("Server stopped");
    folders.operator = folderIn(world.path("server/transcripts"), "alice-");
    const { conversation } = JSON.parse(transcriptOf(folders.operator).split("\n", 1)[0] ?? "");
    exported = world.path("exported");
    await world.succeed("server", ["serve", "export", conversation, "--out", exported]);
  });
  afterAll(() => world?.dispose());

  test("has the same transcript as the member and as the server's export", () => {
    const [mine = "", ...others] = [folders.operator, folders.alice, exported].map((folder) =>
      transcriptOf(folder ?? ""),
    );
    expect(mine.length).toBeGreaterThan(1000);
    for (const other of others) expect(other).toBe(mine);
  });

  test("every folder is valid, and its report says that time rests on the server alone", async () => {
    for (const folder of [folders.operator, folders.alice, folders.bob, exported]) {
      const { verdict, findings } = await verdictOf(world, folder ?? "");
      expect([folder, verdict]).toEqual([folder, "valid"]);
      expect(findings.filter(({ code }) => code === "TIME_RESTS_ON_SERVER")).toMatchObject([
        { level: "note", message: expect.stringContaining("localhost") },
      ]);
    }
  });

  test("openssl accepts the receipts with the CA certificate alone", () => {
    for (const folder of [folders.operator, folders.alice, folders.bob, exported])
      expect(opensslOn(world, folder ?? "")).toContain("Verification successful");
  });

  test("member, operator and export agree when they are compared", async () => {
    for (const other of [folders.operator, exported]) {
      const done = await world.run("org", ["verify", folders.alice ?? "", other ?? "", "--json"]);
      expect([done.exitCode, JSON.parse(done.stdout).verdict]).toEqual([0, "valid"]);
    }
  });

  test("a server in the background of a terminal leaves the terminal alone", async () => {
    const command = `${executable} serve --host 127.0.0.1 --port 0 --db background.db`;
    const shell = new TerminalProcess(["bash", "-c", `set -m; ${command} & echo "pid $!."; wait`], {
      folder: world.path("server"),
      env: { PATH: process.env.PATH ?? "" },
    });
    await shell.waitFor(".");
    const pid = Number(/pid (\d+)\./.exec(shell.shown)?.[1]);
    try {
      await shell.waitFor("Server running on ");
    } finally {
      process.kill(pid, "SIGTERM");
    }
    // Stopped for reading the terminal, it would not get that far.
    await shell.waitFor("Server stopped");
    await shell.exited;
    expect(shell.shown).not.toContain("Operator");
  });

  test("a server whose terminal goes away goes on without its operator", async () => {
    const operator = startOnTerminal(world, ["--db", "gone.db"]);
    await operator.waitFor(prompt);
    const port = Number(/Server running on \S+:(\d+)/.exec(operator.shown)?.[1]);
    const carol = await world.join("carol", port);
    operator.hangUp();
    // The vault is let go of, and the server still serves.
    for (;;) {
      const other = await world.run(
        "server",
        ["serve", "--port", "0", "--operator", "--json", "--db", "x.db"],
        {
          input: "quit\n",
        },
      );
      if (other.exitCode === 0) break;
      expect(other.stderr).toContain("the vault is in use");
    }
    carol.type("still there?");
    await carol.waitForEvent("that it was accepted", ({ event }) => event === "sent");
    expect((await quit(carol)).exitCode).toBe(0);
    operator.stop();
    expect(await operator.ended).toBe(0);
  });

  test("says who is left out when a line names nobody", async () => {
    const operator = startOnTerminal(world);
    await operator.waitFor(prompt);
    operator.type("hello?");
    await operator.waitFor("nobody to send this to: write @NAME text");
    operator.type("@nobody hello?");
    await operator.waitFor("there is no account nobody on this server");
    // The terminal's Ctrl-C, twice: no receipts, and a clean end.
    operator.press("\u0003");
    await operator.waitFor("Ctrl-C again ends at once");
    operator.press("\u0003");
    expect(await operator.exited).toBe(0);
    await operator.waitFor("Server stopped");
  });
});

describe("the operator at a pipe", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create(["alice", "bob", "carol", "dan"]);
  });
  afterAll(() => world?.dispose());

  test("keeps its conversations over a restart, and gets what came while it was away", async () => {
    const first = await startPiped(world);
    const alice = await world.join("alice", first.port);
    alice.type("before");
    await first.server.waitForEvent("the message", isMessage("before"));
    first.server.type("@alice heard");
    await alice.waitForEvent("the answer", isMessage("heard"));
    await quit(alice);
    first.server.type("quit");
    expect(await first.server.exited).toBe(0);

    // Without its operator the server still offers it.
    const without = await world.startServer();
    const meanwhile = await world.chat("alice", without.port, ["--json"], { input: "meanwhile\n" });
    expect(meanwhile.exitCode).toBe(0);
    expect(meanwhile.stdout).toContain('"event":"operator"');
    without.server.stop();
    expect(await without.server.exited).toBe(0);

    const second = await startPiped(world);
    await second.server.waitForEvent("what came meanwhile", isMessage("meanwhile"));
    second.server.type("/to alice");
    second.server.type("/history");
    const { messages } = await second.server.waitForEvent("the history", ({ event }) => event === "history");
    expect((messages as { text: string }[]).map(({ text }) => text)).toEqual([
      "before",
      "heard",
      "meanwhile",
    ]);
    // The end of the pipe ends nothing.
    second.server.endInput();
    const done = await world.chat("alice", second.port, ["--json"], { input: "still there?\n" });
    expect(done.exitCode).toBe(0);
    await second.server.waitForEvent("a message after the end of input", isMessage("still there?"));
    second.server.stop();
    expect(await second.server.exited).toBe(0);
    expect(folderIn(world.path("server/transcripts"), "alice-")).toContain("alice-");
  });

  test("goes on under a certificate that was renewed while it runs", async () => {
    const { server, port } = await startPiped(world);
    const carol = await world.join("carol", port);
    await world.succeed("org", ["issue", "--renew", "certs/server_cert.pem"]);
    copyFileSync(world.path("org/certs/server_cert.pem"), world.path("server/certs/server_cert.pem"));
    server.hangUp();
    const renewed = fingerprintOf(world, "server");
    await server.waitForEvent(
      "the operator's return",
      ({ event, fingerprint }) => event === "attached" && fingerprint === renewed,
    );
    carol.type("and now?");
    await server.waitForEvent("the message", isMessage("and now?"));
    server.type("@carol as before");
    await carol.waitForEvent("the answer", isMessage("as before"));
    const { folder } = await quit(carol);
    expect((await verdictOf(world, world.path("carol", folder))).verdict).toBe("valid");
    server.stop();
    expect(await server.exited).toBe(0);
  });

  test("a second server is told that the vault is in use; at a terminal it goes on without", async () => {
    const { server } = await startPiped(world);
    const second = await world.run("server", ["serve", "--port", "0", "--operator", "--db", "second.db"]);
    expect([second.exitCode, second.stderr]).toEqual([
      2,
      expect.stringContaining("the vault is in use by another process"),
    ]);
    const third = startOnTerminal(world, ["--db", "third.db"]);
    await third.waitFor("[WARNING] No operator at this terminal: the vault is in use by another process");
    await third.waitFor("Server running on ");
    third.press("\u0003");
    expect(await third.exited).toBe(0);
    server.stop();
    await server.exited;
  });

  test("is offered to nobody with --no-operator", async () => {
    const { server, port } = await world.startServer(["--no-operator"]);
    const done = await world.chat("dan", port, ["--json", "--register"], { input: "hello?\n" });
    expect(done.exitCode).toBe(1);
    expect(done.stdout).not.toContain('"event":"operator"');
    expect(done.stdout).toContain('"NO_RECIPIENT"');
    server.stop();
    await server.exited;
  });

  test("connect says in words whom it talks to", async () => {
    const { server, port } = await startPiped(world);
    const done = await world.chat("bob", port, ["--register"], { input: "good day\n" });
    expect(done.stderr).toContain(
      `* Talking to the operator of localhost, under the server's own certificate sha256:${fingerprintOf(world, "server")}`,
    );
    expect(done.stdout).toContain(">>> [To localhost] seqno=2: good day");
    server.stop();
    await server.exited;
  });
});

describe("the operator of a server that gets another key", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create();
  });
  afterAll(() => world?.dispose());

  test("goes on under the old certificate and says what to do", async () => {
    const { server, port } = await startPiped(world, ["--vault", "old.db"]);
    const alice = await world.join("alice", port);
    await world.succeed("org", ["issue", "--renew", "certs/server_cert.pem", "--new-key"]);
    for (const file of ["server_cert.pem", "server_key.pem"])
      copyFileSync(world.path("org/certs", file), world.path("server/certs", file));
    server.hangUp();
    await server.waitFor("the warning", (line) =>
      line.includes("[WARNING] The operator goes on under the earlier certificate") ? line : undefined,
    );
    alice.type("which key is this?");
    await server.waitForEvent("the message", isMessage("which key is this?"));
    server.type("@alice still the old one");
    await alice.waitForEvent("the answer", isMessage("still the old one"));
    server.type("/to alice");
    server.type("/receipt");
    await server.waitForEvent("the operator's receipt", ({ event }) => event === "receipt");
    const { folder } = await quit(alice);
    expect((await verdictOf(world, world.path("alice", folder))).verdict).toBe("valid");
    // To others there is none under the new certificate.
    const late = await world.chat("bob", port, ["--json", "--register"]);
    expect(late.stdout).not.toContain('"event":"operator"');
    server.type("quit");
    expect(await server.exited).toBe(0);

    const wrongKey = await world.run("server", ["serve", "--port", "0", "--operator", "--vault", "old.db"]);
    expect([wrongKey.exitCode, wrongKey.stderr]).toEqual([2, expect.stringContaining("VAULT_WRONG_KEY")]);
    const again = await startPiped(world, ["--vault", "new.db"]);
    const resumed = await world.join("alice", again.port, { register: false });
    await resumed.waitForEvent("the operator's conversation", isOperator);
    resumed.type("and this?");
    await again.server.waitForEvent("the message", isMessage("and this?"));
    const { folder: newer } = await quit(resumed);
    expect(newer).toBe(folder);
    expect((await verdictOf(world, world.path("alice", newer))).verdict).toBe("valid");
    again.server.stop();
    await again.server.exited;
  });
});

describe("serve export", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create();
  });
  afterAll(() => world?.dispose());

  test("lists the conversations and writes one of two clients beside the running server", async () => {
    const { server, port } = await world.startServer();
    await world.chat("bob", port, ["--register"]);
    const first = await world.chat("alice", port, ["--register", "--to", "bob"], { input: "one\n" });
    expect(first.exitCode).toBe(0);
    // A second receipt, over more.
    await world.chat("alice", port, ["--to", "bob"], { input: "two\n" });
    const listed = await world.succeed("server", ["serve", "export"]);
    const [, conversation = ""] =
      /^([0-9a-f]{32}) {2} +\d+ entries {2}alice, bob\n$/.exec(listed.stdout) ?? [];
    expect(conversation).not.toBe("");
    const out = world.path("export");
    await world.succeed("server", ["serve", "export", conversation, "--out", out]);
    expect(readdirSync(out).filter((name) => name.startsWith("receipt")).length).toBe(4);
    expect((await verdictOf(world, out)).verdict).toBe("valid");
    expect(opensslOn(world, out)).toContain("Verification successful");
    const mine = folderIn(world.path("alice/transcripts"), "bob-");
    expect((await world.run("org", ["verify", mine, out])).exitCode).toBe(0);
    server.stop();
    await server.exited;
  });

  test.skipIf(!hasPostgres)(
    "writes the operator's conversation from PostgreSQL, of a stopped server",
    async () => {
      const postgres = await PostgresServer.start();
      try {
        const { user, host, port, database } = postgres.createDatabase();
        const password = encodeURIComponent(postgres.password);
        const db = { DATABASE_URL: `postgresql://${user}:${password}@${host}:${port}/${database}` };
        const started = await world.startServer(["--operator", "--json"], db);
        const done = await world.chat("alice", started.port, ["--register"], { input: "in PostgreSQL\n" });
        expect(done.exitCode).toBe(0);
        await started.server.waitForEvent("the message", isMessage("in PostgreSQL"));
        started.server.stop();
        expect(await started.server.exited).toBe(0);
        const listed = await world.succeed("server", ["serve", "export"], { env: db });
        // Their clients have handed back what the server of the same name had in its earlier database.
        const [, conversation = ""] = /^([0-9a-f]{32}) .*alice, localhost$/m.exec(listed.stdout) ?? [];
        const out = world.path("from-postgres");
        await world.succeed("server", ["serve", "export", conversation, "--out", out], { env: db });
        expect((await verdictOf(world, out)).verdict).toBe("valid");
        const mine = folderIn(world.path("alice/transcripts"), "localhost-");
        expect(transcriptOf(out)).toBe(transcriptOf(mine));
      } finally {
        await postgres.dispose();
      }
    },
  );

  test("writes over nothing, and refuses what is not there", async () => {
    const { server } = await world.startServer(["--db", "empty.db"]);
    server.stop();
    await server.exited;
    const refused = async (args: readonly string[], says: string) => {
      const { exitCode, stderr } = await world.run("server", ["serve", "export", ...args]);
      expect([exitCode, stderr]).toEqual([2, expect.stringContaining(says)]);
    };
    const none = "00".repeat(16);
    const other = world.path("other");
    await refused([none, "--db", "empty.db", "--out", world.path("org")], "is not empty");
    await refused([none, "--db", "empty.db", "--out", other], `there is no conversation ${none}`);
    await refused([none, "--db", "empty.db"], "name both");
    await refused(["alice", "--db", "empty.db", "--out", other], "is no conversation");
    await refused(["--db", "missing.db"], "there is no database missing.db");
    expect(existsSync(other)).toBe(false);
    expect(existsSync(world.path("server/missing.db"))).toBe(false);
  });
});

function fingerprintOf(world: World, name: string): string {
  const [der = new Uint8Array(0)] = parsePem(
    readFileSync(world.path(name, "certs", `${name}_cert.pem`), "utf8"),
    "CERTIFICATE",
  );
  return new Bun.CryptoHasher("sha256").update(der).digest("hex");
}
