import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Finished } from "../../src/cli/childProcess.ts";
import { executable, isMessage, patienceMs, quit, World } from "./world.ts";

setDefaultTimeout(patienceMs);

const iso = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";

/** An empty folder of a test's own inside the world. */
function folderIn(world: World, name: string): string {
  mkdirSync(world.path(name));
  return name;
}

function modeOf(file: string): string {
  return (statSync(file).mode & 0o777).toString(8);
}

function openssl(world: World, folder: string, ...args: readonly string[]): Promise<Finished> {
  return world.runProgram(world.path(folder), ["openssl", ...args]);
}

/** One line on stderr, nothing on stdout. */
function expectRefused(done: Finished, exitCode: number, message: RegExp): void {
  expect(done.stderr).toMatch(/^securechat: [^\n]+\n$/);
  expect(done.stderr).toMatch(message);
  expect(done.exitCode).toBe(exitCode);
}

describe("an organisation's certificates", () => {
  let world: World;
  let made: Finished;
  let issued: Finished;
  beforeAll(async () => {
    world = await World.create([]);
    folderIn(world, "fresh");
    made = await world.run("fresh", ["ca", "init"]);
    issued = await world.run("fresh", ["issue", "--cn", "alice", "--email", "alice@example.org"]);
    await world.succeed("fresh", [
      "issue",
      "--server",
      "--cn",
      "chat.example.org",
      "--ip",
      "192.0.2.7",
      "--ip",
      "2001:db8::7",
      "--dns",
      "chat.example.org",
      "--out",
      "certs/server",
    ]);
    await world.succeed("fresh", ["issue", "--server", "--cn", "plain.example.org"]);
  });
  afterAll(() => world?.dispose());

  test("ca init tells each step, the paths and the validity", () => {
    expect([made.exitCode, made.stderr]).toEqual([0, ""]);
    expect(made.stdout).toMatch(
      new RegExp(
        "^\\[\\*\\] Generating p256 private key\\.\\.\\.\n" +
          "\\[\\*\\] Generating self-signed root certificate\\.\\.\\.\n" +
          "\\[\\+\\] Root CA created successfully!\n" +
          "    Certificate: certs/ca_cert\\.pem\n" +
          "    Private key: certs/ca_key\\.pem\n" +
          "    Subject: +CN=SecureChat Root CA\n" +
          "    Serial: +[0-9a-f]{32}\n" +
          "    Fingerprint: sha256:[0-9a-f]{64}\n" +
          `    Valid from: +${iso}\n` +
          `    Valid until: +${iso}\n`,
      ),
    );
  });

  test("issue tells each step, the paths and the validity", () => {
    expect([issued.exitCode, issued.stderr]).toEqual([0, ""]);
    expect(issued.stdout).toMatch(
      /^\[\*\] Generating p256 private key for alice\.\.\.\n\[\*\] Generating certificate\.\.\.\n/,
    );
    expect(issued.stdout).toMatch(/^\[\+\] Certificate issued successfully!$/m);
    expect(issued.stdout).toMatch(
      /^ {4}Certificate: certs\/alice_cert\.pem\n {4}Private key: certs\/alice_key\.pem$/m,
    );
    expect(issued.stdout).toMatch(new RegExp(`^ {4}Valid from: +${iso}\n {4}Valid until: +${iso}$`, "m"));
  });

  test("keys are for their owner only, and nothing is left beside the files", () => {
    const certs = world.path("fresh/certs");
    for (const name of ["ca", "alice", "server", "plain.example.org"])
      expect(modeOf(join(certs, `${name}_key.pem`))).toBe("600");
    expect(readdirSync(certs).filter((name) => /\.tmp$/.test(name))).toEqual([]);
  });

  const purposes: [name: string, purposes: readonly string[]][] = [
    ["alice", ["sslclient", "smimesign"]],
    ["server", ["sslserver", "smimesign"]],
    ["plain.example.org", ["sslserver", "smimesign"]],
  ];
  test.each(purposes)("openssl verifies %s strictly for %p and for no other role", async (name, wanted) => {
    for (const purpose of ["sslclient", "sslserver", "smimesign", "crlsign"]) {
      const done = await openssl(
        world,
        ...[
          "fresh/certs",
          "verify",
          "-x509_strict",
          "-purpose",
          purpose,
          "-CAfile",
          "ca_cert.pem",
          `${name}_cert.pem`,
        ],
      );
      const accepted = done.stdout.includes(`${name}_cert.pem: OK`);
      expect([purpose, accepted]).toEqual([purpose, wanted.includes(purpose)]);
    }
  });

  test("openssl reads the profile as it is specified", async () => {
    const text = async (name: string) =>
      (await openssl(world, "fresh/certs", "x509", "-in", `${name}_cert.pem`, "-noout", "-text")).stdout;
    const ca = await text("ca");
    expect(ca).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
    expect(ca).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
    const alice = await text("alice");
    expect(alice).toMatch(/Key Usage: critical\s+Digital Signature, Non Repudiation\n/);
    expect(alice).toMatch(/Extended Key Usage:\s+TLS Web Client Authentication, E-mail Protection\n/);
    expect(alice).toMatch(/Subject Alternative Name:\s+email:alice@example\.org\n/);
    const server = await text("server");
    expect(server).toMatch(/Extended Key Usage:\s+TLS Web Server Authentication, E-mail Protection\n/);
    expect(server).toMatch(
      /DNS:chat\.example\.org, IP Address:192\.0\.2\.7, IP Address:2001:DB8:0:0:0:0:0:7\n/,
    );
    expect(await text("plain.example.org")).toMatch(/Subject Alternative Name:\s+DNS:plain\.example\.org\n/);
  });

  test("the validity is 3650 and 365 days, or what --days says", async () => {
    const days = async (folder: string, name: string) => {
      const { stdout } = await openssl(
        world,
        `${folder}/certs`,
        "x509",
        "-in",
        `${name}_cert.pem`,
        "-noout",
        "-dates",
      );
      const [from, until] = [...stdout.matchAll(/=(.+)/g)].map((match) => Date.parse(match[1] ?? ""));
      return ((until ?? 0) - (from ?? 0)) / 86_400_000;
    };
    expect(await days("fresh", "ca")).toBe(3650);
    expect(await days("fresh", "alice")).toBe(365);
    const folder = folderIn(world, "short");
    await world.succeed(folder, ["ca", "init", "--days", "30", "--name", "Short Lived CA"]);
    await world.succeed(folder, ["issue", "--cn", "dan", "--email", "dan@example.org", "--days", "7"]);
    expect([await days(folder, "ca"), await days(folder, "dan")]).toEqual([30, 7]);
    const longer = await world.run(folder, [
      "issue",
      "--cn",
      "erin",
      "--email",
      "erin@example.org",
      "--days",
      "31",
    ]);
    expect(longer.stderr).toContain("expires before a certificate of 31 days would");
    expect(longer.exitCode).toBe(2);
    expect(existsSync(world.path(folder, "certs/erin_cert.pem"))).toBe(false);
  });

  test("ca show prints what ca init printed", async () => {
    const shown = await world.run("fresh", ["ca", "show"]);
    expect(shown.exitCode).toBe(0);
    const fingerprint = /sha256:[0-9a-f]{64}/.exec(made.stdout)?.[0] ?? "none";
    expect(shown.stdout).toContain(fingerprint);
  });
});

describe("ca init and issue refuse", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create(["alice"]);
  });
  afterAll(() => world?.dispose());

  /** Runs a command that must leave every file as it is. */
  async function unchanged(args: readonly string[]): Promise<Finished> {
    const contents = () => {
      const certs = world.path("org/certs");
      return Object.fromEntries(
        readdirSync(certs).map((name) => [name, readFileSync(join(certs, name), "utf8")]),
      );
    };
    const before = contents();
    const done = await world.run("org", args);
    expect(contents()).toEqual(before);
    return done;
  }

  test("to overwrite a CA, exit code 2", async () => {
    expectRefused(await unchanged(["ca", "init"]), 2, /certs\/ca_[a-z]+\.pem exists already; use --force/);
  });

  test("a name that is live under another key, exit code 1, even with --force", async () => {
    const issue = ["issue", "--cn", "alice", "--email", "alice@example.org"];
    for (const more of [["--out", "certs/second"], ["--force"]])
      expectRefused(
        await unchanged([...issue, ...more]),
        1,
        /alice <alice@example\.org> has a live certificate .*--new-key/,
      );
  });

  test("an email that is live under another name, exit code 1", async () => {
    const done = await unchanged(["issue", "--cn", "alicia", "--email", "alice@example.org"]);
    expectRefused(done, 1, /has a live certificate under another key/);
  });

  test("to overwrite a certificate without --force, exit code 2, even with --new-key", async () => {
    const done = await unchanged(["issue", "--cn", "alice", "--email", "alice@example.org", "--new-key"]);
    expectRefused(done, 2, /certs\/alice_[a-z]+\.pem exists already; use --force/);
  });

  const wrong: [what: string, args: readonly string[]][] = [
    ["a certificate without a name", ["issue", "--email", "x@example.org"]],
    ["a person without an email", ["issue", "--cn", "xaver"]],
    ["a username with capitals", ["issue", "--cn", "Xaver", "--email", "x@example.org"]],
    ["a username with a slash", ["issue", "--cn", "../xaver", "--email", "x@example.org"]],
    ["an email that is none", ["issue", "--cn", "xaver", "--email", "nowhere"]],
    ["a server with an email", ["issue", "--cn", "srv", "--server", "--email", "x@example.org"]],
    ["host names of a person", ["issue", "--cn", "xaver", "--email", "x@example.org", "--dns", "xaver"]],
    ["an unknown key type", ["issue", "--cn", "xaver", "--email", "x@example.org", "--key-type", "p521"]],
    ["no days", ["issue", "--cn", "xaver", "--email", "x@example.org", "--days", "0"]],
    [
      "a CA that is not there",
      ["issue", "--cn", "xaver", "--email", "x@example.org", "--ca-cert", "certs/no.pem"],
    ],
    [
      "a CA key of another",
      ["issue", "--cn", "xaver", "--email", "x@example.org", "--ca-key", "certs/alice_key.pem"],
    ],
    ["an unknown action", ["ca", "destroy"]],
    ["no action", ["ca"]],
  ];
  test.each(wrong)("%s, exit code 2", async (_what, args) => {
    expectRefused(await unchanged(args), 2, /./);
  });

  test("a server name that no certificate can have, and say so", async () => {
    const done = await unchanged(["issue", "--server", "--cn", "*.example.org", "--out", "certs/star"]);
    expect(done.stderr).toMatch(/^securechat: [^\n]+\n$/);
    expect([1, 2]).toContain(done.exitCode);
  });

  test("nothing of a second key with --new-key and --force: both files are of the new key", async () => {
    const before = readFileSync(world.path("org/certs/alice_key.pem"), "utf8");
    await world.succeed("org", [
      "issue",
      "--cn",
      "alice",
      "--email",
      "alice@example.org",
      "--new-key",
      "--force",
    ]);
    const key = readFileSync(world.path("org/certs/alice_key.pem"), "utf8");
    expect(key).not.toBe(before);
    const ofKey = await openssl(world, "org/certs", "pkey", "-in", "alice_key.pem", "-pubout");
    const ofCertificate = await openssl(
      world,
      "org/certs",
      "x509",
      "-in",
      "alice_cert.pem",
      "-noout",
      "-pubkey",
    );
    expect(ofKey.stdout).toBe(ofCertificate.stdout);
    expect(modeOf(world.path("org/certs/alice_key.pem"))).toBe("600");
  });
});

describe("with --encrypt", () => {
  let world: World;
  const passphrase = "correct horse battery staple";
  beforeAll(async () => {
    world = await World.create([]);
    folderIn(world, "sealed");
    writeFileSync(world.path("sealed/pass.txt"), `${passphrase}\nnot this line\n`, { mode: 0o600 });
    await world.succeed("sealed", ["ca", "init", "--encrypt"], {
      env: { SECURECHAT_PASSPHRASE: passphrase },
    });
  });
  afterAll(() => world?.dispose());

  test("the CA key is PBES2 with 600 000 iterations, and openssl opens it with the passphrase alone", async () => {
    expect(readFileSync(world.path("sealed/certs/ca_key.pem"), "utf8")).toStartWith(
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    );
    expect(modeOf(world.path("sealed/certs/ca_key.pem"))).toBe("600");
    const structure = await openssl(world, "sealed/certs", "asn1parse", "-in", "ca_key.pem");
    expect(structure.stdout).toMatch(/:PBES2\n.*:PBKDF2\n.*:0927C0\n.*:hmacWithSHA256\n.*:aes-256-cbc\n/s);
    const right = await openssl(
      world,
      "sealed/certs",
      "pkey",
      "-in",
      "ca_key.pem",
      "-noout",
      "-passin",
      `pass:${passphrase}`,
    );
    expect(right.exitCode).toBe(0);
    const wrong = await openssl(
      world,
      "sealed/certs",
      "pkey",
      "-in",
      "ca_key.pem",
      "-noout",
      "-passin",
      "pass:wrong",
    );
    expect(wrong.exitCode).not.toBe(0);
  });

  test("issue takes the passphrase from SECURECHAT_PASSPHRASE or the first line of --passphrase-file", async () => {
    const env = { SECURECHAT_PASSPHRASE: passphrase };
    await world.succeed("sealed", ["issue", "--cn", "alice", "--email", "alice@example.org"], { env });
    await world.succeed("sealed", [
      "issue",
      "--cn",
      "bob",
      "--email",
      "bob@example.org",
      "--passphrase-file",
      "pass.txt",
    ]);
    for (const name of ["alice", "bob"])
      expect(existsSync(world.path(`sealed/certs/${name}_cert.pem`))).toBe(true);
  });

  test("issue refuses without or with a wrong passphrase, exit code 2, and writes nothing", async () => {
    const issue = ["issue", "--cn", "carol", "--email", "carol@example.org"];
    expectRefused(await world.run("sealed", issue), 2, /SECURECHAT_PASSPHRASE/);
    const wrong = await world.run("sealed", issue, { env: { SECURECHAT_PASSPHRASE: "wrong" } });
    expectRefused(wrong, 2, /ca_key\.pem: .*passphrase/);
    expectRefused(await world.run("sealed", [...issue, "--passphrase-file", "none.txt"]), 2, /none\.txt/);
    expect(existsSync(world.path("sealed/certs/carol_key.pem"))).toBe(false);
  });

  test("no passphrase is taken as an argument", async () => {
    const done = await world.run("sealed", [
      "issue",
      "--cn",
      "carol",
      "--email",
      "carol@example.org",
      "--passphrase",
      passphrase,
    ]);
    expectRefused(done, 2, /unknown option --passphrase/);
  });
});

/** The profile of a certificate, as an OpenSSL configuration. */
const profiles = {
  ca: "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash",
  server:
    "keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage=serverAuth,emailProtection\nsubjectAltName=DNS:localhost,IP:127.0.0.1",
  alice:
    "keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage=clientAuth,emailProtection\nsubjectAltName=email:alice@example.org",
  bob: "keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage=clientAuth,emailProtection\nsubjectAltName=email:bob@example.org",
};

describe("certificates that the openssl program made with the same profile", () => {
  let world: World;
  let exitCodes: number[];
  let folder: string;
  beforeAll(async () => {
    world = await World.create();
    const script = `
      set -eu
      key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1_key.pem" 2>/dev/null; }
      key ca
      openssl req -new -x509 -key ca_key.pem -subj "/CN=Somebody's OpenSSL CA" -days 3650 -sha256 -out ca_cert.pem \\
        -config ca.cnf -extensions profile
      for name in server alice bob; do
        key $name
        case $name in server) cn=localhost;; *) cn=$name;; esac
        openssl req -new -key "$name"_key.pem -subj "/CN=$cn" -config ca.cnf -out $name.csr
        openssl x509 -req -in $name.csr -CA ca_cert.pem -CAkey ca_key.pem -set_serial "0x$(openssl rand -hex 15)" \\
          -days 365 -sha256 -extfile $name.cnf -extensions profile -out "$name"_cert.pem 2>/dev/null
      done
    `;
    folder = folderIn(world, "openssl");
    for (const [name, extensions] of Object.entries(profiles))
      writeFileSync(
        world.path(folder, `${name}.cnf`),
        `[req]\ndistinguished_name=names\nprompt=no\n[names]\nCN=x\n[profile]\n${extensions}\n${name === "ca" ? "" : "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"}`,
      );
    const done = await world.runProgram(world.path(folder), ["sh", "-c", script]);
    expect([done.exitCode, done.stderr]).toEqual([0, ""]);
    for (const name of ["server", "alice", "bob"])
      for (const file of ["ca_cert.pem", `${name}_cert.pem`, `${name}_key.pem`])
        copyFileSync(world.path(folder, file), world.path(name, "certs", file));

    const { server, port } = await world.startServer();
    const bob = await world.join("bob", port);
    const alice = await world.join("alice", port, { to: "bob" });
    alice.type("under a certificate of OpenSSL's");
    await bob.waitForEvent("alice's message", isMessage("under a certificate of OpenSSL's"));
    exitCodes = [(await quit(alice)).exitCode, (await quit(bob)).exitCode];
    server.stop();
    exitCodes.push(await server.exited);
  });
  afterAll(() => world?.dispose());

  test("work for the server and for clients, and the evidence is valid", async () => {
    expect(exitCodes).toEqual([0, 0, 0]);
    for (const name of ["alice", "bob"]) {
      const [evidence = ""] = readdirSync(world.path(name, "transcripts"));
      const done = await world.run(name, ["verify", join("transcripts", evidence)]);
      expect(done.stdout).toStartWith("Verdict: VALID");
      expect(done.stdout).toContain("CN=Somebody's OpenSSL CA, yours");
    }
  });

  test("can be issued from with the CA key that openssl made", async () => {
    const ca = ["--ca-cert", "ca_cert.pem", "--ca-key", "ca_key.pem"];
    await world.succeed(folder, [
      "issue",
      "--cn",
      "carol",
      "--email",
      "carol@example.org",
      "--out",
      "carol",
      ...ca,
    ]);
    const done = await openssl(
      world,
      folder,
      "verify",
      "-x509_strict",
      "-CAfile",
      "ca_cert.pem",
      "carol_cert.pem",
    );
    expect(done.stdout).toContain("carol_cert.pem: OK");
  });
});

describe("serve", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create(["alice"]);
  });
  afterAll(() => world?.dispose());

  const serve = (...args: readonly string[]) =>
    world.run("server", ["serve", "--host", "127.0.0.1", "--port", "0", ...args]);

  /** One clear line, exit code 2, and it never listened. */
  function expectNotStarted(done: Finished, message: RegExp): void {
    expect(done.stdout).not.toContain("Server running");
    expectRefused(done, 2, message);
  }

  test("ends when the port is in use", async () => {
    const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const done = await world.run("server", ["serve", "--host", "127.0.0.1", "--port", `${taken.port}`]);
      expectNotStarted(done, new RegExp(`port ${taken.port} is in use`));
    } finally {
      taken.stop(true);
    }
  });

  test("ends when the certificate or key is missing, and says how to make one", async () => {
    expectNotStarted(
      await serve("--cert", "certs/no_cert.pem"),
      /server certificate not found: certs\/no_cert\.pem; make one with "securechat issue"/,
    );
    expectNotStarted(
      await serve("--key", "certs/no_key.pem"),
      /server private key not found: certs\/no_key\.pem/,
    );
    expectNotStarted(await serve("--ca", "certs/no_ca.pem"), /CA certificate not found: certs\/no_ca\.pem/);
  });

  test("ends when the certificate is no certificate, the key no key", async () => {
    writeFileSync(
      world.path("server/certs/junk.pem"),
      "-----BEGIN CERTIFICATE-----\nbm9wZQ==\n-----END CERTIFICATE-----\n",
      { mode: 0o600 },
    );
    writeFileSync(world.path("server/certs/empty.pem"), "");
    expectNotStarted(await serve("--cert", "certs/junk.pem"), /certs\/junk\.pem/);
    expectNotStarted(await serve("--cert", "certs/empty.pem"), /certs\/empty\.pem/);
    expectNotStarted(await serve("--key", "certs/junk.pem"), /certs\/junk\.pem/);
  });

  // root may read everything, unless it has given that right up.
  const asRoot = process.getuid?.() === 0;
  const withoutRights = asRoot ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];
  test.skipIf(asRoot && Bun.which("setpriv") === null)("ends when the key is not readable", async () => {
    const file = world.path("server/certs/locked_key.pem");
    copyFileSync(world.path("server/certs/server_key.pem"), file);
    chmodSync(file, 0o000);
    const args = ["serve", "--host", "127.0.0.1", "--port", "0", "--key", "certs/locked_key.pem"];
    const done = await world.runProgram(world.path("server"), [...withoutRights, executable, ...args]);
    expectNotStarted(done, /server private key not readable: certs\/locked_key\.pem/);
  });

  test("ends when the key is not the certificate's", async () => {
    copyFileSync(world.path("alice/certs/alice_key.pem"), world.path("server/certs/alice_key.pem"));
    expectNotStarted(
      await serve("--key", "certs/alice_key.pem"),
      /private key certs\/alice_key\.pem does not belong to certificate certs\/server_cert\.pem/,
    );
  });

  test("ends with a person's certificate, and with one of another CA", async () => {
    const alice = ["--cert", "../alice/certs/alice_cert.pem", "--key", "../alice/certs/alice_key.pem"];
    expectNotStarted(await serve(...alice), /no server's certificate/);
    await world.succeed("org", ["ca", "init", "--cert", "other/ca_cert.pem", "--key", "other/ca_key.pem"]);
    expectNotStarted(await serve("--ca", "../org/other/ca_cert.pem"), /certificate/);
  });

  test("ends with a database that is none, exit code 2", async () => {
    writeFileSync(
      world.path("server/notes.txt"),
      "these are notes, and no database of anybody's, in more than a hundred bytes of plain text that stays as it is.\n",
    );
    expectNotStarted(await serve("--db", "notes.txt"), /notes\.txt/);
    expect(readFileSync(world.path("server/notes.txt"), "utf8")).toStartWith("these are notes");
    expectNotStarted(await serve("--db", "postgres://me:secret@localhost/db"), /password/);
  });

  test.each(["SIGTERM", "SIGINT"] as const)(
    "ends in order on %s: sessions are told, exit code 0",
    async (signal) => {
      const { server, port } = await world.startServer(["--db", `${signal}.db`]);
      const alice = await world.join("alice", port, { args: ["--vault", `${signal}.db`] });
      server.stop(signal);
      expect(await server.exited).toBe(0);
      await alice.waitFor("being told", (line) => (line.includes("shutting_down") ? line : undefined));
      expect(server.output).toMatch(new RegExp(`\\[INFO\\] ${signal}: closing sessions\n`));
      expect(server.output).toMatch(/\[INFO\] Server stopped$/);
      expect(existsSync(world.path("server", `${signal}.db-wal`))).toBe(false);
      alice.stop();
    },
  );

  test("its log has the original's lines", async () => {
    const { server, port } = await world.startServer(["--db", "log.db"]);
    const alice = await world.join("alice", port, { args: ["--vault", "log.db"] });
    alice.endInput();
    await alice.exited;
    server.stop();
    await server.exited;
    const at = "^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d,\\d{3} ";
    expect(server.output).toMatch(
      new RegExp(`${at}\\[INFO\\] Server running on 127\\.0\\.0\\.1:${port}$`, "m"),
    );
    expect(server.output).toMatch(
      new RegExp(`${at}\\[INFO\\] \\[SESSION-001\\] Client connected from 127\\.0\\.0\\.1:\\d+$`, "m"),
    );
  });
});
