import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcess } from "../../src/cli/childProcess.ts";
import { systemRandom } from "../../src/crypto/systemRandom.ts";
import { decodeCertificate } from "../../src/pki/certificate.ts";
import { issueCrl } from "../../src/pki/crl.ts";
import { type CertificateProfile, issueCertificate } from "../../src/pki/issue.ts";
import { decodePrivateKey } from "../../src/pki/keyFile.ts";
import { formatPem, parsePem } from "../../src/pki/pem.ts";
import { isMessage, type JsonEvent, passwordOf, quit, World } from "./world.ts";

const hour = 3_600_000;
const day = 24 * hour;

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.dispose();
});

async function newWorld(people: readonly string[] = ["alice", "bob"]): Promise<World> {
  const world = await World.create(people);
  worlds.push(world);
  return world;
}

/** Puts a file of the CA's into a party's folder, as a whole. */
function hand(world: World, file: string, to: string, as = file): void {
  const target = world.path(to, "certs", as);
  copyFileSync(world.path("org/certs", file), `${target}.new`);
  renameSync(`${target}.new`, target);
}

const pem = (world: World, file: string) => readFileSync(world.path("org/certs", file), "utf8");

async function authorityOf(world: World) {
  const [der = new Uint8Array(0)] = parsePem(pem(world, "ca_cert.pem"), "CERTIFICATE");
  return { issuer: decodeCertificate(der), issuerKey: await decodePrivateKey(pem(world, "ca_key.pem")) };
}

/** A CRL that `ca crl` would not make: with a number and times of the test's choice. */
async function writeCrl(world: World, list: { number: bigint; from: number; until: number }): Promise<void> {
  const der = issueCrl({
    ...(await authorityOf(world)),
    number: list.number,
    thisUpdateMs: Date.now() + list.from,
    nextUpdateMs: Date.now() + list.until,
    revoked: new Map(),
  });
  writeFileSync(world.path("org/certs/made_crl.pem"), formatPem("X509 CRL", der));
}

/** A certificate of the CA over an existing key whose time is over. */
async function expire(world: World, name: string, profile: CertificateProfile): Promise<void> {
  const key = await decodePrivateKey(pem(world, `${name}_key.pem`));
  const now = Date.now();
  const { issuer, issuerKey } = await authorityOf(world);
  const der = issueCertificate({
    issuer: { ...issuer, notBeforeMs: now - 10 * day },
    issuerKey,
    subjectSpki: key.spki,
    profile,
    notBeforeMs: now - 2 * day,
    notAfterMs: now - day,
    random: systemRandom,
  });
  writeFileSync(world.path(name, `certs/${name}_cert.pem`), formatPem("CERTIFICATE", der));
}

async function talk(world: World, port: number): Promise<{ alice: ChildProcess; bob: ChildProcess }> {
  const bob = await world.join("bob", port);
  const alice = await world.join("alice", port, { to: "bob" });
  alice.type("hello bob");
  await bob.waitForEvent("alice's words", isMessage("hello bob"));
  bob.type("/to alice");
  bob.type("hello alice");
  await alice.waitForEvent("bob's words", isMessage("hello alice"));
  return { alice, bob };
}

async function verdictOn(world: World, folder: string): Promise<unknown[]> {
  const done = await world.run("org", ["verify", folder, "--json"]);
  const report = JSON.parse(done.stdout);
  return [report.verdict, ...report.findings.filter(({ level }: JsonEvent) => level !== "note")];
}

async function opensslAccepts(world: World, folder: string): Promise<boolean> {
  const done = await world.runProgram(folder, [
    ..."openssl cms -verify -binary -inform DER -in receipt.p7s -content receipt.json -out /dev/null -CAfile".split(
      " ",
    ),
    world.path("org/certs/ca_cert.pem"),
  ]);
  return done.exitCode === 0 && done.stderr.includes("successful");
}

describe("a certificate that is revoked while its owner is connected", () => {
  test("ends the session as soon as the server's CRL file is replaced, and keeps its owner out", async () => {
    const world = await newWorld();
    await world.succeed("org", ["ca", "crl"]);
    hand(world, "ca_crl.pem", "server");
    const { server, port } = await world.startServer(["--crl", "certs/ca_crl.pem"]);
    const { alice, bob } = await talk(world, port);

    // What is no list, and what is an older one, is not taken.
    writeFileSync(world.path("server/certs/ca_crl.pem"), "no list\n");
    await server.waitFor(
      "the refusal",
      (line) => /ERROR\] CRL certs\/ca_crl\.pem not taken: .*the one in use stays/.exec(line)?.[0],
    );
    await writeCrl(world, { number: 0n, from: -hour, until: day });
    hand(world, "made_crl.pem", "server", "ca_crl.pem");
    await server.waitFor(
      "the older list's refusal",
      (line) => /not taken: CRL number 0 is older than 1/.exec(line)?.[0],
    );

    await world.succeed("org", ["ca", "revoke", "certs/bob_cert.pem", "--reason", "keyCompromise"]);
    await world.succeed("org", ["ca", "crl"]);
    hand(world, "ca_crl.pem", "server");
    await server.waitFor("the list", (line) => /CRL number 2 in use/.exec(line)?.[0]);
    const closed = await bob.waitForEvent("the end of bob's session", ({ event }) => event === "closed");
    expect([closed.code, closed.message]).toEqual([
      "CERTIFICATE_REFUSED",
      expect.stringContaining("certificate_revoked"),
    ]);
    // Refused for good: it ends although its input has not.
    expect(await bob.exited).toBe(1);
    await alice.waitForEvent("the warning", ({ event, code }) => event === "warning" && code === "REVOKED");

    const again = await world.chat("bob", port, ["--login", "--to", "alice"], { input: "let me in\n" });
    expect(again.exitCode).not.toBe(0);
    expect(again.stderr).toContain("certificate_revoked");
    server.stop();
    await server.exited;
  });
});

describe("serve on SIGHUP", () => {
  test("goes on with a renewed certificate in the same sessions; evidence of both is valid", async () => {
    const world = await newWorld();
    const { server, port } = await world.startServer();
    const { alice, bob } = await talk(world, port);

    await world.succeed("org", ["issue", "--renew", "certs/server_cert.pem"]);
    hand(world, "server_cert.pem", "server");
    server.hangUp();
    await server.waitFor("the renewal", (line) => /Certificate [0-9a-f]{64} in use/.exec(line)?.[0]);
    alice.type("after the renewal");
    await bob.waitForEvent("words after it", isMessage("after the renewal"));

    // A certificate that is no server's, and one without its key: the renewed one stays.
    hand(world, "alice_cert.pem", "server", "server_cert.pem");
    server.hangUp();
    await server.waitFor(
      "the refusal",
      (line) =>
        /ERROR\] Certificate certs\/server_cert\.pem not taken: .*the one in use stays/.exec(line)?.[0],
    );
    bob.type("still here");
    await alice.waitForEvent("bob's words", isMessage("still here"));

    const folders = [(await quit(alice)).folder, (await quit(bob)).folder];
    for (const [index, name] of ["alice", "bob"].entries()) {
      const folder = world.path(name, folders[index] ?? "");
      expect(await verdictOn(world, folder)).toEqual(["valid"]);
      expect(await opensslAccepts(world, folder)).toBe(true);
    }
    server.stop();
    expect(await server.exited).toBe(0);
  });

  test("opens an encrypted key with the passphrase of the start, and refuses another's", async () => {
    const world = await newWorld([]);
    const encrypt = async (passphrase: string) => {
      const host = ["--server", "--cn", "localhost", "--ip", "127.0.0.1", "--dns", "localhost"];
      const env = { SECURECHAT_KEY_PASSPHRASE: passphrase };
      const more = ["--out", "certs/server", "--encrypt", "--new-key", "--force"];
      await world.succeed("org", ["issue", ...host, ...more], { env });
      for (const kind of ["cert", "key"]) hand(world, `server_${kind}.pem`, "server");
    };
    await encrypt("the first");
    const { server } = await world.startServer([], { SECURECHAT_PASSPHRASE: "the first" });
    await encrypt("another");
    server.hangUp();
    await server.waitFor("the refusal", (line) => /server_key\.pem: .*passphrase.*stays/.exec(line)?.[0]);
    await encrypt("the first");
    server.hangUp();
    await server.waitFor("the new key", (line) => /Certificate [0-9a-f]{64} in use/.exec(line)?.[0]);
    server.stop();
    expect(await server.exited).toBe(0);
  }, 60_000);
});

describe("a CRL past its nextUpdate", () => {
  test("is gone by for --crl-grace days, then the server does not start and names the file", async () => {
    const world = await newWorld([]);
    await writeCrl(world, { number: 1n, from: -9 * day, until: -8 * day });
    hand(world, "made_crl.pem", "server", "old_crl.pem");
    const serve = (...args: readonly string[]) =>
      world.run("server", [
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--crl",
        "certs/old_crl.pem",
        ...args,
      ]);
    const refused = await serve();
    expect([refused.exitCode, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/certs\/old_crl\.pem .*grace of 7 days.*securechat ca crl/),
    ]);
    const strict = await serve("--crl-grace", "30", "--crl-required");
    expect([strict.exitCode, strict.stderr]).toEqual([2, expect.stringContaining("certs/old_crl.pem")]);
    const none = await world.run("server", ["serve", "--port", "0", "--crl-required"]);
    expect([none.exitCode, none.stderr]).toEqual([2, expect.stringContaining("--crl-required")]);
    const { server } = await world.startServer(["--crl", "certs/old_crl.pem", "--crl-grace", "30"]);
    await server.waitFor(
      "the warning",
      (line) => /WARNING\] The CRL was due for renewal .*certs\/old_crl\.pem/.exec(line)?.[0],
    );
    server.stop();
    expect(await server.exited).toBe(0);
  });
});

describe("a certificate near its end", () => {
  test("is warned about for 30 days and refused after, with the command that renews it", async () => {
    const world = await newWorld(["alice"]);
    for (const [args, name] of [
      [["--cn", "alice", "--email", "alice@example.org"], "alice"],
      [["--server", "--cn", "localhost", "--ip", "127.0.0.1", "--dns", "localhost"], "server"],
    ] as const) {
      await world.succeed("org", [
        "issue",
        ...args,
        "--out",
        `certs/${name}`,
        "--days",
        "20",
        "--new-key",
        "--force",
      ]);
      for (const kind of ["cert", "key"]) hand(world, `${name}_${kind}.pem`, name);
    }
    const { server, port } = await world.startServer();
    await server.waitFor(
      "the warning",
      (line) =>
        /WARNING\] The server certificate of .* expires in 19 days, .*securechat issue --renew/.exec(
          line,
        )?.[0],
    );
    const near = await world.chat("alice", port, ["--register"]);
    expect(near.stderr).toMatch(
      /warning: certificate of alice expires in 19 days .*"securechat issue --renew certs\/alice_cert\.pem"/,
    );
    expect(near.exitCode).toBe(0);
    server.stop();
    await server.exited;

    await expire(world, "alice", { kind: "user", username: "alice", email: "alice@example.org" });
    const over = await world.chat("alice", port, ["--login"]);
    expect([over.exitCode, over.stderr]).toEqual([
      1,
      expect.stringMatching(
        /certificate expired: alice \(not after .*"securechat issue --renew certs\/alice_cert\.pem"/,
      ),
    ]);
    await expire(world, "server", {
      kind: "server",
      commonName: "localhost",
      dnsNames: ["localhost"],
      ipAddresses: [],
    });
    const start = await world.run("server", ["serve", "--host", "127.0.0.1", "--port", "0"]);
    expect([start.exitCode, start.stderr]).toEqual([
      2,
      expect.stringMatching(/certs\/server_cert\.pem: .*expired.*securechat issue --renew/),
    ]);
  });
});

describe("keys of every type, and an issuing CA", () => {
  interface Mix {
    readonly ca: string;
    readonly server: string;
    readonly alice: string;
    readonly bob: string;
    readonly issuing?: string;
  }
  const mixes: readonly Mix[] = [
    { ca: "p256", server: "p256", alice: "ed25519", bob: "rsa2048" },
    { ca: "rsa3072", server: "ed25519", alice: "p256", bob: "rsa3072" },
    { ca: "ed25519", server: "rsa2048", alice: "rsa3072", bob: "p256" },
    { ca: "rsa2048", server: "ed25519", alice: "ed25519", bob: "ed25519" },
    { ca: "p256", server: "rsa3072", alice: "p256", bob: "ed25519", issuing: "ed25519" },
    { ca: "ed25519", server: "p256", alice: "p256", bob: "p256", issuing: "rsa2048" },
  ];
  test.each(mixes)("a conversation is valid: %o", async (mix) => {
    const world = await newWorld([]);
    const made = ["--force", "--new-key"];
    await world.succeed("org", [
      "ca",
      "init",
      "--force",
      "--key-type",
      mix.ca,
      ...(mix.issuing === undefined ? [] : ["--intermediates"]),
    ]);
    let from: readonly string[] = [];
    if (mix.issuing !== undefined) {
      await world.succeed("org", [
        "ca",
        "intermediate",
        "--name",
        "Issuing CA",
        "--key-type",
        mix.issuing,
        "--out",
        "certs/issuing",
      ]);
      from = ["--ca-cert", "certs/issuing_cert.pem", "--ca-key", "certs/issuing_key.pem"];
    }
    const server = ["--server", "--cn", "localhost", "--ip", "127.0.0.1", "--dns", "localhost"];
    await world.succeed("org", [
      "issue",
      ...server,
      "--out",
      "certs/server",
      "--key-type",
      mix.server,
      ...from,
      ...made,
    ]);
    for (const name of ["alice", "bob"] as const)
      await world.succeed("org", [
        "issue",
        "--cn",
        name,
        "--email",
        `${name}@example.org`,
        "--key-type",
        mix[name],
        ...from,
        ...made,
      ]);
    for (const name of ["server", "alice", "bob"])
      for (const file of ["ca_cert.pem", `${name}_cert.pem`, `${name}_key.pem`]) {
        await world.runProgram(world.root, ["mkdir", "-p", `${name}/certs`]);
        hand(world, file, name);
      }

    const { server: process, port } = await world.startServer();
    const { alice, bob } = await talk(world, port);
    const folder = world.path("alice", (await quit(alice)).folder);
    const other = world.path("bob", (await quit(bob)).folder);
    process.stop();
    await process.exited;
    for (const one of [folder, other]) {
      expect(await verdictOn(world, one)).toEqual(["valid"]);
      // Alice quits first: her signature is in both, bob's in his own.
      const signers = [mix.server, mix.alice, ...(one === folder ? [] : [mix.bob])];
      expect(existsSync(join(one, "receipt.ed25519.p7s"))).toBe(signers.includes("ed25519"));
      const readable = signers.some((type) => type !== "ed25519");
      expect(existsSync(join(one, "receipt.p7s"))).toBe(readable);
      if (readable) expect(await opensslAccepts(world, one)).toBe(true);
    }
    // The file that is named may be either of the two.
    const [signatures = ""] = readdirSync(folder).filter((name) => name.endsWith(".p7s"));
    const byReceipt = await world.run("org", ["verify", "--receipt", join(folder, signatures)]);
    expect(byReceipt.stdout).toStartWith("Verdict: VALID");
  });
});

describe("connect --crl", () => {
  test("takes a list, PEM or DER, keeps its number, and refuses a server that it names", async () => {
    const world = await newWorld(["alice"]);
    const { server, port } = await world.startServer();
    await world.succeed("org", ["ca", "crl"]);
    hand(world, "ca_crl.pem", "alice");
    const chat = (...args: readonly string[]) => world.chat("alice", port, args);
    expect((await chat("--register", "--crl", "certs/ca_crl.pem")).exitCode).toBe(0);

    await world.succeed("org", ["ca", "revoke", "certs/server_cert.pem"]);
    await world.succeed("org", ["ca", "crl"]);
    const [der = new Uint8Array(0)] = parsePem(pem(world, "ca_crl.pem"), "X509 CRL");
    writeFileSync(world.path("alice/certs/newer.der"), der);
    const refused = await chat("--login", "--crl", "certs/newer.der");
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toMatch(/certificate revoked/);
    // It is remembered; the older one is told of and changes nothing.
    const remembered = await chat("--login", "--crl", "certs/ca_crl.pem", "--json");
    expect(remembered.exitCode).not.toBe(0);
    expect(remembered.stdout).toMatch(/"STALE_CRL".*number 1, number 2 is known/);
    expect(remembered.stderr).toMatch(/certificate revoked/);

    writeFileSync(world.path("alice/certs/junk.pem"), "junk\n");
    const junk = await world.run(
      "alice",
      ["connect", `localhost:${port}`, "--as", "alice", "--crl", "certs/junk.pem"],
      {
        env: passwordOf("alice"),
        input: "",
      },
    );
    expect([junk.exitCode, junk.stderr]).toEqual([
      2,
      expect.stringContaining("list of revoked certificates is refused"),
    ]);
    server.stop();
    await server.exited;
  });
});
