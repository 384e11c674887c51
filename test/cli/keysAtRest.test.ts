import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, statSync, symlinkSync } from "node:fs";
import { CliFolder } from "./cliFolder.ts";

// Each test starts several processes, on a machine that may be busy.
setDefaultTimeout(60_000);

const caPhrase = { SECURECHAT_PASSPHRASE: "the CA's passphrase" };

describe("keys at rest", () => {
  test("--encrypt protects the CA's and a user's key with passphrases of their own, and openssl reads both", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init --encrypt", caPhrase);
    const command = "issue --cn alice --email alice@example.org --encrypt";
    // The CA's passphrase does not become alice's.
    const { exitCode, stderr } = await cli.fail(command, caPhrase);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("SECURECHAT_KEY_PASSPHRASE");
    await cli.succeed(command, { ...caPhrase, SECURECHAT_KEY_PASSPHRASE: "alice's" });
    for (const [key, phrase] of [
      ["ca", caPhrase.SECURECHAT_PASSPHRASE],
      ["alice", "alice's"],
    ]) {
      cli.write("phrase", `${phrase}\n`);
      expect((await cli.openssl(`pkey -in certs/${key}_key.pem -passin file:phrase -noout`)).ok).toBe(true);
    }
  });

  test("a wrong passphrase is said to be that, and nothing is issued", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init --encrypt", caPhrase);
    const { exitCode, stderr } = await cli.fail("issue --cn alice --email alice@example.org", {
      SECURECHAT_PASSPHRASE: "wrong",
    });
    expect(exitCode).toBe(2);
    expect(stderr).toContain("CA private key certs/ca_key.pem: wrong passphrase");
    expect(cli.index()).toHaveLength(1);
  });

  test("a key that is not the certificate's is said to be that", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("ca init --cert other/ca_cert.pem --key other/ca_key.pem");
    const { exitCode, stderr } = await cli.fail(
      "issue --cn alice --email alice@example.org --ca-key other/ca_key.pem",
    );
    expect(exitCode).toBe(2);
    expect(stderr).toContain("private key other/ca_key.pem does not belong to certificate certs/ca_cert.pem");
  });

  test("a key file that others can read is used with a warning that says what to do", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    expect((await cli.run("ca crl")).stderr).toBe("");
    chmodSync(cli.path("certs/ca_key.pem"), 0o640);
    const { exitCode, stderr } = await cli.run("issue --cn alice --email alice@example.org");
    expect(exitCode).toBe(0);
    expect(stderr).toContain('mode 0640); run "chmod 600 certs/ca_key.pem"');
  });

  test("the CA's key may be one that openssl encrypted with AES-128-CBC or AES-256-CBC", async () => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    cli.write("phrase", "openssl's\n");
    cli.write("clear.pem", cli.read("certs/ca_key.pem"));
    for (const cipher of ["aes-128-cbc", "aes-256-cbc"]) {
      await cli.openssl(`pkcs8 -topk8 -v2 ${cipher} -in clear.pem -out ${cipher}.pem -passout file:phrase`);
      cli.write("certs/ca_key.pem", cli.read(`${cipher}.pem`));
      await cli.succeed("ca crl --passphrase-file phrase");
    }
    expect(cli.crl().number).toBe(2n);
  });
});

describe("issue --change-passphrase", () => {
  test("encrypts a clear key, then gives it another passphrase, and keeps key and mode", async () => {
    using cli = new CliFolder();
    await cli.succeed("issue --request --cn alice --email alice@example.org --out alice");
    const publicHalf = (await cli.openssl("pkey -in alice_key.pem -pubout")).output;
    await cli.succeed("issue --change-passphrase alice_key.pem", { SECURECHAT_KEY_PASSPHRASE: "first" });
    await cli.succeed("issue --change-passphrase alice_key.pem", {
      SECURECHAT_PASSPHRASE: "first",
      SECURECHAT_KEY_PASSPHRASE: "second",
    });
    expect((await cli.openssl("pkey -in alice_key.pem -passin pass:second -pubout")).output).toBe(publicHalf);
    expect((await cli.openssl("pkey -in alice_key.pem -passin pass:first -pubout")).ok).toBe(false);
    expect(statSync(cli.path("alice_key.pem")).mode & 0o777).toBe(0o600);
  });

  test("leaves the file as it is when the old passphrase is wrong or there is no new one", async () => {
    using cli = new CliFolder();
    const command = "issue --change-passphrase alice_key.pem";
    await cli.succeed("issue --request --cn alice --email alice@example.org --out alice --encrypt", {
      SECURECHAT_PASSPHRASE: "first",
    });
    const before = cli.read("alice_key.pem");
    const wrong = await cli.fail(command, {
      SECURECHAT_PASSPHRASE: "wrong",
      SECURECHAT_KEY_PASSPHRASE: "second",
    });
    expect(wrong).toMatchObject({ exitCode: 2 });
    expect(wrong.stderr).toContain("wrong passphrase");
    // The old one is not taken for the new one.
    expect(await cli.fail(command, { SECURECHAT_PASSPHRASE: "first" })).toMatchObject({ exitCode: 2 });
    expect(cli.read("alice_key.pem")).toBe(before);
  });

  test("changes the file that a link points to, and refuses a file that holds more than a key", async () => {
    using cli = new CliFolder();
    await cli.succeed("issue --request --cn alice --email alice@example.org --out alice");
    symlinkSync("alice_key.pem", cli.path("link.pem"));
    await cli.succeed("issue --change-passphrase link.pem", { SECURECHAT_KEY_PASSPHRASE: "new" });
    expect(cli.read("alice_key.pem")).toContain("ENCRYPTED");
    await cli.succeed("issue --request --cn bob --email bob@example.org --out bob");
    cli.write("both.pem", cli.read("bob_key.pem") + cli.read("bob_csr.pem"));
    expect(
      (await cli.fail("issue --change-passphrase both.pem", { SECURECHAT_KEY_PASSPHRASE: "new" })).stderr,
    ).toContain("more than a key");
  });
});
