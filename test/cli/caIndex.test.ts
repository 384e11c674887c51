import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { ChildProcess } from "../../src/cli/childProcess.ts";
import { CliFolder, securechat } from "./cliFolder.ts";

setDefaultTimeout(120_000);

const users = (count: number) => Array.from({ length: count }, (_, index) => `user${index}`);
const serialsOf = (cli: CliFolder, file?: string) =>
  cli
    .index(file)
    .flatMap(({ type, serial }) => (type === "certificate" && serial !== undefined ? serial : []));

describe("the index of a CA", () => {
  test("has every certificate and list of many processes at once, each number once", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    const names = users(20);
    await Promise.all([
      ...names.map((name) => cli.succeed(`issue --cn ${name} --email ${name}@example.org`)),
      ...[1, 2, 3, 4].map(() => cli.succeed("ca crl")),
    ]);
    const serials = serialsOf(cli);
    expect(serials).toHaveLength(1 + names.length);
    expect(new Set(serials).size).toBe(serials.length);
    for (const name of names) expect(serials).toContain(cli.certificate(`certs/${name}_cert.pem`).serial);
    expect(cli.index().flatMap(({ number }) => number ?? [])).toEqual([1, 2, 3, 4]);
    expect(cli.crl().number).toBe(4n);
    expect(readdirSync(cli.path("certs")).filter((name) => name.includes("tmp"))).toEqual([]);
  });

  test("gives one name to one of many processes that want it under keys of their own", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    const done = await Promise.all(
      users(8).map((out) => cli.run(`issue --cn alice --email alice@example.org --out certs/${out}`)),
    );
    expect(done.map(({ exitCode }) => exitCode).sort()).toEqual([0, 1, 1, 1, 1, 1, 1, 1]);
    expect(serialsOf(cli)).toHaveLength(2);
  });

  test("keeps what processes stored that are killed at any moment, and lets the others go on", async () => {
    using cli = new CliFolder();
    const writer = [process.execPath, resolve(import.meta.dir, "indexWriter.ts"), "x_index.jsonl"];
    const stored: string[] = [];
    const live = async (generation: number, index: number) => {
      const child = new ChildProcess("writer", writer, { folder: cli.root });
      // It is killed while it is busy with the next record, or waits for the lock.
      const wanted = 1 + ((generation + 3 * index) % 7);
      let seen = 0;
      await child.waitFor("a record", () => (++seen === wanted ? true : undefined));
      child.stop("SIGKILL");
      await child.exited;
      stored.push(...child.output.split("\n").filter((line) => line.length === 32));
    };
    await Promise.all(
      [0, 1, 2, 3].map(async (index) => {
        for (let generation = 0; generation < 6; generation++) await live(generation, index);
      }),
    );
    const serials = serialsOf(cli, "x_index.jsonl");
    expect(stored.length).toBeGreaterThan(24);
    expect(new Set(serials).size).toBe(serials.length);
    expect(stored.filter((serial) => !serials.includes(serial))).toEqual([]);
  });

  test("knows every certificate that an issue which was killed left behind", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    const names = users(24);
    const kill = async (name: string, delayMs: number) => {
      const child = Bun.spawn([...securechat, "issue", "--cn", name, "--email", `${name}@example.org`], {
        cwd: cli.root,
        stdout: "pipe",
        stderr: "ignore",
      });
      // From the moment that the certificate is about to be made, which is when files begin to change.
      for await (const chunk of child.stdout)
        if (new TextDecoder().decode(chunk).includes("Generating certificate")) break;
      await Bun.sleep(delayMs);
      child.kill("SIGKILL");
      await child.exited;
    };
    for (let next = 0; next < names.length; next += 3)
      await Promise.all(names.slice(next, next + 3).map((name) => kill(name, Math.random() * 25)));
    const serials = serialsOf(cli);
    const written = readdirSync(cli.path("certs")).filter((name) => /^user\d+_cert\.pem$/.test(name));
    for (const file of written) expect(serials).toContain(cli.certificate(`certs/${file}`).serial);
    await cli.succeed("issue --cn after --email after@example.org");
    await cli.succeed("ca crl");
    expect(serialsOf(cli).length).toBe(serials.length + 1);
  });

  test("is refused when a line of it is damaged, naming the line, and when it is another CA's", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("ca init --cert o/ca_cert.pem --key o/ca_key.pem");
    const own = cli.read("certs/ca_index.jsonl");
    const issue = async () => await cli.fail("issue --cn alice --email alice@example.org");
    cli.write("certs/ca_index.jsonl", cli.read("o/ca_index.jsonl"));
    expect((await issue()).stderr).toContain("is the index of another CA");
    for (const [damage, message] of [
      ["{}\n", "ca_index.jsonl, line 2"],
      ['{"type":"certificate"', "does not end with a line end"],
      [own, "twice"],
    ] as const) {
      cli.write("certs/ca_index.jsonl", own);
      appendFileSync(cli.path("certs/ca_index.jsonl"), damage);
      const { exitCode, stderr } = await issue();
      expect(exitCode).toBe(2);
      expect(stderr).toContain(message);
    }
    expect(readdirSync(cli.path("certs")).filter((name) => name.startsWith("alice"))).toEqual([]);
  });

  test("is begun anew with a warning where there is none, and the CA's own line is its first", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    const [own] = cli.index();
    await cli.openssl("x509 -in certs/ca_cert.pem -out copy_cert.pem");
    await cli.openssl("pkey -in certs/ca_key.pem -out copy_key.pem");
    const { stderr } = await cli.run("ca crl --cert copy_cert.pem --key copy_key.pem");
    expect(stderr).toContain("there is no index copy_index.jsonl");
    expect(cli.index("copy_index.jsonl")[0]?.serial).toBe(own?.serial);
  });

  test("is not replaced by ca init without --force", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    const before = cli.read("certs/ca_index.jsonl");
    for (const file of ["ca_cert.pem", "ca_key.pem"]) await Bun.file(cli.path(`certs/${file}`)).delete();
    expect((await cli.fail("ca init")).stderr).toContain("ca_index.jsonl exists already");
    expect(cli.read("certs/ca_index.jsonl")).toBe(before);
    expect(readdirSync(cli.path("certs"))).not.toContain("ca_key.pem");
    await cli.succeed("ca init --force");
    expect(cli.index()[0]?.serial).toBe(cli.certificate("certs/ca_cert.pem").serial);
  });
});

describe("ca and issue", () => {
  test("never write over the certificate and key that they sign with, not even with --force", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("issue --request --cn alice --email alice@example.org");
    const files = ["certs/ca_cert.pem", "certs/ca_key.pem", "certs/ca_index.jsonl"];
    const before = files.map((file) => cli.read(file));
    for (const command of [
      "issue --cn ca --email ca@example.org",
      "issue --cn bob --email bob@example.org --out ./certs/../certs/ca",
      "issue --csr certs/alice_csr.pem --cn alice --email alice@example.org --out certs/ca",
    ]) {
      const { exitCode, stderr } = await cli.fail(`${command} --force`);
      expect([command, exitCode]).toEqual([command, 2]);
      expect(stderr).toContain("is the CA's own");
    }
    expect(files.map((file) => cli.read(file))).toEqual(before);
  });

  test.each([
    ["ca", "needs an action"],
    ["ca delete", 'not "delete"'],
    ["ca revoke", "needs a certificate"],
    ["ca list more", 'unexpected argument "more"'],
    ["ca crl --name x", '--name has no meaning with "ca crl"'],
    ["ca list --encrypt", '--encrypt has no meaning with "ca list"'],
    ["issue --csr x --key-type p256", '--key-type has no meaning with "issue --csr"'],
    ["issue --change-passphrase x --days 3", "--days has no meaning"],
    ["issue --cn alice", "--email ADDRESS"],
    ["issue --cn alice --email a@example.org --key-passphrase-file x", "ca init"],
  ])("reject %j", async (commandLine, message) => {
    using cli = new CliFolder();
    const { exitCode, stderr } = await cli.fail(commandLine);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
  });
});
