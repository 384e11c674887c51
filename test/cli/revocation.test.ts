import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { keyTypes } from "../../src/crypto/crypto.ts";
import { encodeInteger, encodeSequence } from "../../src/pki/derWriter.ts";
import { decodePrivateKey } from "../../src/pki/keyFile.ts";
import { oids } from "../../src/pki/oids.ts";
import { formatPem } from "../../src/pki/pem.ts";
import { revocationReasons } from "../../src/pki/pkiError.ts";
import {
  encodeExtension,
  encodeName,
  extensions,
  type Forged,
  forgeDer,
  generalName,
} from "../pki/forgedCertificate.ts";
import { CliFolder } from "./cliFolder.ts";

// Each test starts several processes, on a machine that may be busy.
setDefaultTimeout(60_000);

async function withPeople(cli: CliFolder, names: readonly string[], caFlags = ""): Promise<void> {
  await cli.succeed(`ca init ${caFlags}`);
  await Promise.all(names.map((name) => cli.succeed(`issue --cn ${name} --email ${name}@example.org`)));
}

describe("ca revoke and ca crl", () => {
  test.each([...keyTypes])("make a list of a %s CA that openssl verifies and checks by", async (keyType) => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice", "bob"], `--key-type ${keyType}`);
    await cli.succeed("ca revoke certs/alice_cert.pem --reason keyCompromise");
    await cli.succeed("ca crl --days 3");
    const { output } = await cli.openssl("crl -in certs/ca_crl.pem -noout -verify -CAfile certs/ca_cert.pem");
    expect(output).toContain("verify OK");
    const check = async (name: string) =>
      (
        await cli.openssl(
          `verify -x509_strict -crl_check -CRLfile certs/ca_crl.pem -CAfile certs/ca_cert.pem certs/${name}_cert.pem`,
        )
      ).output;
    expect(await check("alice")).toContain("certificate revoked");
    expect(await check("bob")).toContain("OK");
    const { thisUpdateMs, nextUpdateMs } = cli.crl();
    expect(nextUpdateMs - thisUpdateMs).toBe(3 * 86_400_000);
  });

  test("know every reason of RFC 5280 and no other", async () => {
    using cli = new CliFolder();
    const reasons = Object.keys(revocationReasons);
    await withPeople(
      cli,
      reasons.map((_, index) => `user${index}`),
    );
    const { exitCode, stderr } = await cli.fail("ca revoke certs/user0_cert.pem --reason removeFromCRL");
    expect(exitCode).toBe(2);
    expect(stderr).toContain(reasons.join(", "));
    for (const [index, reason] of reasons.entries())
      await cli.succeed(`ca revoke certs/user${index}_cert.pem --reason ${reason}`);
    await cli.succeed("ca crl");
    const listed = reasons.map(
      (_, index) => cli.crl().revoked.get(cli.certificate(`certs/user${index}_cert.pem`).serial)?.reason,
    );
    expect(listed).toEqual(reasons as typeof listed);
  });

  test("take a serial number in place of the file, as ca list and as openssl print it", async () => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice", "bob"]);
    const serials = ["alice", "bob"].map((name) => cli.certificate(`certs/${name}_cert.pem`).serial);
    for (const name of ["alice", "bob"]) rmSync(cli.path(`certs/${name}_cert.pem`));
    await cli.succeed(`ca revoke ${serials[0]}`);
    await cli.succeed(`ca revoke ${serials[1]?.toUpperCase().match(/../g)?.join(":")}`);
    await cli.succeed("ca crl");
    expect([...cli.crl().revoked.keys()].sort()).toEqual([...serials].sort());
    expect(await cli.fail("ca revoke 0123456789abcdef")).toMatchObject({ exitCode: 1 });
  });

  test("record since when with --at, and reject times to come, before the certificate, or that don't exist", async () => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice"]);
    const { notBeforeMs } = cli.certificate("certs/alice_cert.pem");
    for (const at of ["2099-01-01", "2020-01-01T00:00:00Z", "2026-02-30", "yesterday", "2026-01-01T10:00:00"])
      expect(await cli.fail(`ca revoke certs/alice_cert.pem --at ${at}`)).toMatchObject({ exitCode: 2 });
    await cli.succeed(
      `ca revoke certs/alice_cert.pem --at ${new Date(notBeforeMs).toISOString().slice(0, 19)}Z`,
    );
    await cli.succeed("ca crl");
    expect([...cli.crl().revoked.values()]).toEqual([{ atMs: notBeforeMs, reason: "unspecified" }]);
  });

  test("revoke once; what was on hold may be revoked for good, since the hold", async () => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice"]);
    await cli.succeed("ca revoke certs/alice_cert.pem --reason certificateHold");
    const held = cli.index()[1]?.revoked?.at;
    expect(await cli.fail("ca revoke certs/alice_cert.pem --reason certificateHold")).toMatchObject({
      exitCode: 1,
    });
    await cli.succeed("ca revoke certs/alice_cert.pem --reason affiliationChanged");
    expect(cli.index()[1]?.revoked).toEqual({ at: held ?? -1, reason: "affiliationChanged" });
    const again = await cli.fail("ca revoke certs/alice_cert.pem --reason superseded");
    expect(again.stderr).toContain("is revoked already");
  });

  test("revoke every certificate of a compromised key, and only the one for another reason", async () => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice", "bob"]);
    for (const name of ["alice", "bob"]) await cli.succeed(`issue --renew certs/${name}_cert.pem`);
    await cli.succeed("ca revoke certs/alice_cert.pem --reason keyCompromise");
    await cli.succeed("ca revoke certs/bob_cert.pem --reason superseded");
    const revoked = cli.index().filter((line) => line.revoked != null);
    expect(revoked.map(({ name }) => name).sort()).toEqual(["alice", "alice", "bob"]);
  });

  test("warn of the certificate from before a renewal, which stays good unless it is revoked too", async () => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice", "bob"]);
    const { serial } = cli.certificate("certs/alice_cert.pem");
    await cli.succeed("issue --renew certs/alice_cert.pem");
    const first = await cli.run("ca revoke certs/alice_cert.pem");
    expect(first.exitCode).toBe(0);
    expect(first.stderr).toContain(`run "securechat ca revoke ${serial}"`);
    const second = await cli.run(`ca revoke ${serial}`);
    expect(second).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("reject a certificate of another CA, also one with the name of this CA", async () => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice"]);
    await cli.succeed("ca init --cert o/ca_cert.pem --key o/ca_key.pem");
    const { exitCode, stderr } = await cli.fail(
      "ca revoke certs/alice_cert.pem --cert o/ca_cert.pem --key o/ca_key.pem",
    );
    expect(exitCode).toBe(1);
    expect(stderr).toContain("was not issued by");
  });

  test("record a certificate that was made beside the index, whatever it says, so that the index stays readable", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    const key = await decodePrivateKey(cli.read("certs/ca_key.pem"));
    const { subject: issuer } = cli.certificate("certs/ca_cert.pem");
    const critical = encodeExtension(
      oids.subjectAltName,
      true,
      encodeSequence(
        generalName.dns(""),
        generalName.dns("a".repeat(300)),
        generalName.dns("host.example.org"),
      ),
    );
    const odd: Record<string, Partial<Forged>> = {
      unnamed: { subject: encodeSequence(), extensions: [critical] },
      long: {
        subject: encodeName(
          "",
          ...Array.from({ length: 16 }, () => ["2.5.4.13", "é".repeat(250)] as [string, string]),
        ),
        extensions: [extensions.san(generalName.email(`${"a".repeat(300)}@example.org`))],
      },
      old: { notBeforeMs: Date.UTC(1960, 0, 1), notAfterMs: Date.UTC(1961, 0, 1) },
    };
    for (const [name, forged] of Object.entries(odd)) {
      const der = forgeDer({ key, issuer, serial: encodeInteger(name.length), ...forged });
      cli.write(`${name}.pem`, formatPem("CERTIFICATE", der));
      await cli.succeed(`ca revoke ${name}.pem`);
      await cli.succeed("ca list");
    }
    await cli.succeed("issue --cn alice --email alice@example.org");
    await cli.succeed("ca crl");
    expect(cli.crl().revoked.size).toBe(3);
    expect(cli.index().map(({ name }) => name?.slice(0, 9))).toEqual([
      "SecureCha",
      "(no name)",
      "2.5.4.13=",
      "subject",
      "alice",
      undefined,
    ]);
  });

  test("number the lists upwards, also when the list that was published is gone", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("ca crl");
    await cli.succeed("ca crl");
    rmSync(cli.path("certs/ca_crl.pem"));
    await cli.succeed("ca crl");
    expect(cli.crl().number).toBe(3n);
    expect(cli.index().flatMap(({ number }) => number ?? [])).toEqual([1, 2, 3]);
  });

  test("take back nothing that was published when the index is an older one", async () => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice"]);
    const backup = cli.read("certs/ca_index.jsonl");
    await cli.succeed("ca revoke certs/alice_cert.pem --reason keyCompromise");
    await cli.succeed("ca crl");
    await cli.succeed("ca crl");
    cli.write("certs/ca_index.jsonl", backup);
    const renewal = await cli.fail("issue --renew certs/alice_cert.pem");
    expect(renewal.exitCode).toBe(1);
    expect(renewal.stderr).toContain("as certs/ca_crl.pem says");
    const { exitCode, stderr } = await cli.run("ca crl");
    expect(exitCode).toBe(0);
    expect(stderr).toContain("stays revoked");
    expect(cli.crl().number).toBe(3n);
    expect([...cli.crl().revoked.values()].map(({ reason }) => reason)).toEqual(["keyCompromise"]);
  });

  test("overwrite no file that is not a list of this CA", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("ca crl");
    await cli.succeed("ca init --cert o/ca_cert.pem --key o/ca_key.pem");
    const before = cli.read("certs/ca_crl.pem");
    const foreign = await cli.fail("ca crl --cert o/ca_cert.pem --key o/ca_key.pem --out certs/ca_crl.pem");
    expect(foreign).toMatchObject({ exitCode: 2 });
    expect(cli.read("certs/ca_crl.pem")).toBe(before);
    expect(await cli.fail("ca crl --out certs/ca_cert.pem")).toMatchObject({ exitCode: 2 });
  });
});

describe("ca list and ca show", () => {
  test("say of each certificate whether it is live, revoked or expired", async () => {
    using cli = new CliFolder();
    await withPeople(cli, ["alice", "bob"]);
    await cli.succeed("ca revoke certs/alice_cert.pem --reason superseded");
    const past = Date.now() - 1000;
    const lines = cli
      .read("certs/ca_index.jsonl")
      .replace(/("name":"bob".*"not_before":)\d+(,"not_after":)\d+/, `$1${past - 5000}$2${past - 2000}`);
    cli.write("certs/ca_index.jsonl", lines);
    type Row = { name: string; status: string; kind: string; serial: string; not_after: number };
    const rows = JSON.parse(await cli.succeed("ca list --json")) as Row[];
    const status = Object.fromEntries(rows.map((row) => [row.name, row.status]));
    expect(status).toEqual({ "SecureChat Root CA": "live", alice: "revoked", bob: "expired" });
    const table = await cli.succeed("ca list");
    for (const { serial, kind, status: word } of rows)
      expect(table).toMatch(new RegExp(`^${serial}  ${kind} .* ${word}`, "m"));
    expect(await cli.succeed("ca show certs/alice_cert.pem")).toMatch(/Status: +revoked .* superseded/);
    expect(await cli.succeed(`ca show ${cli.certificate("certs/bob_cert.pem").serial}`)).toMatch(
      /Status: +expired/,
    );
  });

  test("show the CA, and a certificate that is not of it as such", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init --name 'Example CA'");
    const shown = await cli.succeed("ca show");
    expect(shown).toContain("CN=Example CA");
    expect(shown).toContain("Last list:   none");
    await cli.succeed("ca init --cert o/ca_cert.pem --key o/ca_key.pem");
    expect(await cli.succeed("ca show o/ca_cert.pem")).toContain("not issued by CN=Example CA");
  });
});
