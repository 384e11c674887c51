import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { keyTypes } from "../../src/crypto/crypto.ts";
import { CliFolder } from "./cliFolder.ts";

// Each test starts several processes, on a machine that may be busy.
setDefaultTimeout(60_000);

describe("ca init and issue with --key-type", () => {
  test.each([...keyTypes])(
    "make a %s CA whose users and servers of every key type openssl verify -x509_strict accepts",
    async (caType) => {
      using cli = new CliFolder();
      await cli.succeed(`ca init --key-type ${caType}`);
      await Promise.all(
        keyTypes.flatMap((type) => [
          cli.succeed(`issue --cn user-${type} --email ${type}@example.org --key-type ${type}`),
          cli.succeed(
            `issue --server --cn ${type}.example.org --out certs/server-${type} --key-type ${type}`,
          ),
        ]),
      );
      for (const type of keyTypes) {
        const verify = async (purpose: string, name: string) =>
          (
            await cli.openssl(
              `verify -x509_strict -purpose ${purpose} -CAfile certs/ca_cert.pem certs/${name}_cert.pem`,
            )
          ).output;
        expect(await verify("sslclient", `user-${type}`)).toContain("OK");
        expect(await verify("smimesign", `user-${type}`)).toContain("OK");
        expect(await verify("sslserver", `server-${type}`)).toContain("OK");
        expect(await verify("sslserver", `user-${type}`)).not.toContain("OK");
        const { publicKey } = cli.certificate(`certs/user-${type}_cert.pem`);
        expect(publicKey.type === "rsa" ? `rsa${publicKey.bits}` : publicKey.type).toBe(type);
      }
      // 1 CA, 8 others: none of the concurrent processes lost a line.
      expect(cli.index()).toHaveLength(9);
    },
  );

  test("reject a key type that there is not", async () => {
    using cli = new CliFolder();
    const { exitCode, stderr } = await cli.fail("ca init --key-type rsa1024");
    expect(exitCode).toBe(2);
    expect(stderr).toContain("p256, rsa2048, rsa3072, ed25519");
  });
});
