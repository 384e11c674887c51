import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { keyTypes } from "../../src/crypto/crypto.ts";
import { CliFolder } from "./cliFolder.ts";

// Each test starts several processes, on a machine that may be busy.
setDefaultTimeout(60_000);

describe("issue --request", () => {
  test.each([...keyTypes])(
    "makes a %s key and a request that openssl verifies, without a CA",
    async (type) => {
      using cli = new CliFolder();
      await cli.succeed(
        `issue --request --cn alice --email alice@example.org --key-type ${type} --out alice`,
      );
      const { output } = await cli.openssl("req -in alice_csr.pem -noout -verify -subject -text");
      expect(output).toContain("verify OK");
      expect(output).toContain("CN = alice");
      expect(output).toContain("email:alice@example.org");
      expect(statSync(cli.path("alice_key.pem")).mode & 0o777).toBe(0o600);
      const publicHalf = async (args: string) => (await cli.openssl(args)).output;
      expect(await publicHalf("pkey -in alice_key.pem -pubout")).toBe(
        await publicHalf("req -in alice_csr.pem -noout -pubkey"),
      );
      expect(existsSync(cli.path("alice_cert.pem"))).toBe(false);
      expect(existsSync(cli.path("certs"))).toBe(false);
    },
  );

  test("encrypts the key, overwrites nothing and refuses flags of the CA", async () => {
    using cli = new CliFolder();
    const command = "issue --request --server --cn chat.example.org --ip 192.0.2.1 --out server";
    await cli.succeed(`${command} --encrypt`, { SECURECHAT_PASSPHRASE: "server's own" });
    expect(cli.read("server_key.pem")).toStartWith("-----BEGIN ENCRYPTED PRIVATE KEY-----");
    expect((await cli.openssl("req -in server_csr.pem -noout -text")).output).toContain("192.0.2.1");
    expect((await cli.fail(command)).stderr).toContain("server_key.pem exists already");
    expect((await cli.fail(`${command} --days 3`)).stderr).toContain(
      '--days has no meaning with "issue --request"',
    );
  });
});

describe("issue --csr", () => {
  test("takes the key alone: names are the operator's, only the certificate is written", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("issue --request --cn mallory --email root@example.org --out m");
    const shown = await cli.succeed("issue --csr m_csr.pem --cn alice --email alice@example.org");
    expect(shown).toContain("CN=mallory");
    expect(shown).toContain("root@example.org");
    const certificate = cli.certificate("certs/alice_cert.pem");
    expect(certificate.subjectText).toBe("CN=alice");
    expect(certificate.emails).toEqual(["alice@example.org"]);
    expect(existsSync(cli.path("certs/alice_key.pem"))).toBe(false);
    const { output } = await cli.openssl("x509 -in certs/alice_cert.pem -noout -pubkey");
    expect(output).toBe((await cli.openssl("pkey -in m_key.pem -pubout")).output);
  });

  test("takes requests of openssl, also one that asks to be a CA, and gives it the profile of a user", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    for (const [name, args] of [
      ["ec", "-newkey ec -pkeyopt ec_paramgen_curve:P-256"],
      ["rsa", "-newkey rsa:2048"],
      ["ed", "-newkey ed25519"],
    ]) {
      await cli.openssl(
        `req -new ${args} -nodes -keyout ${name}.key -out ${name}.csr -subj /O=Elsewhere/CN=${name} -addext basicConstraints=critical,CA:TRUE -addext subjectAltName=DNS:bank.example`,
      );
      const shown = await cli.succeed(
        `issue --csr ${name}.csr --cn user-${name} --email ${name}@example.org`,
      );
      expect(shown).toContain("bank.example");
      expect(shown).toContain("2.5.29.19");
      const certificate = cli.certificate(`certs/user-${name}_cert.pem`);
      expect(certificate.basicConstraints).toBeUndefined();
      expect(certificate.dnsNames).toEqual([]);
    }
  });

  test("rejects a request whose signature is not by its key, and what is no request", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("issue --request --cn alice --email alice@example.org --out alice");
    const [head, body = "", ...tail] = cli.read("alice_csr.pem").split(/(?<=REQUEST-----\n)|(?=-----END)/);
    const der = Buffer.from(body.replaceAll("\n", ""), "base64");
    der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1;
    cli.write("forged.pem", `${head}${der.toString("base64")}\n${tail.join("")}`);
    const forged = await cli.fail("issue --csr forged.pem --cn alice --email alice@example.org");
    expect(forged).toMatchObject({ exitCode: 1 });
    expect(forged.stderr).toContain("REQUEST_SIGNATURE_INVALID");
    const wrong = await cli.fail("issue --csr certs/ca_cert.pem --cn alice --email alice@example.org");
    expect(wrong).toMatchObject({ exitCode: 2 });
    expect(wrong.stderr).toContain('no block "CERTIFICATE REQUEST" in the file');
    expect(cli.index()).toHaveLength(1);
  });

  test("rejects a name or an e-mail address that is live under another key, unless told --new-key", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("issue --cn alice --email alice@example.org");
    await cli.succeed("issue --request --cn alice --email alice@example.org --out other");
    for (const names of [
      "--cn alice --email elsewhere@example.org",
      "--cn alice2 --email alice@example.org",
      "--cn alice2 --email Alice@EXAMPLE.org",
      "--server --cn alice",
    ]) {
      const { exitCode, stderr } = await cli.fail(`issue --csr other_csr.pem ${names} --out certs/other`);
      expect(exitCode).toBe(1);
      expect(stderr).toContain("live certificate under another key");
    }
    await cli.succeed("issue --csr other_csr.pem --cn alice --email alice@example.org --out o --new-key");
    // The same key again is no stranger.
    await cli.succeed("issue --csr other_csr.pem --cn bob --email bob@example.org --out o2");
    await cli.succeed("issue --csr other_csr.pem --cn bob --email bob@example.org --out o3");
  });

  test("issues a name again under another key once its certificate is revoked", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("issue --cn alice --email alice@example.org");
    await cli.succeed("ca revoke certs/alice_cert.pem --reason cessationOfOperation");
    await cli.succeed("issue --cn alice --email alice@example.org --out certs/alice2");
  });
});
