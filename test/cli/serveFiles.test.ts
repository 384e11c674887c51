import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { CliFolder } from "./cliFolder.ts";

// Each test starts several processes, on a machine that may be busy.
setDefaultTimeout(60_000);

describe("serve rejects, with exit code 2 and the name of the file,", () => {
  test.each([
    ["a certificate as the revocation list", "--crl certs/ca_cert.pem", "certs/ca_cert.pem: the CRL"],
    ["the list of another CA", "--crl other/ca_crl.pem", "other/ca_crl.pem: the CRL"],
    [
      "a person's certificate as its own",
      "--cert certs/alice_cert.pem --key certs/alice_key.pem",
      "certs/alice_cert.pem: this is no server's certificate",
    ],
    [
      "a certificate of another CA",
      "--ca other/ca_cert.pem",
      "certs/server_cert.pem: the server certificate can't be used",
    ],
  ])("%s", async (_, flags, message) => {
    using cli = new CliFolder();
    await cli.succeed("ca init");
    await cli.succeed("issue --cn alice --email alice@example.org");
    await cli.succeed("issue --server --cn localhost --out certs/server");
    await cli.succeed("ca init --cert other/ca_cert.pem --key other/ca_key.pem");
    await cli.succeed("ca crl --cert other/ca_cert.pem --out other/ca_crl.pem");
    const { exitCode, stderr } = await cli.fail(`serve --port 0 --db test.db ${flags}`);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
  });
});
