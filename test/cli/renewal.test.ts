import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { CliFolder } from "./cliFolder.ts";

// Each test starts several processes, on a machine that may be busy.
setDefaultTimeout(60_000);

async function withAlice(cli: CliFolder): Promise<void> {
  await cli.succeed("ca init");
  await cli.succeed("issue --cn alice --email alice@example.org --days 30");
}

describe("issue --renew", () => {
  test("keeps names and key without having the private key, and keeps the certificate before", async () => {
    using cli = new CliFolder();
    await withAlice(cli);
    const before = cli.certificate("certs/alice_cert.pem");
    rmSync(cli.path("certs/alice_key.pem"));
    await cli.succeed("issue --renew certs/alice_cert.pem --days 100");
    const after = cli.certificate("certs/alice_cert.pem");
    expect(after.publicKey.spki).toEqual(before.publicKey.spki);
    expect(after.subject).toEqual(before.subject);
    expect(after.emails).toEqual(["alice@example.org"]);
    expect(after.serial).not.toBe(before.serial);
    expect(after.notAfterMs - after.notBeforeMs).toBe(100 * 86_400_000);
    const kept = cli.certificate(`certs/alice-${before.serial.slice(0, 8)}_cert.pem`);
    expect(kept.fingerprint).toBe(before.fingerprint);
    expect(cli.index().map(({ serial }) => serial)).toContain(after.serial);
    expect((await cli.openssl("verify -CAfile certs/ca_cert.pem certs/alice_cert.pem")).ok).toBe(true);
  });

  test("keeps a server's DNS names and addresses", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("issue --server --cn chat --dns chat.example.org --ip 192.0.2.7 --ip ::1 --out s");
    await cli.succeed("issue --renew s_cert.pem --out t");
    expect(existsSync(cli.path("t_key.pem"))).toBe(false);
    const names = (await cli.openssl("x509 -in t_cert.pem -noout -subject -ext subjectAltName")).output;
    expect(names).toBe((await cli.openssl("x509 -in s_cert.pem -noout -subject -ext subjectAltName")).output);
    expect(names).toContain("DNS:chat.example.org, IP Address:192.0.2.7, IP Address:0:0:0:0:0:0:0:1");
  });

  test("makes a key with --new-key, and keeps the old one beside it", async () => {
    using cli = new CliFolder();
    await withAlice(cli);
    const before = cli.certificate("certs/alice_cert.pem");
    const oldKey = cli.read("certs/alice_key.pem");
    expect((await cli.fail("issue --renew certs/alice_cert.pem --key-type ed25519")).stderr).toContain(
      "need --new-key",
    );
    await cli.succeed("issue --renew certs/alice_cert.pem --new-key --key-type ed25519");
    expect(cli.certificate("certs/alice_cert.pem").publicKey.type).toBe("ed25519");
    expect(cli.read(`certs/alice-${before.serial.slice(0, 8)}_key.pem`)).toBe(oldKey);
    const publicHalf = (await cli.openssl("x509 -in certs/alice_cert.pem -noout -pubkey")).output;
    expect((await cli.openssl("pkey -in certs/alice_key.pem -pubout")).output).toBe(publicHalf);
  });

  test("takes another key from --csr only with --new-key, and keeps the names", async () => {
    using cli = new CliFolder();
    await withAlice(cli);
    await cli.succeed("issue --request --cn eve --email eve@example.org --out eve");
    const refused = await cli.fail("issue --renew certs/alice_cert.pem --csr eve_csr.pem");
    expect(refused).toMatchObject({ exitCode: 1 });
    expect(refused.stderr).toContain("under another key");
    await cli.succeed("issue --renew certs/alice_cert.pem --csr eve_csr.pem --new-key");
    const { subjectText, emails, publicKey } = cli.certificate("certs/alice_cert.pem");
    expect([subjectText, ...emails]).toEqual(["CN=alice", "alice@example.org"]);
    const asked = await cli.openssl("req -in eve_csr.pem -noout -pubkey");
    const got = await cli.openssl("x509 -in certs/alice_cert.pem -noout -pubkey");
    expect(got.output).toBe(asked.output);
    expect(publicKey.type).toBe("p256");
  });

  test("rejects certificates that are revoked, of another CA, unknown to the index, or the CA's own", async () => {
    using cli = new CliFolder();
    await withAlice(cli);
    await cli.succeed("ca init --cert o/ca_cert.pem --key o/ca_key.pem");
    await cli.succeed(
      "issue --cn alice --email alice@example.org --ca-cert o/ca_cert.pem --ca-key o/ca_key.pem --out o/alice",
    );
    const renew = async (file: string) => await cli.fail(`issue --renew ${file}`);
    // Both CAs have the same name; the signature tells them apart.
    expect(await renew("o/alice_cert.pem")).toMatchObject({ exitCode: 1 });
    expect((await renew("o/alice_cert.pem")).stderr).toContain("was not issued by");
    expect((await renew("certs/ca_cert.pem")).stderr).toContain("is this CA itself");
    await cli.openssl("req -new -newkey ed25519 -nodes -keyout k.pem -out r.csr -subj /CN=zoe");
    cli.write("v3.cnf", "subjectAltName=email:zoe@example.org\n");
    const signed = await cli.openssl(
      "x509 -req -in r.csr -CA certs/ca_cert.pem -CAkey certs/ca_key.pem -set_serial 78 -out zoe_cert.pem -extfile v3.cnf",
    );
    expect(signed.ok).toBe(true);
    expect((await renew("zoe_cert.pem")).stderr).toContain("not in the index");
    await cli.succeed("ca revoke certs/alice_cert.pem");
    const revoked = await renew("certs/alice_cert.pem");
    expect(revoked).toMatchObject({ exitCode: 1 });
    expect(revoked.stderr).toContain("is revoked since");
  });

  test("rejects names on the command line, which are the certificate's", async () => {
    using cli = new CliFolder();
    expect((await cli.fail("issue --renew x_cert.pem --cn bob")).stderr).toContain(
      '--cn has no meaning with "issue --renew"',
    );
  });
});
